"""The tests, the correction and the intervals, against their definitions and under simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from emotion.compare import resampling, significance

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
    adjusted = significance.holm(p)
    assert set(np.flatnonzero(adjusted <= alpha)) == holm_by_definition(p, alpha)


@given(P_VALUES, st.randoms(use_true_random=False))
def test_holm_is_between_none_and_bonferroni_and_does_not_mind_the_order(p: list[float], random: object) -> None:
    adjusted = significance.holm(p)
    assert np.all(adjusted >= np.array(p))
    assert np.all(adjusted <= np.minimum(1, len(p) * np.array(p)))
    order = np.random.default_rng(0).permutation(len(p))
    np.testing.assert_allclose(significance.holm(np.array(p)[order]), adjusted[order])


@given(P_VALUES, P_VALUES)
def test_holm_over_a_part_of_a_family_is_never_more_generous_than_over_all(p: list[float], others: list[float]) -> None:
    family = len(p) + len(others)
    assert np.all(significance.holm(p, family) >= significance.holm([*p, *others])[: len(p)])


def test_a_family_cannot_be_smaller_than_what_is_given() -> None:
    with pytest.raises(ValueError, match="family is 1"):
        significance.holm([0.1, 0.2], 1)


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
@settings(max_examples=20)
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
