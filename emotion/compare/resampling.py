"""The bootstrap of a comparison: all runs scored on the same resamples of the images, by matrix products.

A resample is a weight for each image: how often it was drawn. Every metric here is made of sums over images, so the
sums of all runs in many resamples are one product, ``[resamples, images] x [images, runs]``.

With several seeds an entry's score varies for two crossed reasons, which images and which seeds. Both are drawn, and
the two deviations added. (Drawing both at once, the "pigeonhole" bootstrap of Owen, 2007, The Annals of Applied
Statistics 1, counts the variance that is particular to an image with a seed three times; the sum counts it twice, and
so errs on the same safe side by less.) Of S seeds S - 1 are drawn with replacement, which makes the variance of their
mean unbiased (McCarthy and Snowden 1985; Rao and Wu 1988).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emotion.metrics import bootstrap as draws
from emotion.metrics.bootstrap import Floats

Weights = NDArray[np.float32]

#: Entries of a one-hot matrix held at a time: 64 MB.
_BLOCK = 2**24


@dataclass(frozen=True, eq=False)
class Answers:
    """The outputs of R runs for N images.

    Attributes:
        labels: int64 ``[N]``.
        predicted: uint8 ``[R, N]``.
        leaked: bool ``[R, N]``; rows of runs for which it is not known are False, and not to be used.
        classes: Their number.
        rarest: The class whose recall is wanted.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.uint8]
    leaked: NDArray[np.bool_]
    classes: int
    rarest: int


@dataclass(frozen=True, eq=False)
class Scores:
    """Metrics of R runs in B resamples, each float64 ``[B, R]``; NaN where undefined."""

    accuracy: Floats
    macro_f1: Floats
    leak_free_accuracy: Floats
    rarest_recall: Floats


def scores(answers: Answers) -> Scores:
    """The metrics on the images as they are, ``[1, R]``; as :func:`emotion.metrics.score` defines them."""
    return _scores(answers, np.ones((1, len(answers.labels)), np.float32))


def single(labels: NDArray[np.int64], predicted: NDArray[np.uint8], classes: int) -> tuple[float, float]:
    """Accuracy and macro-F1 of one run's answers, ``[N]``."""
    nothing: NDArray[np.bool_] = np.zeros((1, len(labels)), np.bool_)
    found = scores(Answers(labels, predicted[None], nothing, classes, 0))
    return float(found.accuracy[0, 0]), float(found.macro_f1[0, 0])


def bootstrap(answers: Answers, resamples: int, seed: int) -> Scores:
    """The metrics in resamples of the images, ``[resamples, R]``: the resamples of :mod:`emotion.metrics`."""
    chunks = [_scores(answers, weights) for weights in _weights(len(answers.labels), resamples, seed)]
    return Scores(*(np.concatenate([getattr(chunk, f.name) for chunk in chunks]) for f in fields(Scores)))


def _weights(n: int, resamples: int, seed: int) -> Iterator[Weights]:
    yield from (drawn.astype(np.float32) for drawn in draws.weights(n, resamples, seed))


def _scores(answers: Answers, weights: Weights) -> Scores:
    """The metrics under weights ``[B, N]``. Sums are whole numbers below 2^24, which float32 holds exactly."""
    order = np.argsort(answers.labels, kind="stable")
    labels, weights = answers.labels[order], weights[:, order]
    step = max(1, _BLOCK // len(labels))
    parts = [
        _block(answers, labels, weights, answers.predicted[i : i + step, order], answers.leaked[i : i + step, order])
        for i in range(0, len(answers.predicted), step)
    ]
    return Scores(*(np.concatenate(columns, axis=1) for columns in zip(*parts, strict=True)))


def _block(
    answers: Answers,
    labels: NDArray[np.int64],
    weights: Weights,
    predicted: NDArray[np.uint8],
    leaked: NDArray[np.bool_],
) -> tuple[Floats, Floats, Floats, Floats]:
    """The four metrics of some runs, images sorted by label."""
    ends = np.searchsorted(labels, np.arange(answers.classes + 1))
    support = np.stack([weights[:, a:b].sum(axis=1) for a, b in pairwise(ends)], axis=1)
    correct = np.zeros((len(weights), len(predicted)))
    f1 = np.zeros_like(correct)
    recall = np.full_like(correct, np.nan)
    with np.errstate(invalid="ignore"):
        for c in np.flatnonzero(np.diff(ends)):
            named = np.ascontiguousarray((predicted == c).T, np.float32)
            own = slice(ends[c], ends[c + 1])
            hits = (weights[:, own] @ named[own]).astype(np.float64)
            answered = hits + weights[:, : own.start] @ named[: own.start] + weights[:, own.stop :] @ named[own.stop :]
            correct += hits
            there = support[:, c, None]
            f1 += np.where(there > 0, 2 * hits / (there + answered), 0.0)
            if c == answers.rarest:
                recall = hits / there
    accuracy = correct / weights.sum(axis=1, dtype=np.float64)[:, None]
    macro_f1 = f1 / np.count_nonzero(support, axis=1)[:, None]
    return accuracy, macro_f1, _leak_free(labels, weights, predicted, leaked, accuracy), recall


def _leak_free(
    labels: NDArray[np.int64],
    weights: Weights,
    predicted: NDArray[np.uint8],
    leaked: NDArray[np.bool_],
    accuracy: Floats,
) -> Floats:
    """Accuracy without leaked images. Runs on the same data leak the same ones, so few sums are needed."""
    clean_accuracy = accuracy.copy()
    alike: dict[bytes, list[int]] = defaultdict(list)
    for row, mask in enumerate(leaked):
        alike[mask.tobytes()].append(row)
    for runs in alike.values():
        mask = leaked[runs[0]]
        if not mask.any():
            continue
        clean = weights[:, ~mask]
        right = np.ascontiguousarray((predicted[runs][:, ~mask] == labels[~mask]).T, np.float32)
        with np.errstate(invalid="ignore"):
            clean_accuracy[:, runs] = (clean @ right).astype(np.float64) / clean.sum(axis=1, dtype=np.float64)[:, None]
    return clean_accuracy


def seed_luck(values: Floats, groups: Sequence[NDArray[np.intp]], resamples: int, seed: int) -> Floats:
    """How far each entry's mean strays where other seeds are drawn, ``[resamples, E]``; 0 with one seed.

    Args:
        values: ``[R]``, each run's score.
        groups: Of each entry, which of the R runs are its seeds.
        resamples, seed: How often seeds are drawn, and what draws them.
    """
    rng = np.random.default_rng([seed, 1])
    strays = np.zeros((resamples, len(groups)))
    for column, rows in enumerate(groups):
        count = len(rows)
        if count > 1:
            times = rng.multinomial(count - 1, np.full(count, 1 / count), size=resamples)
            strays[:, column] = times @ (values[rows] - values[rows].mean()) / (count - 1)
    return strays


def means(values: Floats, groups: Sequence[NDArray[np.intp]]) -> Floats:
    """Mean over each entry's runs, ``[..., R]`` to ``[..., E]``."""
    counts = np.array([len(rows) for rows in groups])
    sums = np.add.reduceat(values[..., np.concatenate(groups)], np.cumsum(counts) - counts, axis=-1)
    return np.asarray(sums / counts)
