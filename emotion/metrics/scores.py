"""Scores of a classifier with 95 % intervals: the numbers of ``metrics.json`` and of the report.

Rates (accuracy, top-2 accuracy, precision, recall, and by way of one F1) have Wilson's interval, everything else that
of a bootstrap over the examples. Every metric here is a function of a few sums over examples (confusion counts, losses,
calibration residuals), so many resamples are one matrix product. The value itself is computed as one resample that
takes each example once; tests hold it against scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emotion.faces.labels import EMOTIONS
from emotion.metrics.bootstrap import RESAMPLES, Floats, Integers, entry, with_intervals
from emotion.metrics.proportions import wilson, wilson_f1

#: Confidence bins of both calibration errors, as in Guo et al. (2017): equally wide ones of the expected calibration
#: error, and of the adaptive one (Nguyen and O'Connor 2015) such that hold equally many examples.
CALIBRATION_BINS = 15
#: Metrics whose intervals are Wilson's; that of the F1 of one class is made of one.
RATES = ("accuracy", "top2_accuracy", "precision", "recall", "f1")

#: Smallest probability in a logarithm, as scikit-learn and Keras clip float32 probabilities: one confident error cannot
#: make the mean infinite.
EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class Reliability:
    """Accuracy against confidence, in bins of the top-1 probability.

    Attributes:
        edges: float64 ``[bins + 1]``, ascending; bin ``i`` is ``(edges[i], edges[i + 1]]``.
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


def reliability_curve(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = CALIBRATION_BINS, *, adaptive: bool = False
) -> Reliability:
    """Bin predictions by confidence: the curve behind the reliability plot and the calibration errors.

    ``probabilities`` and ``labels`` are as in :func:`score`; ``bins`` divide [0, 1] evenly, or, where ``adaptive``, the
    examples, but for equal confidences, which stay together.
    """
    p, y = _checked(probabilities, labels)
    confidence = p.max(axis=1)
    edges = _edges(confidence, bins, adaptive)
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
    bootstrap: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a classifier's probabilities.

    Macro-F1 and balanced accuracy average over the classes that occur in ``labels``: scikit-learn's
    ``f1_score(..., labels=np.unique(labels), average="macro")``, and recall likewise. A class that does not occur has
    recall None; one that is never predicted has precision None, and F1 0 if it occurs. Ties go to the first class.
    Binning makes resamples look worse calibrated than their sample, so the intervals of the calibration errors are
    shifted by that bias and cut at 0; bins are those of the sample.

    Args:
        probabilities: float32 ``[N, C]``; rows sum to 1 within 1e-3 and are then scaled to sum to 1.
        labels: int64 ``[N]``, true classes in ``range(C)``.
        names: The C classes, in the order of the columns.
        bootstrap: Resamples of the 95 % percentile intervals; 0 leaves every ``low`` and ``high`` None, Wilson's too.
        seed: Draws the resamples; the same seed and N give the same ones.

    Returns:
        ``n``, ``confusion_matrix`` (true classes on rows), ``bootstrap``, ``per_class`` (name to ``precision``,
        ``recall``, ``f1``, ``support``), ``accuracy``, ``macro_f1``, ``balanced_accuracy``, ``top2_accuracy``,
        ``negative_log_likelihood`` (nats), ``expected_calibration_error``, ``adaptive_calibration_error``, and
        ``intervals``, how they were made; ready for strict JSON. Each metric is ``{"value", "low", "high"}``, None
        where undefined.

    Raises:
        ValueError: No examples, or inputs of another shape, range or sum.
    """
    p, y = _checked(probabilities, labels)
    if len(names) != p.shape[1] or len(set(names)) != len(names):
        raise ValueError(f"probabilities have {p.shape[1]} columns, names are {list(names)}: one name each is needed")
    if bootstrap < 0:
        raise ValueError(f"bootstrap is {bootstrap}, must be 0 or more")
    matrix = np.bincount(y * len(names) + p.argmax(axis=1), minlength=len(names) ** 2).reshape(len(names), -1)
    centred = ("expected_calibration_error", "adaptive_calibration_error")
    entries = with_intervals(_statistics(p, y), len(y), bootstrap, seed, centred)
    if bootstrap:
        entries |= _rates(entries, matrix)
    return {
        "n": len(y),
        **{metric: entry for metric, entry in entries.items() if metric not in _PER_CLASS},
        "per_class": {
            name: {**{metric: entries[metric][row] for metric in _PER_CLASS}, "support": int(matrix[row].sum())}
            for row, name in enumerate(names)
        },
        "confusion_matrix": matrix.tolist(),
        "bootstrap": bootstrap,
        "intervals": {"confidence": 0.95, "wilson": list(RATES), "others": "percentile bootstrap over images",
                      "resamples": bootstrap, "seed": seed} if bootstrap else None,
    }  # fmt: skip


def _rates(entries: Mapping[str, Any], matrix: NDArray[np.int64]) -> dict[str, Any]:
    """The entries of :data:`RATES` with Wilson's intervals."""
    hits, support, answers = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    n = matrix.sum()

    def values(metric: str) -> Floats:
        return np.array([one["value"] for one in entries[metric]], np.float64)  # NaN for None

    return {
        **{m: entry(entries[m]["value"], *wilson(round(entries[m]["value"] * n), n))
           for m in ("accuracy", "top2_accuracy")},
        "precision": entry(values("precision"), *wilson(hits, answers)),
        "recall": entry(values("recall"), *wilson(hits, support)),
        "f1": entry(values("f1"), *wilson_f1(hits, answers, support)),
    }  # fmt: skip


def score_with_leak_free(
    probabilities: ArrayLike,
    labels: ArrayLike,
    leaked: ArrayLike,
    *,
    names: Sequence[str] = EMOTIONS,
    bootstrap: int = RESAMPLES,
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


def score_parts(
    probabilities: ArrayLike,
    labels: Mapping[str, ArrayLike],
    *,
    names: Sequence[str] = EMOTIONS,
    bootstrap: int = RESAMPLES,
) -> dict[str, dict[str, Any]]:
    """The scores on each part of a mixed dataset: part to what :func:`score` returns.

    Args:
        probabilities, names, bootstrap: As in :func:`score`.
        labels: Part to int ``[N]``, the part's own label of each example, -1 where the part does not have it. A part
            that has none of the examples is left out.
    """
    p, by_part = np.asarray(probabilities), {}
    for part, column in labels.items():
        own = np.asarray(column)
        rows = np.flatnonzero(own >= 0)
        if len(rows):
            by_part[part] = score(p[rows], own[rows], names=names, bootstrap=bootstrap)
    return by_part


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


def _edges(confidence: Floats, bins: int, adaptive: bool) -> Floats:
    return np.quantile(confidence, np.linspace(0, 1, bins + 1)) if adaptive else np.linspace(0.0, 1.0, bins + 1)


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


def _statistics(p: Floats, y: Integers) -> Callable[[Floats], dict[str, Floats]]:
    """From resamples, float64 ``[B, N]``, to every metric of each: ``[B]``, or ``[B, C]`` for those per class."""
    classes, predicted, confidence = p.shape[1], p.argmax(axis=1), p.max(axis=1)
    gap = (predicted == y) - confidence
    binned = [_bins(confidence, _edges(confidence, CALIBRATION_BINS, adaptive)) for adaptive in (False, True)]
    losses = -np.log(np.clip(p[np.arange(len(y)), y], EPSILON, 1 - EPSILON))
    # Columns of sums over examples: pairs of truth and answer, gaps in bins of both kinds, two means.
    pairs, columns = _one_hot(y * classes + predicted, np.ones(len(y)))
    gaps = [_one_hot(bins, gap)[1] for bins in binned]
    sums = np.concatenate([columns, *gaps, _top2_correct(p, y)[:, None], losses[:, None]], axis=1)
    ends = np.cumsum([columns.shape[1], *(g.shape[1] for g in gaps)])

    def statistics(drawn: Floats) -> dict[str, Floats]:
        found = drawn @ sums
        n = drawn.sum(axis=1)
        matrix = np.zeros((len(drawn), classes**2))
        matrix[:, pairs] = found[:, : ends[0]]
        matrix = matrix.reshape(-1, classes, classes)
        hits, support, answers = np.einsum("bii->bi", matrix), matrix.sum(axis=2), matrix.sum(axis=1)
        with np.errstate(invalid="ignore"):
            precision, recall, f1 = hits / answers, hits / support, 2 * hits / (support + answers)
        present = support > 0
        return {
            "accuracy": hits.sum(axis=1) / n,
            "macro_f1": np.sum(np.where(present, f1, 0), axis=1) / present.sum(axis=1),
            "balanced_accuracy": np.sum(np.where(present, recall, 0), axis=1) / present.sum(axis=1),
            "top2_accuracy": found[:, -2] / n,
            "negative_log_likelihood": found[:, -1] / n,
            "expected_calibration_error": np.abs(found[:, ends[0] : ends[1]]).sum(axis=1) / n,
            "adaptive_calibration_error": np.abs(found[:, ends[1] : ends[2]]).sum(axis=1) / n,
            "precision": precision,
            "recall": recall,
            "f1": f1,
        }

    return statistics


def _one_hot(groups: Integers, values: Floats) -> tuple[Integers, Floats]:
    """The groups that occur, ``[G]``, and float64 ``[N, G]``: each example's value in the column of its group."""
    present, place = np.unique(groups, return_inverse=True)
    columns = np.zeros((len(groups), len(present)))
    columns[np.arange(len(groups)), place] = values
    return present, columns
