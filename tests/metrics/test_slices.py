"""Slices: intervals as SciPy has them, gaps that are there are found, and chance is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from emotion.metrics import slices


def test_intervals_are_wilsons_as_in_scipy() -> None:
    for right, n in ((0, 5), (3, 7), (40, 40), (123, 400)):
        correct = np.arange(n) < right
        row = slices.score(correct, {"all": np.array(["a"] * n + ["b"])[:n]})["all"]["slices"][0]
        low, high = stats.binomtest(right, n).proportion_ci(method="wilson")
        assert (row["accuracy"]["low"], row["accuracy"]["high"]) == pytest.approx((low, high), abs=1e-5)
        assert row["n"] == n


def test_the_largest_gap_is_tested_as_chi_square_does_and_corrected_for_all_pairs() -> None:
    correct = np.concatenate([np.arange(100) < 80, np.arange(100) < 50, np.arange(100) < 60])
    light = np.repeat(np.array(["day", "night", "lamp"]), 100)
    other = np.tile(np.array(["x", "y"]), 150)
    found = slices.score(correct, {"light": light, "other": other})
    gap = found["light"]["gap"]
    assert (gap["best"], gap["worst"], gap["points"]) == ("day", "night", pytest.approx(0.3))
    single = stats.chi2_contingency([[80, 20], [50, 50]], correction=False).pvalue
    assert gap["p"] == pytest.approx(4 * single, rel=1e-6), "four pairs were looked at"
    assert [row["slice"] for row in found["light"]["slices"]] == ["day", "lamp", "night"]
    assert found["other"]["gap"]["p"] > 0.5


def test_many_slices_of_one_accuracy_seldom_show_a_gap() -> None:
    rng = np.random.default_rng(0)
    shown = 0
    for _ in range(200):
        correct = rng.random(600) < 0.6
        found = slices.score(correct, {"who": rng.integers(0, 12, 600).astype(str)})
        shown += found["who"]["gap"]["p"] < 0.05
    assert shown < 20


def test_small_slices_are_listed_and_not_tested_and_unknown_ones_left_out() -> None:
    values = np.array(["a"] * 19 + ["b"] * 40 + [""] * 10)
    found = slices.score(np.ones(69, bool), {"source": values})["source"]
    assert [(row["slice"], row["n"]) for row in found["slices"]] == [("a", 19), ("b", 40)]
    assert found["gap"] is None


def test_quarters_hold_as_many_images_each() -> None:
    values = np.random.default_rng(0).normal(100, 20, 400)
    names, counts = np.unique(slices.quarters(np.append(values, np.nan))[:-1], return_counts=True)
    assert sorted(counts.tolist()) == [100] * 4
    assert any(name.startswith("to ") for name in names)
    assert set(slices.quarters(np.full(9, 48.0)).tolist()) == {"to 48"}
    assert set(slices.quarters(np.full(3, np.nan)).tolist()) == {""}
    mostly_equal = slices.quarters([1, 1, 1, 9], " pixels")
    assert mostly_equal.tolist() == ["to 1 pixels"] * 3 + ["above 3 pixels"]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([1000, 1234, 1500, 1987], ["to 1176", "1176 to 1367", "1367 to 1622", "above 1622"]),
        ([100.0, 100.4, 100.8, 101.2], ["to 100.3", "100.3 to 100.6", "100.6 to 100.9", "above 100.9"]),
        ([0.25, 48.5, 99.96, 3e12], ["to 36.4", "36.4 to 74.2", "74.2 to 7.5e+11", "above 7.5e+11"]),
    ],
)
def test_quarters_are_named_by_numbers_that_tell_them_apart(values: list[float], names: list[str]) -> None:
    assert slices.quarters(values).tolist() == names
