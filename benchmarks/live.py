"""How fast live labelling is, and whether it finds what the whole-frame search finds.

    python benchmarks/live.py --media ../shared/media

The yardstick is the loop of most tutorials: ``detectMultiScale(gray, 1.3, 5)`` on every whole frame, then
``model.predict`` for each face. Both label the same files with the same network, in turn; ours writes its log (JSON
Lines) meanwhile. Agreement is that of the boxes with OpenCV's own search of every whole frame (scaleFactor 1.1, the
same smallest face): pairs with an intersection over union of at least 0.5.

The network is the default custom CNN with untrained weights, which cost what trained ones do; ``--run`` takes another.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import machine
import numpy as np
import psutil

from emotion import runs
from emotion.base import files, provenance
from emotion.config import commands, schema
from emotion.faces.images import Box, Image, overlap
from emotion.inference import engines
from emotion.inference.classifier import Classifier
from emotion.inference.labeller import Labeller
from emotion.live import main_loop
from emotion.live.face_log import JsonLinesLog
from emotion.video import source
from emotion.video.detector import Detector

CLIPS = ("single_face.mp4", "short_hamilton_clip.mp4")
SIZES = ((640, 360), (1280, 720))
#: Settings of ``conf/live.yaml``.
SETTINGS = commands.Live()


# ------------------------------------------------------------------------------------------------------ the yardstick


def textbook(folder: Path) -> None:
    """Label the videos whose paths come in on stdin; answer each with its frames a second. A process of its own."""
    import keras
    from hydra import compose, initialize_config_dir

    from emotion.models.build import build, contract_of

    checkpoint = folder / "checkpoints" / "best.keras"
    if not checkpoint.exists():
        schema.register()
        with initialize_config_dir(str(schema.CONF), version_base="1.3"):
            cfg = compose("train", ["dataset=synthetic"])
        contract = contract_of(cfg.model, 0.0)
        checkpoint.parent.mkdir(parents=True)
        build(cfg.model, contract).save(checkpoint)
        contract.save(folder / "contract.json")
        files.write_json(folder / "run.json", {"id": "benchmark", "status": "done", "created": provenance.now()})
    model = keras.models.load_model(checkpoint)
    height, width, channels = model.input_shape[1:]
    model.predict(np.zeros((1, height, width, channels), np.uint8), verbose=0)
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")  # type: ignore[attr-defined]
    print("ready", flush=True)
    for line in sys.stdin:
        capture = cv2.VideoCapture(line.strip())
        frames, began = 0, time.perf_counter()
        while True:
            ok, image = capture.read()
            if not ok:
                break
            gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            for x, y, w, h in cascade.detectMultiScale(gray, 1.3, 5):
                face = (gray if channels == 1 else image[:, :, ::-1])[y : y + h, x : x + w]
                picture = cv2.resize(face, (width, height)).reshape(1, height, width, channels)
                model.predict(picture, verbose=0)
            frames += 1
        print(frames / (time.perf_counter() - began), flush=True)


@contextmanager
def textbook_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, str(Path(__file__).resolve()), "--textbook", str(folder)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        _answer(process)
        yield process
    finally:
        process.kill()
        process.communicate()


def _answer(process: subprocess.Popen[str], question: str = "") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    if question:
        process.stdin.write(question + "\n")
        process.stdin.flush()
    answer = process.stdout.readline().strip()
    if not answer:
        raise RuntimeError("the textbook loop has ended; run it by hand: python benchmarks/live.py --textbook <folder>")
    return answer


# --------------------------------------------------------------------------------------------------------------- ours


def ours(video: Path, classifier: Classifier, log: Path) -> float:
    """Frames a second from file to log."""
    labels = classifier.contract.labels
    with source.opened(video) as stream:
        labeller = Labeller(stream, classifier)
        summary = main_loop.run(labeller, [JsonLinesLog(log, labels)])
    return summary.processed / summary.seconds


def agreement(video: Path) -> tuple[float, float, int]:
    """Share of the exact search's faces that ours finds too, faces beyond those as a share of them, their number."""
    fast, exact = Detector(SETTINGS.detector), Detector(commands.Detector(mode="exact"))
    found = beyond = total = 0
    for frame in source.frames(video):
        wanted, given = exact(frame.image), fast(frame.image)
        pairs = _pairs(wanted, given)
        found, beyond, total = found + pairs, beyond + len(given) - pairs, total + len(wanted)
    return found / max(1, total), beyond / max(1, total), total


def _pairs(wanted: Sequence[Box], given: Sequence[Box]) -> int:
    left, pairs = list(given), 0
    for box in wanted:
        best = max(left, key=lambda other: overlap(box, other), default=None)
        if best is not None and overlap(box, best) >= 0.5:
            left.remove(best)
            pairs += 1
    return pairs


def classification(
    classifier: Classifier, model: Path, image: Image, boxes: Sequence[Box], repeats: int
) -> list[float]:
    """Seconds a face: of crop, preparation and classification, and of a bare ``invoke``; medians of both in turn."""
    from ai_edge_litert.interpreter import Interpreter

    batch = classifier.prepare(image, boxes)
    bare = Interpreter(model_path=str(model), num_threads=SETTINGS.threads)
    index = bare.get_input_details()[0]["index"]
    bare.resize_tensor_input(index, list(batch.shape))
    bare.allocate_tensors()
    bare.set_tensor(index, batch)
    taken: list[list[float]] = [[], []]
    for _ in range(repeats):
        clock = [time.perf_counter()]
        classifier.probabilities(classifier.prepare(image, boxes))
        clock.append(time.perf_counter())
        bare.invoke()
        clock.append(time.perf_counter())
        for i, seconds in enumerate(np.diff(clock)):
            taken[i].append(float(seconds) / len(boxes))
    return [statistics.median(seconds) for seconds in taken]


def first_frame(run: Path, video: Path, folder: Path) -> tuple[float, bool]:
    """Seconds from a process's start to its first line in the log, and whether it imported TensorFlow."""
    log = folder / "first.jsonl"
    log.unlink(missing_ok=True)
    with _live(run, video, folder, f"log={log}", "max_frames=300", "loop=true") as (process, began):
        while not (log.exists() and log.stat().st_size):
            if process.poll() is not None:
                raise RuntimeError(f"no face was labelled:\n{process.communicate()[1]}")
            time.sleep(0.002)
        took = time.perf_counter() - began
        imported = "tensorflow" in Path(f"/proc/{process.pid}/maps").read_text()
    return took, imported


def memory(run: Path, video: Path, folder: Path, frames: int) -> tuple[int, int, int]:
    """Resident bytes after a tenth of the frames, over the last tenth of the time (median), and at the most."""
    log = folder / "memory.jsonl"
    early, samples = 0, [0]
    with _live(run, video, folder, f"log={log}", f"max_frames={frames}", "loop=true") as (process, _):
        while process.poll() is None:
            resident = _resident(process.pid)
            if not resident:  # it has just ended
                break
            samples.append(resident)
            if not early and _last_frame(log) >= frames / 10:
                early = resident
            time.sleep(0.2)
    if process.returncode:
        raise RuntimeError(f"the live process ended with {process.returncode}")
    last_tenth = samples[-max(1, len(samples) // 10) :]
    return early, int(statistics.median(last_tenth)), max(samples)


@contextmanager
def _live(run: Path, video: Path, folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], float]]:
    line = [sys.executable, "-m", "emotion.live", f"run={run}", f"source={video}", "display=none", *more]
    path = os.pathsep.join(p for p in (str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")) if p)
    began = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": path}
    process = subprocess.Popen(
        line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process, began
        process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _resident(pid: int) -> int | None:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return None


def _last_frame(log: Path) -> int:
    if not log.exists():
        return 0
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2000))
        lines = file.read().splitlines()
    whole: dict[str, Any] = json.loads(lines[-1]) if len(lines) > 1 else {}
    return int(whole.get("frame", 0))


# -------------------------------------------------------------------------------------------------------------- table


def scaled(clip: Path, size: tuple[int, int], folder: Path, frames: int | None) -> Path:
    """A copy of a clip at another size and, for ``--quick``, cut short; the clip itself where it is right as it is."""
    shape = None
    pictures = []
    for frame in source.frames(clip, frames):
        shape = frame.image.shape[1::-1]
        pictures.append(frame.image if shape == size else cv2.resize(frame.image, size, interpolation=cv2.INTER_CUBIC))
    if shape == size and frames is None:
        return clip
    path = folder / f"{clip.stem}_{size[0]}x{size[1]}.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, size)
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, default=Path("../shared/media"), help=f"folder with {', '.join(CLIPS)}")
    parser.add_argument("--run", type=Path, help="folder of a run whose network is used")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed, in turn; the median is shown")
    parser.add_argument("--frames", type=int, default=20_000, help="frames of the memory measurement")
    parser.add_argument("--quick", action="store_true", help="few frames, once: only to see that it works")
    parser.add_argument("--textbook", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.textbook:
        textbook(arguments.textbook)
        return
    if arguments.quick:
        arguments.rounds, arguments.frames = 1, 60
    missing = [clip for clip in CLIPS if not (arguments.media / clip).is_file()]
    if missing:
        parser.error(f"no {missing[0]} in {arguments.media}; say where it is with --media")
    print(machine.describe())
    with tempfile.TemporaryDirectory() as name:
        measure(arguments, Path(name))


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    media = [(arguments.media / clip).resolve() for clip in CLIPS]
    videos = {
        (clip.name, size): scaled(clip, size, folder, 10 if arguments.quick else None)
        for clip in media
        for size in SIZES
    }
    run_folder = (arguments.run or folder / "run").resolve()
    with textbook_process(run_folder) as yardstick:
        run = runs.resolve(str(run_folder), folder)
        classifier = engines.load(run, "litert", SETTINGS.threads)
        classifier.warm_up()
        speeds: dict[Any, tuple[list[float], list[float]]] = {key: ([], []) for key in videos}
        for _ in range(arguments.rounds):
            for key, video in videos.items():
                speeds[key][0].append(float(_answer(yardstick, str(video))))
                speeds[key][1].append(ours(video, classifier, folder / "log.jsonl"))
    print(f"Frames a second from file to log, median of {arguments.rounds} rounds in turn; the textbook loop looks for")
    print("faces of any size. Agreement is with the search of every whole frame: its faces that are found, and faces")
    print("beyond them.")
    print(f"{'clip':<26}{'size':>10}{'textbook':>10}{'ours':>8}{'ratio':>8}{'found':>8}{'beyond':>8}{'of':>6}")
    for (clip, size), (slow, fast) in speeds.items():
        found, beyond, total = agreement(videos[clip, size])
        ratio = statistics.median(b / a for a, b in zip(slow, fast, strict=True))
        print(
            f"{clip:<26}{f'{size[0]}x{size[1]}':>10}{statistics.median(slow):>10.1f}{statistics.median(fast):>8.1f}"
            f"{ratio:>7.1f}x{found:>8.1%}{beyond:>8.1%}{total:>6}",
            flush=True,
        )
    video = videos[CLIPS[0], SIZES[0]]
    image = next(source.frames(video)).image
    box = Detector()(image)[0]
    for faces in (1, 4):
        whole, bare = classification(classifier, run.tflite(), image, [box] * faces, 20 if arguments.quick else 400)
        print(
            f"classification, {faces} face{'s' if faces > 1 else ''} at once: {whole * 1e3:.2f} ms a face with cutting "
            f"and preparing, {whole / bare:.2f} times a bare invoke ({bare * 1e3:.2f} ms)"
        )
    starts = [first_frame(run.path, video, folder) for _ in range(1 if arguments.quick else 5)]
    imported = "TensorFlow imported" if any(heavy for _, heavy in starts) else "TensorFlow not imported"
    print(f"start to first labelled frame: {statistics.median(took for took, _ in starts):.2f} s, {imported}")
    early, late, most = memory(run.path, video, folder, arguments.frames)
    print(
        f"resident memory over {arguments.frames:,} frames: {early / 2**20:.0f} MiB after a tenth, "
        f"{late / 2**20:.0f} MiB at the end, {most / 2**20:.0f} MiB at the most"
    )


if __name__ == "__main__":
    main()
