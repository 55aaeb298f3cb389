"""The images on which two entries disagree most: where looking teaches more than another figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion.compare.predictions import Predictions


@dataclass(frozen=True)
class Answer:
    """An entry's answer on one image, by the mean of its runs' probabilities.

    Attributes:
        emotion: Index of the most probable emotion.
        confidence: Its probability.
        truth: Probability of the right emotion.
    """

    emotion: int
    confidence: float
    truth: float


@dataclass(frozen=True)
class Disagreement:
    """An image that two entries answer differently.

    Attributes:
        hash: Of its pixels, see :func:`emotion.data.fingerprint.hash_pixels`.
        label: Index of the emotion that it is labelled with.
        first: The first entry's answer.
        second: The second's.
    """

    hash: bytes
    label: int
    first: Answer
    second: Answer


def most(first: Predictions, second: Predictions, count: int) -> tuple[list[Disagreement], list[Disagreement]]:
    """The images on which the two answer differently and their probability of the right emotion differs most.

    An image that is there more than once, with the same label, is shown once.

    Args:
        first: Of one entry.
        second: Of another, on the same images.
        count: How many, at most, in each direction.

    Returns:
        Those on which the first is nearer to the label, widest difference first, and those on which the second is.
    """
    means = [p.probabilities.mean(axis=0) for p in (first, second)]
    rows = np.arange(len(first.labels))
    answers = [mean.argmax(axis=1) for mean in means]
    gap = means[0][rows, first.labels] - means[1][rows, first.labels]
    differ = answers[0] != answers[1]

    def disagreement(row: int) -> Disagreement:
        label = int(first.labels[row])
        said = [
            Answer(int(answer[row]), float(mean[row, answer[row]]), float(mean[row, label]))
            for answer, mean in zip(answers, means, strict=True)
        ]
        return Disagreement(bytes(first.hashes[row]), label, *said)

    def widest(of: NDArray[Any]) -> list[Disagreement]:
        chosen: dict[tuple[bytes, int], int] = {}
        for row in np.argsort(-of, kind="stable").tolist():
            if len(chosen) == count or of[row] <= 0:
                break
            if differ[row]:
                chosen.setdefault((bytes(first.hashes[row]), int(first.labels[row])), row)
        return [disagreement(row) for row in chosen.values()]

    return widest(gap), widest(-gap)


def tally(first: Predictions, second: Predictions) -> tuple[int, int, int, int]:
    """Pictures that both have right, only the first, only the second, and neither: McNemar's table."""
    right, other = (p.probabilities.mean(axis=0).argmax(axis=1) == p.labels for p in (first, second))
    return (
        int((right & other).sum()),
        int((right & ~other).sum()),
        int((~right & other).sum()),
        int((~right & ~other).sum()),
    )
