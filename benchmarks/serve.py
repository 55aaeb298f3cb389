"""What serving costs: round trips and cores per visitor, the rate of pictures, memory over hours, and the Python API.

    python benchmarks/serve.py

The server is a process of its own on this machine; drawn faces are its visitors. Ratios compare two ways of one run.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import httpx
import machine
import numpy as np
import psutil
from ai_edge_litert.interpreter import Interpreter
from websockets.sync import client as sockets

from emotion import load, runs
from emotion.data import synthetic
from emotion.inference.classifier import LARGEST_BATCH
from emotion.video import source

SIZE, RATE = (640, 360), 15
LIMITS = ("limits.sessions=64", "limits.rate=100000", "limits.frames=240")


@contextmanager
def server(*overrides: str) -> Iterator[tuple[str, psutil.Process, float]]:
    """A server's address, its process, and the seconds from its start to its first answer."""
    began = time.perf_counter()
    line = [sys.executable, "-m", "emotion.serve", "port=0", *LIMITS, *overrides]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = re.findall(r"at http://(\S+)/", process.stdout.readline())[0]
        httpx.get(f"http://{address}/v1/model").raise_for_status()
        yield address, psutil.Process(process.pid), time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def jpegs(folder: Path, seconds: float) -> list[bytes]:
    """The frames of two drawn people."""
    path = folder / "drawn.mp4"
    synthetic.video(path, seconds=seconds, fps=RATE, size=SIZE, persons=1)
    return [bytes(cv2.imencode(".jpg", f.image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]) for f in source.frames(path)]


def visit(address: str, frames: list[bytes], seconds: float, rate: float | None = RATE) -> list[float]:
    """One visitor, as the page is: a frame each 1 / rate, or as fast as answered; the round trips in seconds."""
    trips: list[float] = []
    with sockets.connect(f"ws://{address}/v1/live", compression=None) as socket:
        began = time.perf_counter()
        while (now := time.perf_counter()) - began < seconds:
            socket.send(struct.pack(">d", 1000 * (now - began)) + frames[len(trips) % len(frames)])
            answer: Any = json.loads(socket.recv(60))
            assert "faces" in answer, answer
            trips.append(time.perf_counter() - now)
            if rate is not None:
                time.sleep(max(0.0, began + len(trips) / rate - time.perf_counter()))
    return trips


def visitors(
    address: str, process: psutil.Process, frames: list[bytes], number: int, seconds: float
) -> tuple[list[list[float]], float, float]:
    """Round trips of each of some visitors at once, the cores that the server took, and its seconds of CPU a frame."""
    before, began = process.cpu_times(), time.perf_counter()
    with ThreadPoolExecutor(number) as pool:
        trips = list(pool.map(lambda _: visit(address, frames, seconds), range(number)))
    after, took = process.cpu_times(), time.perf_counter() - began
    busy = after.user + after.system - before.user - before.system
    return trips, busy / took, busy / sum(map(len, trips))


def slow_reader(address: str, frames: list[bytes], seconds: float) -> list[float]:
    """Round trips of a visitor beside one who sends and never reads."""
    stopped = threading.Event()

    def flood() -> None:
        with sockets.connect(f"ws://{address}/v1/live", compression=None, max_queue=1, close_timeout=0.1) as socket:
            while not stopped.is_set():
                socket.send(bytes(8) + frames[0])
                time.sleep(1 / RATE)

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    trips = visit(address, frames, seconds)
    stopped.set()
    return trips


def pictures(address: str, paths: list[Path], clients: int) -> float:
    """Pictures a second through ``POST /v1/pictures``, eight a request."""
    parts = [paths[i::clients] for i in range(clients)]

    def post(part: list[Path]) -> None:
        with httpx.Client(base_url=f"http://{address}", timeout=600) as client:
            for i in range(0, len(part), 8):
                files = [("pictures", (path.name, path.read_bytes())) for path in part[i : i + 8]]
                assert all(p["error"] is None for p in client.post("/v1/pictures", files=files).json()["pictures"])

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(post, parts))
    return len(paths) / (time.perf_counter() - began)


def rates(address: str, paths: list[Path]) -> float:
    """The rate of ``POST /v1/pictures`` with four clients over that of ``model.predict`` on the same files."""
    model = load("pretrained")
    began = time.perf_counter()
    model.predict(paths)
    return pictures(address, paths, 4) / (len(paths) / (time.perf_counter() - began))


def memory(address: str, process: psutil.Process, frames: list[bytes], number: int, sessions: int) -> list[float]:
    """Resident MiB after a tenth and at the end of so many frames, and of so many sessions that come and go."""
    found = []
    for part in (number // 10, number - number // 10):
        with sockets.connect(f"ws://{address}/v1/live", compression=None) as socket:
            for i in range(part):
                socket.send(struct.pack(">d", 66.0 * i) + frames[i % len(frames)])
                socket.recv(60)
        found.append(process.memory_info().rss / 2**20)
    for part in (sessions // 10, sessions - sessions // 10):
        for _ in range(part):
            with sockets.connect(f"ws://{address}/v1/live", compression=None) as socket:
                socket.send(bytes(8) + frames[0])
                socket.recv(60)
        found.append(process.memory_info().rss / 2**20)
    return found


def predict(number: int, rounds: int) -> float:
    """``model.predict`` of cut faces over bare LiteRT in steps of the same size, median of rounds in turn."""
    model = load("pretrained")
    draw = np.random.default_rng(0)
    faces = [draw.integers(0, 256, (96, 96, 3), np.uint8) for _ in range(number)]
    bare = Interpreter(model_path=str(runs.resolve("pretrained", "outputs").tflite()), num_threads=1)
    given, batch = bare.get_input_details()[0]["index"], np.zeros((LARGEST_BATCH, *model.contract.shape), np.uint8)
    bare.resize_tensor_input(given, batch.shape)
    bare.allocate_tensors()
    ratios = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        for _ in range(number // LARGEST_BATCH):
            bare.set_tensor(given, draw.integers(0, 256, batch.shape, np.uint8))
            bare.invoke()
            bare.get_tensor(bare.get_output_details()[0]["index"])
        middle = time.perf_counter()
        model.predict(faces, faces="whole")
        took = time.perf_counter() - middle
        ratios.append((middle - began) / (number // LARGEST_BATCH * LARGEST_BATCH) * number / took)
    return statistics.median(ratios[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000, help="of the test of memory")
    parser.add_argument("--sessions", type=int, default=500, help="of the test of memory")
    parser.add_argument("--seconds", type=float, default=20, help="of each visit")
    parser.add_argument("--quick", action="store_true", help="little of each: only to see that it works")
    asked = parser.parse_args()
    if asked.quick:
        asked.frames, asked.sessions, asked.seconds = 100, 20, 2
    print(machine.describe())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = jpegs(folder, 4)
        paths = [folder / f"{i}.jpg" for i in range(16 if asked.quick else 160)]
        for i, path in enumerate(paths):
            cv2.imwrite(str(path), synthetic.frame(i, i % 7, (640, 480), noise=0.3)[0])
        with server() as (address, process, first):
            spent = process.cpu_times()
            print(f"start to first answer: {first:.2f} s, {spent.user + spent.system:.2f} s of CPU")
            visit(address, frames, 1)
            (alone,), cores, busy = visitors(address, process, frames, 1, asked.seconds)
            tail = statistics.quantiles(alone, n=20)[-1]
            print(f"one visitor, {SIZE[0]}x{SIZE[1]}, {RATE} frames/s:", end=" ")
            print(f"p50 {1e3 * statistics.median(alone):.1f} ms, p95 {1e3 * tail:.1f} ms,", end=" ")
            print(f"{cores:.0%} of a core, {1e3 * busy:.1f} ms of CPU a frame")
            several, cores, _ = visitors(address, process, frames, 4, asked.seconds)
            slowest = min(map(len, several)) / asked.seconds
            print(f"four visitors: the slowest {slowest:.1f} frames/s, {cores:.0%} of a core together")
            beside = statistics.quantiles(slow_reader(address, frames, asked.seconds), n=20)[-1]
            print(f"beside a visitor who never reads: p95 {1e3 * beside:.1f} ms, {beside / tail:.2f} times that alone")
            shares = [rates(address, paths) for _ in range(1 if asked.quick else 3)]
            print(f"POST /v1/pictures, 4 clients: {statistics.median(shares):.2f} of the rate of model.predict")
            found = memory(address, process, frames, asked.frames, asked.sessions)
            print(
                f"resident MiB after a tenth and all of {asked.frames:,} frames: {found[0]:.0f}, {found[1]:.0f};",
                end=" ",
            )
            print(f"of {asked.sessions} sessions that come and go: {found[2]:.0f}, {found[3]:.0f}")
        ratio = predict(160 if asked.quick else 1000, 1 if asked.quick else 5)
        print(f"model.predict of cut faces: {ratio:.2f} of bare LiteRT's rate")


if __name__ == "__main__":
    main()
