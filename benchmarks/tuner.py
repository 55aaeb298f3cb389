"""What a search costs beside bare training of the same trials.

    python benchmarks/tuner.py

The same configs are trained by ``python -m emotion.tune`` and by bare ``python -m emotion.train`` commands, the two
taking turns. The search may cost 10 % and one start-up more: the time from its start to its first trial. With
``--memory 50`` it instead runs a search of 50 tiny trials and prints how its memory grew.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import machine
import psutil

from emotion.base import files
from emotion.tune import history

_RATES = (0.001, 0.002, 0.003)
_BASE = ("dataset.image_size=48", "dataset.per_emotion=300", "model.stages=[16,32,64]", "trainer.bootstrap=100")
_TINY = ("dataset.image_size=48", "dataset.per_emotion=20", "model.stages=[8]", "trainer.bootstrap=0")


def search(folder: Path, base: tuple[str, ...], rates: tuple[float, ...]) -> tuple[float, float]:
    """Seconds that a search over these learning rates takes, and of them those before its first trial."""
    space = ("tuner=grid", "tuner.space=null", f"trainer.learning_rate=choice({', '.join(map(str, rates))})")
    line = [sys.executable, "-m", "emotion.tune", *base, *space, f"outputs={folder}"]
    began, clock = time.time(), time.perf_counter()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    taken = time.perf_counter() - clock
    (first,) = folder.glob("*_tune/trials/0/run.json")
    return taken, datetime.fromisoformat(files.read_json(first)["created"]).timestamp() - began


def bare(folder: Path, base: tuple[str, ...], rates: tuple[float, ...]) -> float:
    """Seconds that commands take which train the same configs one after the other."""
    clock = time.perf_counter()
    for rate in rates:
        line = [sys.executable, "-m", "emotion.train", *base, f"trainer.learning_rate={rate}", f"outputs={folder}"]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - clock


def overhead(folder: Path, base: tuple[str, ...], epochs: int, rates: tuple[float, ...], rounds: int) -> None:
    base = (*base, f"trainer.epochs={epochs}")
    print(f"{'round':>5} {'search':>9} {'start-up':>9} {'bare':>9} {'ratio without the start-up':>27}")
    ratios = []
    for number in range(rounds):
        searched, start_up = search(folder / f"search{number}", base, rates)
        trained = bare(folder / f"bare{number}", base, rates)
        ratios.append((searched - start_up) / trained)
        print(
            f"{number + 1:>5} {searched:>7.1f} s {start_up:>7.1f} s {trained:>7.1f} s {ratios[-1]:>27.3f}", flush=True
        )
    print(f"overhead of {len(rates)} trials of {epochs} epochs: {100 * (sum(ratios) / len(ratios) - 1):.1f} %")


def memory(folder: Path, trials: int) -> None:
    """Run a search of tiny trials and print the resident memory of its process after each."""
    search = ("tuner=random", f"tuner.max_trials={trials}", "trainer.epochs=1")
    line = [sys.executable, "-m", "emotion.tune", *_TINY, *search, f"outputs={folder}"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watched, seen = psutil.Process(process.pid), 0
    try:
        while process.poll() is None:
            time.sleep(0.5)
            done = [t for s in folder.glob("*_tune") for t in history.read(s) if t.status != "running"]
            if len(done) > seen and process.poll() is None:
                seen = len(done)
                print(f"after trial {seen:>3}: {watched.memory_info().rss / 2**20:.0f} MiB", flush=True)
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8, help="of each trial")
    parser.add_argument("--rounds", type=int, default=2, help="how often both are timed")
    parser.add_argument("--memory", type=int, metavar="TRIALS", help="watch the memory of a search instead")
    parser.add_argument("--quick", action="store_true", help="one round of one short trial, to see that it runs")
    asked = parser.parse_args()
    print(machine.describe())
    with tempfile.TemporaryDirectory() as folder:
        if asked.memory:
            memory(Path(folder), asked.memory)
        elif asked.quick:
            overhead(Path(folder), _TINY, 1, _RATES[:1], 1)
        else:
            search(Path(folder) / "warm", (*_TINY, "trainer.epochs=1"), _RATES[:1])  # fills the disk's cache
            overhead(Path(folder), _BASE, asked.epochs, _RATES, asked.rounds)


if __name__ == "__main__":
    main()
