"""The tests, the correction and the intervals, against their definitions and under simulated truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, binomtest, norm
from scipy.stats import t as student_t

from emotion.compare import resampling, significance
from emotion.metrics.holm import holm
from tests.helpers.properties import max_examples

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def holm_by_definition(p: list[float], alpha: float) -> set[int]:
    """Step down: reject the smallest while it is at most alpha over how many are left."""
    rejected: set[int] = set()
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[index] * (len(p) - rank) > alpha:
            break
        rejected.add(index)
    return rejected


@given(P_VALUES, st.floats(0.001, 0.999))
def test_holm_rejects_what_stepping_down_rejects(p: list[float], alpha: float) -> None:
    adjusted = holm(p)
    assert set(np.flatnonzero(adjusted <= alpha)) == holm_by_definition(p, alpha)


@given(P_VALUES, st.randoms(use_true_random=False))
def test_holm_is_between_none_and_bonferroni_and_does_not_mind_the_order(p: list[float], random: object) -> None:
    adjusted = holm(p)
    assert np.all(adjusted >= np.array(p))
    assert np.all(adjusted <= np.minimum(1, len(p) * np.array(p)))
    order = np.random.default_rng(0).permutation(len(p))
    np.testing.assert_allclose(holm(np.array(p)[order]), adjusted[order])


@given(P_VALUES, P_VALUES)
def test_holm_over_a_part_of_a_family_is_never_more_generous_than_over_all(p: list[float], others: list[float]) -> None:
    family = len(p) + len(others)
    assert np.all(holm(p, family) >= holm([*p, *others])[: len(p)])


def test_holm_by_hand() -> None:
    # 0.01 * 3; 0.03 * 2; 0.04 * 1, but not less than the one before.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03], 5), [0.05, 0.12, 0.12])
    np.testing.assert_allclose(holm([0.6, 0.5]), [1, 1])
    np.testing.assert_allclose(holm([0.2], 1), [0.2])
    assert holm([]).tolist() == []


def test_a_family_cannot_be_smaller_than_what_is_given() -> None:
    with pytest.raises(ValueError, match="family is 1"):
        holm([0.1, 0.2], 1)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_binomial_test_less_half_of_each_tie(b: int, c: int) -> None:
    found = float(significance.mcnemar(b, c))
    assert found == pytest.approx(float(significance.mcnemar(c, b)))
    if b == c:
        assert found == 1.0
        return
    exact = binomtest(min(b, c), b + c, 0.5).pvalue
    assert found == pytest.approx(min(1.0, exact - binom.pmf(min(b, c), b + c, 0.5)), rel=1e-9, abs=1e-300)
    assert found < exact


def test_one_table_of_mcnemars_literature() -> None:
    """Bentur et al. (2009), in Fagerland et al. (2013), table 3: 1 and 7 discordant children, mid-p 0.039."""
    assert float(significance.mcnemar(1, 7)) == pytest.approx(0.039, abs=5e-4)


def test_mcnemar_by_hand() -> None:
    # 2 P(X <= k) - P(X = k) of a fair coin: 2/32 - 1/32; 2 * 5/16 - 4/16; 2 * 16/32 - 10/32.
    found = significance.mcnemar([0, 3, 2, 2, 0, 1], [5, 1, 3, 2, 0, 0])
    np.testing.assert_allclose(found, [1 / 32, 6 / 16, 22 / 32, 1, 1, 1 / 2])


# One entry of one seed and two of three, in four resamples of the images.
VALUES = np.array([0.5, 0.6, 0.7, 0.8, 0.3, 0.3, 0.6])
GROUPS = [np.array([0]), np.array([1, 2, 3]), np.array([4, 5, 6])]


def test_an_estimate_by_hand() -> None:
    draws = VALUES + np.array([[0.01], [-0.02], [0.03], [0.0]])
    found = significance.estimate(VALUES, draws, GROUPS, seed=7)
    np.testing.assert_allclose(found.means, [0.5, 0.7, 0.4])
    np.testing.assert_allclose(found.deviations, [np.nan, 0.1, np.sqrt(0.03)])
    assert found.seeds.tolist() == [1, 3, 3]
    np.testing.assert_allclose(found.seed_variances, [0, 0.01 / 3, 0.01])
    np.testing.assert_allclose(found.over_pictures, [[0.51, 0.71, 0.41], [0.48, 0.68, 0.38], [0.53, 0.73, 0.43],
                                                     [0.5, 0.7, 0.4]])  # fmt: skip
    luck = resampling.seed_luck(VALUES, GROUPS, 4, 7)
    np.testing.assert_allclose(found.over_both, found.over_pictures + luck)
    assert np.all(luck[:, 0] == 0)
    assert np.any(luck[:, 1] != 0)
    again = significance.estimate(VALUES, draws, GROUPS, seed=7)
    other = significance.estimate(VALUES, draws, GROUPS, seed=8)
    np.testing.assert_array_equal(again.over_both, found.over_both)
    assert np.any(other.over_both != found.over_both)


def _made(
    means: list[float], deviations: list[float], seeds: list[int], pictures: Any, both: Any = None
) -> significance.Estimate:
    pictures = np.array(pictures, np.float64)
    return significance.Estimate(
        np.array(means), np.array(deviations), np.array(seeds), pictures, pictures if both is None else np.array(both)
    )


#: From 0.4 to 0.6 in steps of 0.002: the 2.5th and 97.5th percentiles are 0.405 and 0.595.
EVEN = np.linspace(0.4, 0.6, 101)
#: What Student's t with 2 degrees of freedom is wider than the normal, at 97.5 %: 4.3027 / 1.9600.
T2 = 2.195271


def test_intervals_by_hand() -> None:
    one = _made([0.5], [np.nan], [1], EVEN[:, None])
    np.testing.assert_allclose(significance.intervals(one), [[0.405], [0.595]])
    # Of three seeds and no variance over images there are two degrees of freedom.
    three = _made([0.48], [0.1], [3], np.full((101, 1), 0.48), EVEN[:, None])
    low, high = 0.48 + T2 * (0.405 - 0.48), 0.48 + T2 * (0.595 - 0.48)
    np.testing.assert_allclose(significance.intervals(three), [[low], [high]], rtol=1e-5)


def test_variance_over_images_counts_as_known() -> None:
    """Satterthwaite by hand: the total squared over the uncertain part squared by its degrees of freedom."""
    over_images = 0.2**2 * (101**2 - 1) / 12 / 100**2  # the variance of 101 equal steps from 0 to 0.2
    of_seeds = 0.1**2 / 4
    freedom = (over_images + of_seeds) ** 2 / (of_seeds**2 / 3)
    found = significance.intervals(_made([0.5], [0.1], [4], EVEN[:, None]))
    wider = student_t.ppf(0.975, freedom) / norm.ppf(0.975)
    np.testing.assert_allclose(found, [[0.5 - 0.095 * wider], [0.5 + 0.095 * wider]])


def test_intervals_end_at_0_and_1() -> None:
    draws = np.stack([EVEN - 0.45, EVEN + 0.45], axis=1)
    low, high = significance.intervals(_made([0.05, 0.95], [np.nan, np.nan], [1, 1], draws))
    np.testing.assert_allclose(low, [0, 0.855])
    np.testing.assert_allclose(high, [0.145, 1])


def test_resamples_without_a_value_are_passed_over() -> None:
    some = np.concatenate([EVEN, [np.nan] * 20])
    draws = np.stack([some, np.full(121, np.nan), np.linspace(0, 1, 121)], axis=1)
    found = significance.intervals(_made([0.5, np.nan, 0.5], [np.nan] * 3, [1] * 3, draws))
    np.testing.assert_allclose(found, [[0.405, np.nan, 0.025], [0.595, np.nan, 0.975]])


def test_a_comparison_by_hand() -> None:
    of = _made([0.5, 0.7, 0.4], [np.nan, 0.02, 0.03], [1, 3, 3], np.stack([EVEN, EVEN + 0.2, 0.9 - EVEN], axis=1))
    first, second = np.array([1, 1, 2]), np.array([2, 0, 0])
    of_images = np.array([1e-4, 2e-4, 0.0])
    of_first, of_second = np.array([4e-4, 4e-4, 9e-4]) / 3, np.array([9e-4, 0, 0]) / 3
    total = of_images + of_first + of_second
    freedom = total**2 / ((of_first**2 + of_second**2) / 2)
    weights = np.array([[0, 1, -1], [-1, 1, 0], [-1, 0, 1]], np.float64)
    found = significance.contrast(of, weights, of_images)
    np.testing.assert_allclose(found.gain, [0.3, 0.2, -0.1])
    np.testing.assert_allclose(found.p, 2 * student_t.sf([0.3, 0.2, 0.1] / np.sqrt(total), freedom))
    assert freedom[2] == 2

    # Without another variance it is the bootstrap's; the intervals always are: twice, none, twice that of EVEN.
    of_images = np.array([4.0, 0.0, 4.0]) * 0.2**2 * (101**2 - 1) / 12 / 100**2
    total = of_images + of_first + of_second
    freedom = total**2 / ((of_first**2 + of_second**2) / 2)
    default = significance.compare(of, first, second)
    np.testing.assert_allclose(default.p, 2 * student_t.sf([0.3, 0.2, 0.1] / np.sqrt(total), freedom))
    wider = student_t.ppf(0.975, freedom) / norm.ppf(0.975)
    for gains in (found, default):
        np.testing.assert_allclose(gains.low, gains.gain + wider * ([0.11, 0.2, -0.29] - gains.gain))
        np.testing.assert_allclose(gains.high, gains.gain + wider * ([0.49, 0.2, 0.09] - gains.gain))


def test_a_difference_without_any_variance_is_certain_or_none() -> None:
    of = _made([0.5, 0.5, 0.7], [np.nan] * 3, [1] * 3, np.full((9, 3), 0.5))
    found = significance.compare(of, np.array([0, 0, 2]), np.array([1, 2, 0]))
    assert found.p.tolist() == [1, 0, 0]
    np.testing.assert_allclose(found.gain, [0, -0.2, 0.2])


def test_one_seed_each_is_mcnemar_and_more_are_a_permutation_test() -> None:
    correct = np.array([[1, 1, 1, 1, 1, 0, 0, 1], [0, 0, 0, 1, 0, 0, 1, 0], [1, 1, 1, 1, 1, 0.5, 0.5, 1]])
    of = _made([0.75, 0.25, 0.875], [np.nan, np.nan, 0.1], [1, 1, 2], np.tile(EVEN[:, None], 3))
    first, second = np.array([0, 1, 2, 0]), np.array([1, 0, 1, 2])
    found = significance.compare_accuracy(of, correct, first, second)
    # Five against one of six: 2 (1 + 6) / 64 - 6 / 64. Then gaps of 1 (five), -0.5 and 0.5; then two of -0.5.
    np.testing.assert_allclose(found.p[:2], 8 / 64)
    total = np.array([5.5 / 64, 0.5 / 64]) + 0.01 / 2
    freedom = total**2 / (0.01 / 2) ** 2
    np.testing.assert_allclose(found.p[2:], 2 * student_t.sf([0.625, 0.125] / np.sqrt(total), freedom))
    np.testing.assert_allclose(found.gain, [0.5, -0.5, 0.625, -0.125])


def _estimate(correct: NDArray[np.bool_], seeds: int, resamples: int, seed: int) -> significance.Estimate:
    """Accuracy of entries with some seeds each, ``correct`` is ``[R, N]``."""
    n = correct.shape[1]
    labels = np.zeros(n, np.int64)
    some = resampling.Answers(labels, (~correct).astype(np.uint8), np.zeros_like(correct), 2, 0)
    groups = [np.arange(i, i + seeds) for i in range(0, len(correct), seeds)]
    values, draws = resampling.scores(some), resampling.bootstrap(some, resamples, seed)
    return significance.estimate(values.accuracy[0], draws.accuracy, groups, seed)


def _gains(correct: NDArray[np.bool_], seeds: int, resamples: int = 200, seed: int = 0) -> significance.Gains:
    """The first entry against the second."""
    estimate = _estimate(correct, seeds, resamples, seed)
    means = correct.reshape(-1, seeds, correct.shape[1]).mean(axis=1)
    return significance.compare_accuracy(estimate, means, np.array([0]), np.array([1]))


@pytest.mark.parametrize("seeds", [1, 3])
@given(seed=st.integers(0, 1000))
@max_examples(20)
def test_the_same_answers_are_never_different(seeds: int, seed: int) -> None:
    answers = np.random.default_rng(seed).random((seeds, 80)) < 0.6
    found = _gains(np.concatenate([answers, answers]), seeds)
    assert found.gain[0] == 0
    assert found.p[0] == 1
    assert found.low[0] <= 0 <= found.high[0]


def _simulated(rng: np.random.Generator, seeds: int, spread: float, gain: float = 0.0) -> NDArray[np.bool_]:
    """Two recipes of equal worth but for ``gain``: pictures differ in difficulty, seeds in luck; ``[2 * seeds, N]``."""
    difficulty = rng.normal(0.5, 1.2, 300)
    luck = rng.normal(0, spread, (2 * seeds, 1)) + np.repeat([gain, 0.0], seeds)[:, None]
    return rng.random((2 * seeds, 300)) < 1 / (1 + np.exp(-(difficulty + luck)))


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), (3, 0.0), (3, 0.15), (5, 0.3)])
def test_equal_recipes_are_called_different_one_time_in_twenty_at_most(seeds: int, spread: float) -> None:
    """One seed each says nothing of the spread over seeds, so it is none there: equal networks, not recipes."""
    rng = np.random.default_rng(1)
    trials = 400
    called = 0
    for trial in range(trials):
        found = _gains(_simulated(rng, seeds, spread), seeds, seed=trial)
        called += bool(found.p[0] <= 0.05 and (found.low[0] > 0 or found.high[0] < 0))
    assert called / trials <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / trials)


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_real_difference_is_found_and_its_interval_holds_it(seeds: int) -> None:
    rng = np.random.default_rng(2)
    found = [_gains(_simulated(rng, seeds, 0.1, gain=0.8), seeds, seed=trial) for trial in range(100)]
    assert np.mean([f.p[0] <= 0.05 for f in found]) > 0.8
    expected = np.mean([f.gain[0] for f in found])
    assert np.mean([f.low[0] <= expected <= f.high[0] for f in found]) >= 0.9


def test_more_seeds_that_agree_narrow_the_interval_and_seeds_that_do_not_widen_it() -> None:
    rng = np.random.default_rng(3)
    widths = {}
    for spread in (0.0, 1.5):
        found = [_gains(_simulated(rng, 3, spread), 3, seed=trial) for trial in range(20)]
        widths[spread] = np.mean([f.high[0] - f.low[0] for f in found])
    assert widths[1.5] > 2 * widths[0.0]


def test_the_interval_of_one_entry_covers_the_truth() -> None:
    rng = np.random.default_rng(4)
    hits = 0
    for trial in range(300):
        low, high = significance.intervals(_estimate(rng.random((1, 200)) < 0.63, 1, 200, trial))
        hits += bool(low[0] <= 0.63 <= high[0])
    assert 0.91 <= hits / 300 <= 0.985
