"""Runs as a comparison sees them, without their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emotion.compare.candidates import Candidate
from emotion.faces.labels import EMOTIONS
from emotion.runs import RunRecord
from emotion.runs.folder import Run

BASE: dict[str, Any] = {
    "dataset": {"name": "fer2013", "root": "a", "cache": "memory", "cache_dir": "c", "split_seed": 0},
    "augmentation": {"ops": [{"flip": {"probability": 0.5}}, {"rotate": {"degrees": 8}}], "mixup": 0.0},
    "model": {"name": "cnn", "dropout": 0.2, "stages": [16, 32]},
    "trainer": {"learning_rate": 0.1, "threads": None, "bootstrap": 1000},
    "seed": 0,
    "outputs": "outputs",
    "resume": None,
}


def candidate(number: int = 0, commit: str = "abc", pixels: str = "p", **changed: Any) -> Candidate:
    """A run with this config, ``section__key`` changed; made after those with a smaller number."""
    config = {k: dict(v) if isinstance(v, dict) else v for k, v in BASE.items()}
    for key, value in changed.items():
        section, _, name = key.partition("__")
        if name:
            config[section][name] = value
        else:
            config[section] = value
    n = np.zeros(1, np.int64)
    return Candidate(
        run=Run(Path(f"out/sweep/{number}"), f"sweep/{number}"),
        record=RunRecord(created=f"2026-01-01T00:00:{number:02d}", commit=commit, data={"pixels": pixels}),
        config=config,
        names=EMOTIONS,
        pictures="same",
        labels=n,
        predicted=n.astype(np.uint8),
        leaked=None,
        calibration_error=0.0,
        stale=False,
    )
