"""How far an export is from its checkpoint, on pictures that both have classified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emotion.runs.formats import Tolerance

Probabilities = np.ndarray[Any, np.dtype[np.float32]]
Labels = np.ndarray[Any, np.dtype[np.int64]]

#: A recall that moves by more than this is named in the report: 2 points.
MOVED = 0.02


@dataclass(frozen=True)
class Recall:
    """A class's recall before and after; None of a class that does not occur."""

    support: int
    checkpoint: float | None
    export: float | None

    @property
    def moved(self) -> bool:
        """Whether it moved by more than 2 points, in either direction."""
        if self.checkpoint is None or self.export is None:
            return False
        return abs(self.export - self.checkpoint) > MOVED + 1e-9  # not at 2 points as floats have it


@dataclass(frozen=True)
class Comparison:
    """An export beside its checkpoint.

    Attributes:
        pictures: How many were compared.
        max_difference: Largest absolute difference of a probability.
        changed_labels: Pictures whose most probable class is another.
        accuracy: The checkpoint's and the export's; None where the truth is not known.
        recall: By class, in the order of the contract's labels; None likewise.
    """

    pictures: int
    max_difference: float
    changed_labels: int
    accuracy: tuple[float, float] | None = None
    recall: dict[str, Recall] | None = None

    @property
    def moved(self) -> list[str]:
        """The classes whose recall moved by more than 2 points."""
        return [name for name, recall in (self.recall or {}).items() if recall.moved]


def compare(
    checkpoint: Probabilities, export: Probabilities, truth: Labels | None, labels: Sequence[str]
) -> Comparison:
    """Compare two classifiers' answers on the same pictures.

    Args:
        checkpoint: float32 ``[N, labels]``, N of 1 or more, all finite.
        export: Likewise.
        truth: int64 ``[N]``, or None where it is not known.
        labels: Names of the classes.
    """
    before, after = checkpoint.argmax(axis=1), export.argmax(axis=1)
    difference = float(np.abs(export - checkpoint).max())
    changed = int((before != after).sum())
    if truth is None:
        return Comparison(len(checkpoint), difference, changed)
    recall = {}
    for index, name in enumerate(labels):
        own = truth == index
        support = int(own.sum())
        share = [float((answers[own] == index).mean()) if support else None for answers in (before, after)]
        recall[name] = Recall(support, share[0], share[1])
    accuracy = float((before == truth).mean()), float((after == truth).mean())
    return Comparison(len(checkpoint), difference, changed, accuracy, recall)


def failures(found: Comparison, tolerance: Tolerance) -> Iterator[str]:
    """What is outside the tolerance, in words; nothing where the export equals its checkpoint."""
    if tolerance.probability is not None and not found.max_difference <= tolerance.probability:
        yield (
            f"a probability differs by {found.max_difference:.2g}, and {tolerance.probability:g} is the most that is "
            f"allowed (tolerance.probability)"
        )
    if tolerance.accuracy is None or found.accuracy is None:
        return
    before, after = found.accuracy
    if not abs(after - before) <= tolerance.accuracy + 1e-9:  # as many pictures as the tolerance are within it
        yield (
            f"its accuracy is {100 * after:.2f} % instead of {100 * before:.2f} %, a difference of "
            f"{100 * abs(after - before):.2f} points, and {100 * tolerance.accuracy:g} is the most that is allowed "
            f"(tolerance.accuracy={tolerance.accuracy:g})"
        )
