"""The images on which the best entry errs most confidently, and on which the best two disagree most.

They teach more than another score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion.base.errors import UserError
from emotion.compare import pictures
from emotion.compare.board import Board, Entry
from emotion.reports import html
from emotion.runs import predictions


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers of an entry's runs, images in an order that is the same for all entries of a board.

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
            return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def read(entry: Entry, split: str) -> Predictions:
    """Read the answers of all runs of an entry.

    Raises:
        UserError: A run's file is missing or damaged, or its runs answered different images.
    """
    by_run = [predictions.read(run, split)[split] for run in entry.runs]
    stored = [_together(by_run[i : i + entry.folds]) for i in range(0, len(by_run), entry.folds)]
    orders = [np.lexsort((answers.labels, answers.hashes)) for answers in stored]
    images = [(answers.hashes[order], answers.labels[order]) for answers, order in zip(stored, orders, strict=True)]
    hashes, labels = images[0]
    for run, (run_hashes, run_labels) in zip(entry.runs[:: entry.folds], images, strict=True):
        if not np.array_equal(hashes, run_hashes) or not np.array_equal(labels, run_labels):
            raise UserError(f"run {run.id}: scored on other images than run {entry.runs[0].id}")
    probabilities = np.stack([answers.probabilities[order] for answers, order in zip(stored, orders, strict=True)])
    return Predictions(hashes, labels.astype(np.int64), probabilities)


def _together(folds: Sequence[predictions.Predictions]) -> predictions.Predictions:
    """The answers of a cross-validation's folds as those of one run."""
    columns = ([getattr(fold, name) for fold in folds] for name in ("probabilities", "labels", "hashes"))
    return predictions.Predictions(*map(np.concatenate, columns))


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


def _most(first: Predictions, second: Predictions, count: int) -> tuple[list[Disagreement], list[Disagreement]]:
    """The images that two entries answer differently, the widest gap in the right emotion's probability first.

    Those on which the first is nearer to the label, and those on which the second is, at most ``count`` each. An image
    that occurs more than once, with the same label, is shown once.
    """
    means = [p.probabilities.mean(axis=0) for p in (first, second)]
    rows = np.arange(len(first.labels))
    answers = [mean.argmax(axis=1) for mean in means]
    gap = means[0][rows, first.labels] - means[1][rows, first.labels]
    differ = answers[0] != answers[1]

    def disagreement(row: int) -> Disagreement:
        label = int(first.labels[row])
        given = [
            Answer(int(answer[row]), float(mean[row, answer[row]]), float(mean[row, label]))
            for answer, mean in zip(answers, means, strict=True)
        ]
        return Disagreement(bytes(first.hashes[row]), label, *given)

    def widest(of: NDArray[Any]) -> list[Disagreement]:
        chosen: dict[tuple[bytes, int], int] = {}
        for row in np.argsort(-of, kind="stable").tolist():
            if len(chosen) == count or of[row] <= 0:
                break
            if differ[row]:
                chosen.setdefault((bytes(first.hashes[row]), int(first.labels[row])), row)
        return [disagreement(row) for row in chosen.values()]

    return widest(gap), widest(-gap)


def _tally(first: Predictions, second: Predictions) -> tuple[int, int, int, int]:
    """Images that both have right, only the first, only the second, and neither: McNemar's table."""
    a, b = (p.probabilities.mean(axis=0).argmax(axis=1) == p.labels for p in (first, second))
    both, only_a, only_b, neither = (int(np.count_nonzero(x)) for x in (a & b, a & ~b, ~a & b, ~a & ~b))
    return both, only_a, only_b, neither


_LARGEST = 192  # pixels, longer side
_LONGEST_NAME = 20
_SMALL = 96  # below this, pixels are shown as squares


@dataclass(frozen=True)
class Disagreeing:
    """How often the best two entries are right, and images on which they differ.

    Attributes:
        names: What the two are called beside an image, where there is little room.
        tally: Images that both have right, only the first, only the second, and neither.
        most: How many images were requested.
        wanted: How many images the two disagree on, of these.
        sides: Images on which the first is nearer to the label, and those on which the second is.
        sources: Each image's data URI, by its hash, and whether it is shown smoothed.
        reasons: Why images are missing.
    """

    names: tuple[str, str]
    tally: tuple[int, int, int, int]
    most: int
    wanted: int
    sides: tuple[list[Disagreement], list[Disagreement]]
    sources: dict[bytes, tuple[str, bool]]
    reasons: list[str]

    @property
    def count(self) -> int:
        return sum(map(len, self.sides))


@dataclass(frozen=True)
class Mistaken:
    """The most confident mistakes of the best entry, by the mean of its runs' probabilities.

    Attributes:
        wrong: How many of its answers are wrong.
        wanted: How many of them were to be shown.
        found: Hash, index of the label, and the answer, of those whose images are there.
        sources: As of :class:`Disagreeing`, for the images of both.
    """

    wrong: int
    wanted: int
    found: list[tuple[bytes, int, Answer]]
    sources: dict[bytes, tuple[str, bool]]


def look(
    board: Board, first: Predictions, second: Predictions | None, most: int
) -> tuple[Mistaken, Disagreeing | None]:
    """Find the images on which a board's best entry errs most confidently, and the best two disagree most.

    Args:
        board: The comparison.
        first, second: Answers of its best entry, and of the second where there is one.
        most: How many images are shown of each; 0 shows none.
    """
    wrong, mistakes = _mistakes(first, most)
    sides = ([], []) if second is None or most <= 0 else _most(first, second, (most + 1) // 2)
    wanted = {d.hash for side in sides for d in side} | {hash_ for hash_, _, _ in mistakes}
    images, reasons = pictures.find(board.entries[:2], wanted) if wanted else ({}, [])
    sources = {
        hash_: (html.data_uri(image, _LARGEST), max(image.shape[:2]) >= _SMALL) for hash_, image in images.items()
    }
    mistaken = Mistaken(wrong, len(mistakes), [mistake for mistake in mistakes if mistake[0] in images], sources)
    if second is None:
        return mistaken, None
    best, next_best = board.entries[:2]
    short = max(len(best.name), len(next_best.name)) <= _LONGEST_NAME
    names = (best.name, next_best.name) if short else ("the best", "the second")
    nearer, further = ([d for d in side if d.hash in images] for side in sides)
    tally = _tally(first, second)
    shown = Disagreeing(names, tally, most, sum(map(len, sides)), (nearer, further), sources, reasons)
    return mistaken, shown


def _mistakes(answers: Predictions, most: int) -> tuple[int, list[tuple[bytes, int, Answer]]]:
    """How many answers are wrong, and the most confident of these, each image once."""
    mean = answers.probabilities.mean(axis=0)
    said, confidence, rows = mean.argmax(axis=1), mean.max(axis=1), np.arange(len(mean))
    wrong = np.flatnonzero(said != answers.labels)
    first: dict[bytes, tuple[bytes, int, Answer]] = {}
    for row in wrong[np.argsort(-confidence[wrong], kind="stable")].tolist():
        if len(first) == most:
            break
        label, hash_ = int(answers.labels[row]), bytes(answers.hashes[row])
        truth = float(mean[rows[row], label])
        first.setdefault(hash_, (hash_, label, Answer(int(said[row]), float(confidence[row]), truth)))
    return len(wrong), list(first.values())
