"""What an entry's runs answered, picture by picture, from their ``predictions.npz``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion.base.errors import UserError
from emotion.compare.board import Entry
from emotion.runs import predictions
from emotion.runs.folder import Run


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers of an entry's runs, pictures in an order that is the same for all entries of a board.

    Attributes:
        hashes: ``S16`` ``[N]``, see :func:`emotion.data.fingerprint.hash_pixels`.
        labels: int64 ``[N]``.
        probabilities: float32 ``[R, N, C]``, one layer a run.
    """

    hashes: NDArray[np.bytes_]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def confusion(self) -> NDArray[np.float64]:
        """Mean over runs of the shares of each true class, float64 ``[C, C]``, true classes on rows; NaN if empty."""
        classes = self.probabilities.shape[2]
        pairs = self.labels * classes + self.probabilities.argmax(axis=2)
        counts = np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes).astype(np.float64)
        with np.errstate(invalid="ignore"):
            return counts / counts.sum(axis=1, keepdims=True)

    def support(self) -> NDArray[np.int64]:
        """Pictures of each class, int64 ``[C]``."""
        return np.bincount(self.labels, minlength=self.probabilities.shape[2]).astype(np.int64)


def read(entry: Entry, split: str) -> Predictions:
    """Read the answers of all runs of an entry.

    Raises:
        UserError: A run's file is missing or damaged, or its runs answered different pictures.
    """
    runs = [_read(run, split) for run in entry.runs]
    hashes, labels, _ = runs[0]
    for run, (other, theirs, _) in zip(entry.runs, runs, strict=True):
        if not np.array_equal(hashes, other) or not np.array_equal(labels, theirs):
            raise UserError(f"run {run.id}: scored on other pictures than run {entry.runs[0].id}")
    return Predictions(hashes, labels, np.stack([probabilities for _, _, probabilities in runs]))


def _read(run: Run, split: str) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[Any]]:
    found = predictions.read(run, split)[split]
    order = np.lexsort((found.labels, found.hashes))
    return found.hashes[order], found.labels[order].astype(np.int64), found.probabilities[order]
