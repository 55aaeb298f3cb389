"""Scores of a classifier with 95 % intervals: the numbers of ``metrics.json`` and of the report.

Intervals come from a bootstrap over the examples. Every metric here is a function of a few sums over examples
(confusion counts, correct answers, losses, calibration residuals), so many resamples are a few calls of ``bincount``.
The value itself is computed as one resample that takes each example once; tests hold it against scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emotion.faces.labels import EMOTIONS
from emotion.metrics.bootstrap import Floats, Integers, with_intervals

#: Equal-width confidence bins of the expected calibration error, as in Guo et al. (2017).
CALIBRATION_BINS = 15

#: Smallest probability in a logarithm, as scikit-learn and Keras clip float32 probabilities: one confident error cannot
#: make the mean infinite.
EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class Reliability:
    """Accuracy against confidence, in equal-width bins of the top-1 probability.

    Attributes:
        edges: float64 ``[bins + 1]``, from 0 to 1; bin ``i`` is ``(edges[i], edges[i + 1]]``.
        confidence: float64 ``[bins]``, mean top-1 probability; NaN in an empty bin.
        accuracy: float64 ``[bins]``, fraction of correct answers; NaN in an empty bin.
        counts: int64 ``[bins]``, examples per bin.
    """

    edges: Floats
    confidence: Floats
    accuracy: Floats
    counts: Integers

    @property
    def expected_calibration_error(self) -> float:
        """Mean gap between confidence and accuracy, weighted by the bins' counts (Guo et al. 2017, equation 3)."""
        filled = self.counts > 0
        gaps = np.abs(self.accuracy - self.confidence)[filled]
        return float(np.sum(gaps * self.counts[filled]) / np.sum(self.counts))


def reliability_curve(probabilities: ArrayLike, labels: ArrayLike, bins: int = CALIBRATION_BINS) -> Reliability:
    """Bin predictions by confidence: the curve behind the reliability plot and the expected calibration error.

    ``probabilities`` and ``labels`` are as in :func:`score`; ``bins`` divide [0, 1] evenly.
    """
    p, y = _checked(probabilities, labels)
    edges = np.linspace(0.0, 1.0, bins + 1)
    confidence = p.max(axis=1)
    rows = _bins(confidence, edges)
    counts = np.bincount(rows, minlength=bins)
    with np.errstate(invalid="ignore"):  # empty bins are 0 / 0, which is the NaN that is promised
        return Reliability(
            edges=edges,
            confidence=np.bincount(rows, confidence, bins) / counts,
            accuracy=np.bincount(rows, p.argmax(axis=1) == y, bins) / counts,
            counts=counts.astype(np.int64),
        )


def score(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    names: Sequence[str] = EMOTIONS,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a classifier's probabilities.

    Macro-F1 and balanced accuracy average over the classes that occur in ``labels``: scikit-learn's
    ``f1_score(..., labels=np.unique(labels), average="macro")``, and recall likewise. A class that does not occur has
    recall None; one that is never predicted has precision None, and F1 0 if it occurs. Ties go to the first class.
    Binning makes resamples look worse calibrated than their sample, so the interval of the expected calibration error
    is shifted by that bias and cut at 0.

    Args:
        probabilities: float32 ``[N, C]``; rows sum to 1 within 1e-3 and are then scaled to sum to 1.
        labels: int64 ``[N]``, true classes in ``range(C)``.
        names: The C classes, in the order of the columns.
        bootstrap: Resamples of the 95 % percentile intervals; 0 leaves every ``low`` and ``high`` None.
        seed: Draws the resamples; the same seed and N give the same ones.

    Returns:
        ``n``, ``confusion_matrix`` (true classes on rows), ``bootstrap``, ``per_class`` (name to ``precision``,
        ``recall``, ``f1``, ``support``), ``accuracy``, ``macro_f1``, ``balanced_accuracy``, ``top2_accuracy``,
        ``negative_log_likelihood`` (nats), ``expected_calibration_error``, ready for strict JSON. Each metric is
        ``{"value", "low", "high"}``, None where undefined.

    Raises:
        ValueError: No examples, or inputs of another shape, range or sum.
    """
    p, y = _checked(probabilities, labels)
    if len(names) != p.shape[1] or len(set(names)) != len(names):
        raise ValueError(f"probabilities have {p.shape[1]} columns, names are {list(names)}: one name each is needed")
    if bootstrap < 0:
        raise ValueError(f"bootstrap is {bootstrap}, must be 0 or more")
    centred = ("expected_calibration_error",)
    entries = with_intervals(lambda rows: _resampled(p, y, rows), len(y), bootstrap, seed, centred)
    matrix = np.bincount(y * len(names) + p.argmax(axis=1), minlength=len(names) ** 2).reshape(len(names), -1)
    return {
        "n": len(y),
        **{metric: entry for metric, entry in entries.items() if metric not in _PER_CLASS},
        "per_class": {
            name: {**{metric: entries[metric][row] for metric in _PER_CLASS}, "support": int(matrix[row].sum())}
            for row, name in enumerate(names)
        },
        "confusion_matrix": matrix.tolist(),
        "bootstrap": bootstrap,
    }


def score_with_leak_free(
    probabilities: ArrayLike,
    labels: ArrayLike,
    leaked: ArrayLike,
    *,
    names: Sequence[str] = EMOTIONS,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Score all examples, and again those that are neither in the training nor in the validation split.

    Args:
        probabilities, labels, names, bootstrap, seed: As in :func:`score`.
        leaked: bool ``[N]``, whether an example is pixel-identical to a training or validation example.

    Returns:
        The official score, with the key ``leak_free``: the score of the other examples, with the number of those left
        out as ``excluded``; None if every example is leaked.
    """
    leaked = np.asarray(leaked)
    p, y = np.asarray(probabilities), np.asarray(labels)
    if leaked.dtype != np.bool_ or leaked.shape != y.shape:
        raise ValueError(f"leaked is {leaked.dtype} {list(leaked.shape)}, must be bool {list(y.shape)}, as labels are")
    official = score(p, y, names=names, bootstrap=bootstrap, seed=seed)
    excluded = int(leaked.sum())
    if excluded == len(y):
        return {**official, "leak_free": None}
    rest = score(p[~leaked], y[~leaked], names=names, bootstrap=bootstrap, seed=seed) if excluded else official
    return {**official, "leak_free": {**rest, "excluded": excluded}}


_PER_CLASS = ("precision", "recall", "f1")


def _checked(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Floats, Integers]:
    """float64 rows that sum to exactly 1, and int64 labels; ValueError for anything else."""
    p, y = np.asarray(probabilities), np.asarray(labels)
    if p.ndim != 2 or p.shape[1] < 2:
        raise ValueError(f"probabilities have shape {list(p.shape)}, must be [N, C] with two classes or more")
    if y.shape != p.shape[:1]:
        raise ValueError(f"labels have shape {list(y.shape)}, must be [{len(p)}], one for each row of probabilities")
    if not len(y):
        raise ValueError("there are no examples to score")
    if not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"labels are {y.dtype}, must be integers")
    if y.min() < 0 or y.max() >= p.shape[1]:
        raise ValueError(f"labels run from {y.min()} to {y.max()}, must be from 0 to {p.shape[1] - 1}")
    p = p.astype(np.float64)
    sums = p.sum(axis=1)
    bad = ~(np.isfinite(p).all(axis=1) & (p >= 0).all(axis=1) & (np.abs(sums - 1) <= 1e-3))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{bad.sum()} of {len(p)} rows are not probabilities (finite, none negative, sum 1 within 0.001). "
            f"The first is row {row}: {np.array2string(p[row], precision=4)}"
        )
    return p / sums[:, None], y.astype(np.int64)


def _bins(confidence: Floats, edges: Floats) -> Integers:
    return np.digitize(confidence, edges[1:-1], right=True).astype(np.int64)


def _top2_correct(p: Floats, y: Integers) -> NDArray[np.bool_]:
    """Whether at most one class ranks before the true one, bool ``[N]``.

    Unlike scikit-learn's ``top_k_accuracy_score``, ties go to the first class, as in argmax: a tied answer cannot be
    correct in top-1 and wrong in top-2.
    """
    own = p[np.arange(len(y)), y][:, None]
    earlier = np.arange(p.shape[1]) < y[:, None]
    second_or_better: NDArray[np.bool_] = np.sum((p > own) | ((p == own) & earlier), axis=1) < 2
    return second_or_better


def _resampled(p: Floats, y: Integers, rows: Integers) -> dict[str, Floats]:
    """Every metric of each resample: ``[B]``, or ``[B, C]`` for those per class; NaN where undefined.

    ``rows``, int64 ``[B, N]``, holds the examples of each resample.
    """
    count, classes = len(rows), p.shape[1]
    predicted, confidence = p.argmax(axis=1), p.max(axis=1)
    bins = _bins(confidence, np.linspace(0.0, 1.0, CALIBRATION_BINS + 1))
    resample = np.arange(count)[:, None]

    def tally(groups: Integers, size: int, weights: Floats | None = None) -> Floats:
        """Sum the weights of each group in each resample, ``[B, size]``."""
        flat = (groups[rows] + resample * size).ravel()
        weighted = None if weights is None else weights[rows].ravel()
        return np.bincount(flat, weighted, count * size).reshape(count, size).astype(np.float64)

    matrix = tally(y * classes + predicted, classes**2).reshape(count, classes, classes)
    hits, support, answers = np.einsum("bii->bi", matrix), matrix.sum(axis=2), matrix.sum(axis=1)
    gaps = tally(bins, CALIBRATION_BINS, (predicted == y) - confidence)
    losses = -np.log(np.clip(p[np.arange(len(y)), y], EPSILON, 1 - EPSILON))
    with np.errstate(invalid="ignore"):
        precision, recall, f1 = hits / answers, hits / support, 2 * hits / (support + answers)
    present = support > 0
    return {
        "accuracy": hits.sum(axis=1) / rows.shape[1],
        "macro_f1": np.sum(np.where(present, f1, 0), axis=1) / present.sum(axis=1),
        "balanced_accuracy": np.sum(np.where(present, recall, 0), axis=1) / present.sum(axis=1),
        "top2_accuracy": _top2_correct(p, y)[rows].mean(axis=1),
        "negative_log_likelihood": losses[rows].mean(axis=1),
        "expected_calibration_error": np.abs(gaps).sum(axis=1) / rows.shape[1],
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }
