"""Latency of models for one image on one thread: medians of steps taken in turns, which a busy machine slows alike.

Run as a module, it measures in a process in which nothing else runs; see :func:`in_own_process`.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emotion.base import exits, processes
from emotion.base.errors import UserError
from emotion.faces.contract import Contract
from emotion.inference.classifier import Classifier

_WARM_UP = 10


def measure(classifiers: Mapping[str, Classifier], rounds: int = 200) -> dict[str, float]:
    """Median milliseconds of each model for one image.

    Each is called once per round, after some rounds that do not count, in random order: a model finds the processor's
    caches as the one before it left them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in classifiers}
    shuffle, pixels = random.Random(0).shuffle, np.random.default_rng(0)
    # Noise, not black: an export may take a shortcut through zeros.
    calls = [
        (name, classifier, pixels.integers(0, 256, (1, *classifier.contract.shape), dtype=np.uint8))
        for name, classifier in classifiers.items()
    ]
    for number in range(_WARM_UP + rounds):
        shuffle(calls)
        for name, classifier, image in calls:
            began = time.perf_counter()
            classifier.probabilities(image)
            if number >= _WARM_UP:
                seconds[name].append(time.perf_counter() - began)
    return {name: round(1000 * float(np.median(times)), 4) for name, times in seconds.items()}


def in_own_process(models: Mapping[str, Path], contract: Path) -> dict[str, float]:
    """Median milliseconds of each model, opened in another process as live video does.

    Args:
        models: Paths by name.
        contract: Path of the ``contract.json`` of them all.

    Raises:
        UserError: A model cannot be loaded there.
    """
    line, environment = processes.module(
        "emotion.inference.latency", contract, *(f"{name}={path}" for name, path in models.items())
    )
    done = subprocess.run(line, env=environment, capture_output=True, text=True, errors="replace")
    if done.returncode:
        lines = [text for text in done.stderr.splitlines() if text.strip()] or [f"exit code {done.returncode}"]
        raise UserError(f"a separate process cannot run the export ({lines[-1].removeprefix('error: ')})")
    latencies: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return latencies


def main() -> None:
    with exits.exit_codes():
        contract = Contract.load(Path(sys.argv[1]))
        models = dict(argument.split("=", 1) for argument in sys.argv[2:])
        print(json.dumps(measure({name: Classifier(path, contract) for name, path in models.items()})))


if __name__ == "__main__":
    main()
