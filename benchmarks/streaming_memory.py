"""How much memory it takes to stream a folder that does not fit into it: one epoch with ``dataset.cache=none``.

    python benchmarks/streaming_memory.py

Writes small JPEGs, each a picture of its own, into a temporary folder, and runs the same epoch with
``augmentation=standard`` on 1,000 and on 100,000 of them, each in a process of its own, through the functions that a
training run uses: compose, scan and hash the folder, split, open the store, iterate. Shown is each process's peak
resident memory, at its end and before the epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))
BATCH = 64


def write_pictures(folder: Path, number: int) -> None:
    """``number`` grey JPEGs of 64x64 in class folders: a gradient and noise, no two alike."""
    import cv2
    import numpy as np

    from emotion.faces.labels import EMOTIONS

    generator = np.random.default_rng(0)
    slope = np.linspace(-1, 1, 64, dtype=np.float32)
    for emotion in EMOTIONS:
        (folder / emotion).mkdir(parents=True)
    for i in range(number):
        across, down, level = generator.uniform((-60, -60, 70), (60, 60, 180))
        noise = generator.integers(-8, 9, (64, 64))
        picture = level + across * slope[np.newaxis, :] + down * slope[:, np.newaxis] + noise
        path = folder / EMOTIONS[i % len(EMOTIONS)] / f"{i:06}.jpg"
        cv2.imwrite(str(path), np.clip(picture, 0, 255).astype(np.uint8))


def child(folder: Path, cache: str, cache_dir: Path) -> None:
    """Stream one epoch; print what it took as JSON."""
    import numpy as np
    from hydra import compose, initialize_config_dir

    from emotion.config import schema
    from emotion.data import sources
    from emotion.data.cache import open_store
    from emotion.data.pipeline import Augmentation, training
    from emotion.faces.contract import Contract

    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        overrides = ["dataset=folder", f"dataset.root='{folder}'", f"dataset.cache={cache}", "augmentation=standard"]
        cfg = compose("train", [*overrides, f"dataset.cache_dir='{cache_dir}'"])
    splits = sources.load(cfg.dataset)
    contract = Contract(48, 48, "gray")
    store = open_store(splits.train, contract, cache=cfg.dataset.cache, cache_dir=cfg.dataset.cache_dir, key="train")
    before = peak()
    began, seen = time.perf_counter(), 0
    for pictures, _, _ in training(
        store,
        splits.train.labels,
        batch_size=BATCH,
        seed=0,
        epochs=1,
        augmentation=Augmentation.from_config(cfg.augmentation),
        class_weights=np.ones(7),
    ):
        seen += len(pictures)
    seconds = time.perf_counter() - began
    print(json.dumps({"peak": peak(), "before": before, "pictures": seen, "seconds": seconds}))


def peak() -> float:
    """Megabytes at the most. Not ru_maxrss where it can be helped: that starts from the parent process's."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(folder: Path, cache: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as cache_dir:
        command = [sys.executable, __file__, "--child", str(folder), "--cache", cache, "--cache-dir", cache_dir]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=1_000, help="pictures in the small folder")
    parser.add_argument("--many", type=int, default=100_000, help="pictures in the large folder")
    parser.add_argument("--cache", choices=("none", "disk", "memory"), default="none", help="dataset.cache")
    parser.add_argument("--repeats", type=int, default=1, help="processes of each; the largest peak is shown")
    parser.add_argument("--quick", action="store_true", help="100 and 700 pictures: only to see that it works")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache-dir", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.cache, arguments.cache_dir)
        return
    numbers = (100, 700) if arguments.quick else (arguments.few, arguments.many)

    print(machine.describe())
    with tempfile.TemporaryDirectory() as name:
        folders = {number: Path(name) / f"{number}" for number in numbers}
        for number, folder in folders.items():
            write_pictures(folder, number)
        runs: dict[int, list[dict[str, float]]] = {number: [] for number in numbers}
        for _ in range(arguments.repeats):
            for number, folder in folders.items():
                runs[number].append(measure(folder, arguments.cache))

    print(f"One epoch of JPEG files, dataset.cache={arguments.cache}, augmentation=standard, batches of {BATCH}.")
    print(f"{'files':>9}{'streamed':>10}{'peak MB':>9}{'before MB':>11}{'pictures/s':>12}")
    peaks = []
    for number, results in runs.items():
        worst = max(results, key=lambda r: r["peak"])
        peaks.append(worst["peak"])
        speed = worst["pictures"] / worst["seconds"]
        print(f"{number:>9,}{worst['pictures']:>10,.0f}{worst['peak']:>9.0f}{worst['before']:>11.0f}{speed:>12,.0f}")
    print(f"difference of the peaks: {peaks[1] - peaks[0]:.0f} MB")


if __name__ == "__main__":
    main()
