"""How far an export differs from its checkpoint, on images that both have classified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emotion.runs.exports import Tolerance

Probabilities = np.ndarray[Any, np.dtype[np.float32]]
Labels = np.ndarray[Any, np.dtype[np.int64]]

#: A recall that changes by more than this is named in the report: 2 points.
MOVED = 0.02


@dataclass(frozen=True)
class Recall:
    """A class's recall with both models; None for a class that does not occur."""

    support: int
    checkpoint: float | None
    export: float | None

    @property
    def moved(self) -> bool:
        """Whether it changed by more than 2 points, in either direction."""
        if self.checkpoint is None or self.export is None:
            return False
        return abs(self.export - self.checkpoint) > MOVED + 1e-9  # not at 2 points as floats have it


@dataclass(frozen=True)
class Comparison:
    """An export's outputs compared with its checkpoint's.

    Attributes:
        pictures: Number of images.
        max_difference: Largest absolute difference of a probability.
        changed_labels: Images whose most probable class differs.
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
        """The classes whose recall changed by more than 2 points."""
        return [name for name, recall in (self.recall or {}).items() if recall.moved]


def compare(
    checkpoint: Probabilities, export: Probabilities, truth: Labels | None, labels: Sequence[str]
) -> Comparison:
    """Compare the outputs of two classifiers on the same images.

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


def failures(comparison: Comparison, tolerance: Tolerance) -> Iterator[str]:
    """What is outside the tolerance, in words; nothing where the export equals its checkpoint."""
    if tolerance.probability is not None and not comparison.max_difference <= tolerance.probability:
        yield (
            f"a probability differs by {comparison.max_difference:.2g}; the limit is {tolerance.probability:g} "
            f"(tolerance.probability)"
        )
    if tolerance.accuracy is None or comparison.accuracy is None:
        return
    before, after = comparison.accuracy
    if not abs(after - before) <= tolerance.accuracy + 1e-9:  # a difference of just the limit is allowed
        yield (
            f"its accuracy is {100 * after:.2f} % instead of {100 * before:.2f} %, a difference of "
            f"{100 * abs(after - before):.2f} points; the limit is {100 * tolerance.accuracy:g} "
            f"(tolerance.accuracy={tolerance.accuracy:g})"
        )
