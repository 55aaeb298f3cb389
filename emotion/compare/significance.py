"""Whether two entries differ: McNemar's test and its generalisation to several seeds, intervals, Holm's correction.

One run each: McNemar's test on the images that just one of them gets right, mid-p (Fagerland, Lydersen and Laake
2013, BMC Medical Research Methodology 13:91).

Several seeds: each image has a mean correctness d_i = A_i - B_i over the seeds. Flipping the signs of the d_i at
random, the permutation test of which McNemar's is the case of one seed, gives their mean the variance sum(d_i^2) / N^2.
That alone would ask about these networks; to ask about what the next seed gives, the variance of each entry's mean over
its seeds is added, and the ratio has Student's t with the degrees of freedom of Satterthwaite (1946).

Macro-F1 is no mean over images: its variance over images is the bootstrap's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emotion.compare import resampling
from emotion.metrics.bootstrap import Floats

CONFIDENCE = 0.95


def mcnemar(first_only: ArrayLike, second_only: ArrayLike) -> Floats:
    """Two-sided mid-p of McNemar's test.

    Args:
        first_only: int ``[...]``, images that only the first gets right.
        second_only: int ``[...]``, images that only the second gets right.

    Returns:
        float64 ``[...]``, from 0 to 1; 1 where the two counts are equal.
    """
    from scipy.special import bdtr  # a quarter of a second that a mistake need not wait for

    b, c = np.asarray(first_only, np.int64), np.asarray(second_only, np.int64)
    total, fewer = b + c, np.minimum(b, c)
    up_to = bdtr(fewer, np.maximum(total, 1), 0.5)
    below = np.where(fewer > 0, bdtr(np.maximum(fewer - 1, 0), np.maximum(total, 1), 0.5), 0.0)
    return np.where(b == c, 1.0, np.minimum(1.0, up_to + below))  # 2 P(X <= k) - P(X = k)


@dataclass(frozen=True, eq=False)
class Estimate:
    """One metric of E entries: what intervals and tests of it are made of.

    Attributes:
        means: float64 ``[E]``, mean over the seeds.
        deviations: float64 ``[E]``, standard deviation over the seeds (n - 1); NaN with one.
        seeds: int64 ``[E]``, how many.
        over_pictures: float64 ``[B, E]``, the mean in resamples of the images.
        over_both: float64 ``[B, E]``, in resamples of the images and of the seeds.
    """

    means: Floats
    deviations: Floats
    seeds: NDArray[np.int64]
    over_pictures: Floats
    over_both: Floats

    @property
    def seed_variances(self) -> Floats:
        """Of each mean over seeds, ``[E]``; 0 with one seed, which says nothing of it."""
        return np.where(self.seeds > 1, self.deviations**2 / self.seeds, 0.0)


def estimate(values: Floats, draws: Floats, groups: Sequence[NDArray[np.intp]], seed: int) -> Estimate:
    """Gather the scores of R runs into E entries.

    Args:
        values: ``[R]``, each run's score.
        draws: ``[B, R]``, in each resample of the images.
        groups: Of each entry, which runs are its seeds.
        seed: Draws the seeds of each resample.
    """
    over_pictures = resampling.means(draws, groups)
    return Estimate(
        means=resampling.means(values, groups),
        deviations=np.array([np.std(values[rows], ddof=1) if len(rows) > 1 else np.nan for rows in groups]),
        seeds=np.array([len(rows) for rows in groups]),
        over_pictures=over_pictures,
        over_both=over_pictures + resampling.seed_luck(values, groups, len(draws), seed),
    )


def intervals(of: Estimate) -> tuple[Floats, Floats]:
    """Lower and upper end of each entry's 95 % interval, ``[E]``, fractions.

    The two-level percentile bootstrap. With several seeds its distances from the mean are widened by Student's t over
    the normal, because a few seeds show their own spread badly.
    """
    # Of each entry over the images; 0 where no resample defines it.
    variances = np.asarray(np.ma.masked_invalid(of.over_pictures).var(axis=0).filled(0.0))
    freedom = _satterthwaite(variances, np.diag(of.seed_variances), of.seeds)
    low, high = _percentiles(of.over_both, of.means, freedom)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


@dataclass(frozen=True, eq=False)
class Gains:
    """K differences, first entry minus second: float64 ``[K]`` each; ``p`` is not corrected."""

    gain: Floats
    low: Floats
    high: Floats
    p: Floats


def contrast(of: Estimate, weights: Floats, picture_variances: Floats | None = None) -> Gains:
    """Differences of weighted sums of entries on the same images.

    Args:
        of: The metric.
        weights: ``[K, E]``, each row sums to 0: of two entries 1 and -1; of a main effect 1/C and -1/C for the C
            entries with either level.
        picture_variances: ``[K]``, variance of each over the images where there is no difference; default the
            bootstrap's.
    """
    from scipy.special import stdtr

    gain = weights @ of.means
    gain[np.abs(gain) < 1e-12] = 0.0  # what is left of equal sums
    bootstrapped = np.var(of.over_pictures @ weights.T, axis=0)
    of_pictures = bootstrapped if picture_variances is None else picture_variances
    of_seeds = weights**2 * of.seed_variances
    error = np.sqrt(of_pictures + of_seeds.sum(axis=1))
    ratio = np.divide(np.abs(gain), error, out=np.where(gain == 0, 0.0, np.inf), where=error > 0)
    p = 2 * stdtr(_satterthwaite(of_pictures, of_seeds, of.seeds), -ratio)
    low, high = _percentiles(of.over_both @ weights.T, gain, _satterthwaite(bootstrapped, of_seeds, of.seeds))
    return Gains(gain, low, high, p)


def contrast_accuracy(of: Estimate, correct: Floats, weights: Floats) -> Gains:
    """As :func:`contrast`; ``correct`` is float ``[E, N]``, mean correctness of each image over an entry's seeds."""
    gaps = weights @ correct
    return contrast(of, weights, np.einsum("kn,kn->k", gaps, gaps) / correct.shape[1] ** 2)


def compare(of: Estimate, first: NDArray[np.intp], second: NDArray[np.intp]) -> Gains:
    """Paired differences of entries on the same images: ``[K]`` entries, and what each is compared with."""
    return contrast(of, _pairs(first, second, len(of.means)))


def compare_accuracy(of: Estimate, correct: Floats, first: NDArray[np.intp], second: NDArray[np.intp]) -> Gains:
    """Paired differences of accuracy, tested by McNemar's test or its generalisation to seeds.

    Args:
        of: Accuracy.
        correct: As in :func:`contrast_accuracy`.
        first, second: As in :func:`compare`.
    """
    gains = contrast_accuracy(of, correct, _pairs(first, second, len(of.means)))
    one_each = np.flatnonzero((of.seeds[first] == 1) & (of.seeds[second] == 1))
    gaps = [correct[first[k]] - correct[second[k]] for k in one_each]
    wins = np.array([np.count_nonzero(gap > 0) for gap in gaps], np.int64)
    losses = np.array([np.count_nonzero(gap < 0) for gap in gaps], np.int64)
    gains.p[one_each] = mcnemar(wins, losses)
    return gains


def _pairs(first: NDArray[np.intp], second: NDArray[np.intp], entries: int) -> Floats:
    weights = np.zeros((len(first), entries))
    rows = np.arange(len(first))
    weights[rows, first], weights[rows, second] = 1.0, -1.0
    return weights


def name(metric: str, seeds: int, pair: bool) -> str:
    """What the test of a difference is called.

    Args:
        metric: ``accuracy`` or ``macro_f1``.
        seeds: The most seeds of an entry in it.
        pair: Whether it is one of two entries.
    """
    if metric == "accuracy" and pair and seeds == 1:
        return "McNemar, mid-p"
    over = "over images and seeds" if seeds > 1 else "over images"
    kind = "paired t test" if seeds > 1 else "paired z test"
    return f"{kind} {over}" + ("" if metric == "accuracy" else ", bootstrap variance")


def _satterthwaite(of_pictures: Floats, of_seeds: Floats, seeds: NDArray[np.int64]) -> Floats:
    """Degrees of freedom of a sum of variances, ``[K]`` and ``[K, E]``; those over thousands of images count as known.

    ``seeds``, ``[E]``, is of how many each variance of ``of_seeds`` is.
    """
    total = of_pictures + of_seeds.sum(axis=1)
    uncertain = (of_seeds**2 / np.maximum(seeds - 1, 1)).sum(axis=1)
    return np.asarray(np.divide(total**2, uncertain, out=np.full_like(total, np.inf), where=uncertain > 0))


def _percentiles(draws: Floats, centre: Floats, freedom: Floats) -> tuple[Floats, Floats]:
    from scipy.special import ndtri, stdtrit

    ends = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    percent = [100 * end for end in ends]
    if np.isnan(draws).any():  # a resample may not define the metric, such as a recall without its class
        defined = [column[~np.isnan(column)] for column in draws.T]
        ends_of = np.array([np.percentile(d, percent) if d.size else (np.nan, np.nan) for d in defined]).T
    else:
        ends_of = np.percentile(draws, percent, axis=0)
    wider = np.where(np.isinf(freedom), 1.0, stdtrit(np.minimum(freedom, 1e9), ends[1]) / ndtri(ends[1]))
    low, high = centre + (ends_of - centre) * wider
    return low, high
