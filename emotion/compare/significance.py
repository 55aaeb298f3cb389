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


def holm(p: ArrayLike, family: int | None = None) -> Floats:
    """Holm's step-down adjustment (1979, Scandinavian Journal of Statistics 6), in the order given.

    Args:
        p: float ``[K]``, p values.
        family: How many hypotheses there are; default K. Those whose p values are not given are taken to be smaller
            than none of these, which can only make the adjusted values larger.

    Returns:
        float64 ``[K]``; rejecting those at most alpha makes a false rejection with probability at most alpha.
    """
    values = np.asarray(p, np.float64)
    family = len(values) if family is None else family
    if family < len(values):
        raise ValueError(f"family is {family}, but there are {len(values)} p values")
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, (family - np.arange(len(values))) * values[order]))
    return adjusted


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
    freedom = _satterthwaite(variances, [(of.seed_variances, of.seeds)])
    low, high = _percentiles(of.over_both, of.means, freedom)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


@dataclass(frozen=True, eq=False)
class Gains:
    """K differences, first entry minus second: float64 ``[K]`` each; ``p`` is not corrected."""

    gain: Floats
    low: Floats
    high: Floats
    p: Floats


def compare(
    of: Estimate, first: NDArray[np.intp], second: NDArray[np.intp], picture_variances: Floats | None = None
) -> Gains:
    """Paired differences of entries on the same images.

    Args:
        of: The metric.
        first: ``[K]``, entries.
        second: ``[K]``, what each is compared with.
        picture_variances: ``[K]``, variance of each difference over the images where there is no difference; default
            the bootstrap's.
    """
    from scipy.special import stdtr

    gain = of.means[first] - of.means[second]
    bootstrapped = np.var(of.over_pictures[:, first] - of.over_pictures[:, second], axis=0)
    of_pictures = bootstrapped if picture_variances is None else picture_variances
    of_seeds = [(of.seed_variances[i], of.seeds[i]) for i in (first, second)]
    error = np.sqrt(of_pictures + of_seeds[0][0] + of_seeds[1][0])
    ratio = np.divide(np.abs(gain), error, out=np.where(gain == 0, 0.0, np.inf), where=error > 0)
    p = 2 * stdtr(_satterthwaite(of_pictures, of_seeds), -ratio)
    freedom = _satterthwaite(bootstrapped, of_seeds)
    low, high = _percentiles(of.over_both[:, first] - of.over_both[:, second], gain, freedom)
    return Gains(gain, low, high, p)


def compare_accuracy(of: Estimate, correct: Floats, first: NDArray[np.intp], second: NDArray[np.intp]) -> Gains:
    """Paired differences of accuracy, tested by McNemar's test or its generalisation to seeds.

    Args:
        of: Accuracy.
        correct: float ``[E, N]``, mean correctness of each image over an entry's seeds.
        first, second: As in :func:`compare`.
    """
    n = correct.shape[1]
    gaps = [correct[i] - correct[j] for i, j in zip(first, second, strict=True)]
    gains = compare(of, first, second, np.array([np.dot(d, d) for d in gaps]) / n**2)
    one_each = np.flatnonzero((of.seeds[first] == 1) & (of.seeds[second] == 1))
    wins = np.array([np.count_nonzero(gaps[k] > 0) for k in one_each], np.int64)
    losses = np.array([np.count_nonzero(gaps[k] < 0) for k in one_each], np.int64)
    gains.p[one_each] = mcnemar(wins, losses)
    return gains


def _satterthwaite(of_pictures: Floats, of_seeds: Sequence[tuple[Floats, NDArray[np.int64]]]) -> Floats:
    """Degrees of freedom of a sum of variances; those over thousands of images count as known."""
    total = of_pictures + sum(variance for variance, _ in of_seeds)
    uncertain = sum(variance**2 / np.maximum(seeds - 1, 1) for variance, seeds in of_seeds)
    return np.divide(total**2, uncertain, out=np.full_like(total, np.inf), where=uncertain > 0)


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
