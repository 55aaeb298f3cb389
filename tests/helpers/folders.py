"""Finished runs without a training: folders of the real format, with answers that a test chooses."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.base import files
from emotion.compare import candidates
from emotion.compare.candidates import Candidate
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS
from emotion.runs.history import COLUMNS, write_history
from tests.conftest import compose

CLASSES = len(EMOTIONS)


def truth(n: int, seed: int = 0) -> NDArray[np.int64]:
    """Labels of n pictures, each emotion among them."""
    return np.random.default_rng(seed).permutation(np.arange(n) % CLASSES)


def answers(labels: NDArray[np.int64], right: float, seed: int = 0) -> NDArray[np.float32]:
    """float32 ``[N, 7]``: probabilities of which a share is right."""
    rng = np.random.default_rng([seed, 7])
    said = np.where(rng.random(len(labels)) < right, labels, (labels + rng.integers(1, CLASSES, len(labels))) % CLASSES)
    p = rng.uniform(0.01, 0.1, (len(labels), CLASSES))
    p[np.arange(len(labels)), said] += 1.0
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


@cache
def _config(model: str) -> DictConfig:
    return compose("train", f"model={model}", "dataset.per_emotion=40")


def make(
    root: Path,
    name: str,
    *,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    model: str = "cnn",
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    pictures: int = 0,
    order: NDArray[np.int64] | None = None,
    leaked: NDArray[np.bool_] | None = None,
    **record: Any,
) -> runs.Run:
    """Write a finished run.

    Args:
        root: The outputs folder.
        name: The run's id.
        labels, probabilities: Of the test split; the validation split gets the same.
        model: Option under ``conf/model``.
        seed: The run's.
        settings: Dotted keys of the config, changed.
        pictures: Another number, other pictures.
        order: In which the pictures are stored.
        leaked: bool ``[N]``; default none is.
        record: Fields of ``run.json``.
    """
    cfg = _config(model).copy()
    cfg.seed = seed
    cfg.outputs = str(root)
    for key, value in (settings or {}).items():
        OmegaConf.update(cfg, key, value, force_add=True)
    run = runs.create(root / name, root, cfg)
    Contract(48, 48).save(run.path / "contract.json")
    (run.path / "checkpoints").mkdir()
    checkpoint = run.path / "checkpoints" / "best.keras"
    checkpoint.write_bytes(name.encode())
    (run.path / "model.tflite").write_bytes(bytes(1000))
    hashes = np.array([f"{pictures}-{i:012d}".encode() for i in range(len(labels))], "S16")
    rows = np.arange(len(labels)) if order is None else order
    columns = {
        "probabilities": probabilities[rows],
        "labels": labels[rows].astype(np.int8),
        "hashes": hashes[rows],
        "leaked": (np.zeros(len(labels), np.bool_) if leaked is None else leaked)[rows],
    }
    arrays = {f"{split}_{key}": value for split in ("validation", "test") for key, value in columns.items()}
    with (run.path / "predictions.npz").open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    files.write_json(run.path / "metrics.json", {"checkpoint": files.sha256(checkpoint)})
    write_history(run.path / "history.csv", [dict.fromkeys(COLUMNS, 0.5) | {"epoch": e} for e in (1.0, 2.0)])
    fields = {
        "status": "done",
        "data": {"dataset": "synthetic", "pixels": f"trained on {pictures}", "recognised": None},
        "parameters": 1_000_000,
        "training_seconds": 60.0,
        "commit": "0123456",
    }
    runs.update(run, **(fields | record))
    return run


def read(*made: runs.Run, split: str = "test") -> list[Candidate]:
    """Read runs that are fit to be compared."""
    found, unfit = candidates.read(made, split)
    assert not unfit, unfit
    return found
