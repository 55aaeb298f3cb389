from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from emotion import metrics
from emotion.metrics import bootstrap
from tests.helpers.properties import max_examples

OVERALL = (
    "accuracy",
    "macro_f1",
    "balanced_accuracy",
    "top2_accuracy",
    "negative_log_likelihood",
    "expected_calibration_error",
    "adaptive_calibration_error",
)
RATES = ("accuracy", "top2_accuracy")


def _case(seed: int, n: int, classes: int = 7, skill: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities without ties, and labels that some classes may be missing from."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n) if seed % 2 else np.minimum(rng.poisson(1, n), classes - 1)
    logits = rng.normal(size=(n, classes)) + skill * np.eye(classes)[labels]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return p.astype(np.float32), labels.astype(np.int64)


def _normalised(p: np.ndarray) -> np.ndarray:
    wide = p.astype(np.float64)
    return wide / wide.sum(axis=1, keepdims=True)


def _names(classes: int) -> list[str]:
    return [f"class {i}" for i in range(classes)]


@pytest.mark.slow
@max_examples(25)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 80), classes=st.integers(3, 9))
def test_point_estimates_are_scikit_learns(seed: int, n: int, classes: int) -> None:
    p, y = _case(seed, n, classes)
    result = metrics.score(p, y, names=_names(classes), bootstrap=0)
    predicted, present, every = p.argmax(axis=1), np.unique(y), range(classes)
    expected = {
        "accuracy": sk.accuracy_score(y, predicted),
        "macro_f1": sk.f1_score(y, predicted, labels=present, average="macro", zero_division=0),
        "balanced_accuracy": sk.recall_score(y, predicted, labels=present, average="macro"),
        "top2_accuracy": sk.top_k_accuracy_score(y, p, k=2, labels=list(every)),
        "negative_log_likelihood": sk.log_loss(y, _normalised(p), labels=list(every)),
    }
    for metric, value in expected.items():
        assert result[metric]["value"] == pytest.approx(value, abs=2e-6), metric
    np.testing.assert_array_equal(result["confusion_matrix"], sk.confusion_matrix(y, predicted, labels=list(every)))
    for i, entry in enumerate(result["per_class"].values()):
        truth, guess = y == i, predicted == i
        assert entry["support"] == truth.sum()
        assert (entry["precision"]["value"] is None) == (not guess.any())
        assert (entry["recall"]["value"] is None) == (not truth.any())
        assert (entry["f1"]["value"] is None) == (not (truth | guess).any())
        for metric, function in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
            if entry[metric]["value"] is not None:
                assert entry[metric]["value"] == pytest.approx(function(truth, guess, zero_division=0))


def test_balanced_accuracy_is_scikit_learns_where_every_predicted_class_occurs() -> None:
    p, y = _case(1, 300)
    value = metrics.score(p, y, bootstrap=0)["balanced_accuracy"]["value"]
    assert value == pytest.approx(sk.balanced_accuracy_score(y, p.argmax(axis=1)))


def test_expected_calibration_error_by_hand() -> None:
    # Bins are 1/15 wide. 0.9 and 0.92 share bin 13 (one right of two), 0.6 is in bin 8 (right), 0.5 in bin 7 (wrong).
    p = [[0.9, 0.1], [0.92, 0.08], [0.4, 0.6], [0.5, 0.5]]
    y = [0, 1, 1, 1]
    expected = (2 * abs(0.91 - 0.5) + abs(0.6 - 1) + abs(0.5 - 0)) / 4
    curve = metrics.reliability_curve(p, y)
    assert curve.expected_calibration_error == pytest.approx(expected)
    assert metrics.score(p, y, names="ab", bootstrap=0)["expected_calibration_error"]["value"] == pytest.approx(
        expected
    )
    assert curve.counts.tolist() == [0] * 7 + [1, 1] + [0] * 4 + [2, 0]
    assert curve.confidence[13] == pytest.approx(0.91)
    assert curve.accuracy[13] == 0.5
    assert math.isnan(curve.accuracy[0])


def test_bins_are_open_below_and_closed_above() -> None:
    curve = metrics.reliability_curve([[0.75, 0.25], [0.5, 0.5], [1.0, 0.0]], [0, 0, 0], bins=4)
    assert curve.counts.tolist() == [0, 1, 1, 1]
    assert curve.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]


@max_examples(40)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), bins=st.integers(1, 20))
def test_reliability_curve_is_a_loop_over_bins(seed: int, n: int, bins: int) -> None:
    p, y = _case(seed, n)
    curve = metrics.reliability_curve(p, y, bins)
    p64 = _normalised(p)
    confidence, right = p64.max(axis=1), p64.argmax(axis=1) == y
    total = 0.0
    for b, (low, high) in enumerate(zip(curve.edges[:-1], curve.edges[1:], strict=True)):
        inside = (confidence > low) & (confidence <= high)
        assert curve.counts[b] == inside.sum()
        if inside.any():
            total += inside.sum() * abs(right[inside].mean() - confidence[inside].mean())
    assert curve.expected_calibration_error == pytest.approx(total / n)


def test_ties_go_to_the_first_class_in_top1_and_top2_alike() -> None:
    p = np.full((7, 7), 1 / 7, np.float32)
    result = metrics.score(p, np.arange(7), bootstrap=0)
    assert result["accuracy"]["value"] == pytest.approx(1 / 7)  # only class 0
    assert result["top2_accuracy"]["value"] == pytest.approx(2 / 7)  # classes 0 and 1


# ---------------------------------------------------------------------------------------------------------- bootstrap


def _naive(p: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Every metric of one resample, by scikit-learn and loops."""
    predicted, present = p.argmax(axis=1), np.unique(y)
    return {
        "accuracy": sk.accuracy_score(y, predicted),
        "macro_f1": sk.f1_score(y, predicted, labels=present, average="macro", zero_division=0),
        "balanced_accuracy": sk.recall_score(y, predicted, labels=present, average="macro"),
        "top2_accuracy": sk.top_k_accuracy_score(y, p, k=2, labels=range(p.shape[1])),
        "negative_log_likelihood": sk.log_loss(y, p, labels=range(p.shape[1])),
        "expected_calibration_error": metrics.reliability_curve(p, y).expected_calibration_error,
    }


def test_bootstrap_is_the_naive_loop_over_the_same_resamples() -> None:
    p, y = _case(4, 40, 4)
    y[y == 3], y[0] = 0, 3  # one class with a single example: it is missing from a third of the resamples
    p64 = _normalised(p)
    rows = np.concatenate(list(bootstrap.draw(40, 30, seed=5)))
    assert rows.shape == (30, 40)
    loop = [_naive(p64[row], y[row]) for row in rows]
    result = metrics.score(p, y, names="abcd", bootstrap=30, seed=5)
    for metric in ("macro_f1", "balanced_accuracy", "negative_log_likelihood"):
        low, high = np.percentile([draw[metric] for draw in loop], (2.5, 97.5))
        assert (result[metric]["low"], result[metric]["high"]) == pytest.approx((low, high), abs=1e-6), metric
    draws = np.array([draw["expected_calibration_error"] for draw in loop])
    value = result["expected_calibration_error"]["value"]
    low, high = np.percentile(np.maximum(draws - draws.mean() + value, 0), (2.5, 97.5))
    interval = result["expected_calibration_error"]
    assert (interval["low"], interval["high"]) == pytest.approx((low, high), abs=1e-9)


def test_rates_have_wilsons_interval_as_scipy_gives_it() -> None:
    p, y = _case(4, 40, 4)
    result, predicted = metrics.score(p, y, names="abcd", bootstrap=30), p.argmax(axis=1)

    def wanted(hits: int, n: int) -> tuple[float, float]:
        ends = binomtest(hits, n).proportion_ci(method="wilson")
        return ends.low, ends.high

    entry = result["accuracy"]
    assert (entry["low"], entry["high"]) == pytest.approx(wanted(int((predicted == y).sum()), 40), abs=1e-6)
    for i, name in enumerate("abcd"):
        truth, guess = y == i, predicted == i
        hits, own = int((truth & guess).sum()), result["per_class"][name]
        for metric, n in (("precision", guess.sum()), ("recall", truth.sum())):
            assert (own[metric]["low"], own[metric]["high"]) == pytest.approx(wanted(hits, int(n)), abs=1e-6)
        ends = [2 * r / (1 + r) for r in wanted(hits, int((truth | guess).sum()))]
        assert [own["f1"]["low"], own["f1"]["high"]] == pytest.approx(ends, abs=1e-6)


def test_none_right_of_four_is_not_certainly_none() -> None:
    y = np.array([0] * 4 + [1] * 40)
    result = metrics.score(np.eye(3)[np.where(y == 0, 1, y)], y, names="abc", bootstrap=50)
    recall, f1 = result["per_class"]["a"]["recall"], result["per_class"]["a"]["f1"]
    assert recall == {"value": 0.0, "low": 0.0, "high": pytest.approx(0.4899, abs=1e-4)}
    assert f1["low"] == f1["value"] == 0
    assert f1["high"] > 0.5
    assert result["per_class"]["b"]["recall"]["high"] == 1
    assert result["per_class"]["b"]["recall"]["low"] == pytest.approx(0.9124, abs=1e-4)


@max_examples(25)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 80))
def test_adaptive_bins_hold_equally_many_images(seed: int, n: int) -> None:
    p, y = _case(seed, n)
    curve = metrics.reliability_curve(p, y, adaptive=True)
    assert curve.counts.sum() == n
    assert curve.counts.max() <= math.ceil(n / 15) + 1
    value = metrics.score(p, y, bootstrap=0)["adaptive_calibration_error"]["value"]
    assert value == pytest.approx(curve.expected_calibration_error)


def test_resamples_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(bootstrap.draw(30, 20, seed=1)))
    p, y = _case(3, 30)
    once = metrics.score(p, y, bootstrap=20, seed=1)
    monkeypatch.setattr(bootstrap, "_CHUNK", 70)
    chunks = list(bootstrap.draw(30, 20, seed=1))
    assert len(chunks) == 10
    np.testing.assert_array_equal(np.concatenate(chunks), whole)
    again = metrics.score(p, y, bootstrap=20, seed=1)
    assert again["macro_f1"] == pytest.approx(once["macro_f1"])
    assert again["per_class"]["happy"]["f1"] == pytest.approx(once["per_class"]["happy"]["f1"])


def test_same_seed_same_interval_other_seed_other_interval() -> None:
    p, y = _case(7, 200)
    assert metrics.score(p, y, bootstrap=50, seed=3) == metrics.score(p, y, bootstrap=50, seed=3)
    assert (
        metrics.score(p, y, bootstrap=50, seed=3)["macro_f1"] != metrics.score(p, y, bootstrap=50, seed=4)["macro_f1"]
    )


@pytest.mark.parametrize("metric", OVERALL)
def test_intervals_hold_the_value_and_narrow_with_more_pictures(metric: str) -> None:
    widths = []
    for n in (200, 3200):
        interval = metrics.score(*_case(11, n), bootstrap=400)[metric]
        assert interval["low"] < interval["value"] < interval["high"]
        widths.append(interval["high"] - interval["low"])
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.4)  # 16 times the pictures


def test_accuracy_interval_has_the_width_of_the_normal_approximation() -> None:
    p, y = _case(13, 2000)
    interval = metrics.score(p, y, bootstrap=2000)["accuracy"]
    a = interval["value"]
    assert interval["high"] - interval["low"] == pytest.approx(2 * 1.96 * math.sqrt(a * (1 - a) / 2000), rel=0.08)


def test_calibration_interval_holds_the_value_of_a_calibrated_model() -> None:
    # Here plain percentiles lie above the value: resampling adds its own noise to each bin.
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.full(7, 0.4), 3000)
    y = (p.cumsum(axis=1) > rng.random((3000, 1))).argmax(axis=1)
    interval = metrics.score(p, y, bootstrap=300)["expected_calibration_error"]
    assert 0 <= interval["low"] < interval["value"] < interval["high"] < 0.05


def test_no_bootstrap_gives_no_interval() -> None:
    result = metrics.score(*_case(1, 20), bootstrap=0)
    assert result["bootstrap"] == 0
    assert result["accuracy"]["value"] is not None
    assert result["accuracy"]["low"] is result["accuracy"]["high"] is None
    assert result["per_class"]["sad"]["f1"]["low"] is None


# --------------------------------------------------------------------------------------------------------- edge cases


def test_perfect_classifier() -> None:
    y = np.arange(70) % 7
    result = metrics.score(np.eye(7, dtype=np.float32)[y], y, bootstrap=100)
    for metric in RATES:
        assert result[metric] == {"value": 1.0, "low": pytest.approx(0.948, abs=1e-3), "high": 1.0}
    for metric in ("macro_f1", "balanced_accuracy"):  # resamples that are all alike claim nothing
        assert result[metric] == {"value": 1.0, "low": None, "high": None}
    assert result["expected_calibration_error"] == {"value": 0.0, "low": None, "high": None}
    assert result["negative_log_likelihood"]["value"] == pytest.approx(0, abs=1e-6)


def test_worst_classifier_has_a_finite_loss() -> None:
    y = np.arange(70) % 7
    result = metrics.score(np.eye(7, dtype=np.float32)[(y + 1) % 7], y, bootstrap=100)
    assert result["accuracy"]["value"] == result["macro_f1"]["value"] == 0
    assert result["expected_calibration_error"]["value"] == 1
    limit = -math.log(np.finfo(np.float32).eps)
    assert result["negative_log_likelihood"]["value"] == pytest.approx(limit)


def test_absent_classes_are_none_and_are_left_out_of_the_macro_averages() -> None:
    # Three classes; 'c' never occurs but is predicted once, 'b' occurs and is never predicted.
    p = np.eye(3)[[0, 0, 0, 2]]
    result = metrics.score(p, [0, 0, 1, 0], names="abc", bootstrap=50)
    a, b, c = result["per_class"].values()
    assert a["precision"]["value"] == a["recall"]["value"] == a["f1"]["value"] == pytest.approx(2 / 3)
    assert b["precision"] == {"value": None, "low": None, "high": None}
    assert (b["recall"]["value"], b["f1"]["value"], b["support"]) == (0, 0, 1)
    assert c["recall"] == {"value": None, "low": None, "high": None}
    assert (c["precision"]["value"], c["f1"]["value"], c["support"]) == (0, 0, 0)
    assert result["macro_f1"]["value"] == pytest.approx((2 / 3 + 0) / 2)
    assert result["balanced_accuracy"]["value"] == pytest.approx((2 / 3 + 0) / 2)


@max_examples(40)
@given(seed=st.integers(0, 1000), n=st.integers(1, 12), bootstrap=st.integers(0, 5))
def test_result_is_strict_json(seed: int, n: int, bootstrap: int) -> None:
    p, y = _case(seed, n)
    result = metrics.score_with_leak_free(p, y, np.arange(n) % 3 == 1, bootstrap=bootstrap)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_one_picture_and_two_classes() -> None:
    result = metrics.score([[0.3, 0.7]], [1], names="ab", bootstrap=10)
    assert result["accuracy"] == result["top2_accuracy"]
    assert result["accuracy"] == {"value": 1.0, "low": pytest.approx(0.2065, abs=1e-4), "high": 1.0}


def test_rows_within_the_tolerance_are_scaled_to_sum_to_one() -> None:
    p, y = _case(5, 50)
    rough = metrics.score(p * np.float32(1.0009), y, bootstrap=0)
    for metric in OVERALL:
        assert rough[metric]["value"] == pytest.approx(metrics.score(p, y, bootstrap=0)[metric]["value"], abs=1e-6)


@pytest.mark.parametrize(
    ("p", "y", "message"),
    [
        (np.zeros((0, 7)), np.zeros(0, int), "no examples"),
        ([0.5, 0.5], [0], "must be \\[N, C\\]"),
        ([[1.0]], [0], "two classes"),
        ([[0.5, 0.5]], [0, 1], "labels have shape"),
        ([[0.5, 0.5]], [[0]], "labels have shape"),
        ([[0.5, 0.5]], [2], "from 0 to 1"),
        ([[0.5, 0.5]], [-1], "from 0 to 1"),
        ([[0.5, 0.5]], [0.0], "integers"),
        ([[0.5, 0.5], [0.5, 0.502]], [0, 1], "1 of 2 rows.*row 1"),
        ([[1.1, -0.1]], [0], "none negative"),
        ([[float("nan"), 1.0]], [0], "finite"),
        ([[float("inf"), 0.0]], [0], "finite"),
        ([[0.2, 0.3, 0.5]], [0], "one name each"),
    ],
)
def test_wrong_input_is_refused(p: Any, y: Any, message: str) -> None:
    names = "ab" if np.ndim(p) == 2 and np.shape(p)[1] < 7 else _names(7)
    with pytest.raises(ValueError, match=message):
        metrics.score(p, y, names=names)


def test_negative_bootstrap_and_repeated_names_are_refused() -> None:
    with pytest.raises(ValueError, match="bootstrap is -1"):
        metrics.score([[0.5, 0.5]], [0], names="ab", bootstrap=-1)
    with pytest.raises(ValueError, match="one name each"):
        metrics.score([[0.5, 0.5]], [0], names="aa")


# ---------------------------------------------------------------------------------------------------------- leak-free


def test_leak_free_is_the_score_of_the_rest() -> None:
    p, y = _case(9, 120)
    leaked = np.arange(120) % 4 == 0
    result = metrics.score_with_leak_free(p, y, leaked, bootstrap=30, seed=2)
    clean = result.pop("leak_free")
    assert result == metrics.score(p, y, bootstrap=30, seed=2)
    assert clean.pop("excluded") == 30
    assert clean == metrics.score(p[~leaked], y[~leaked], bootstrap=30, seed=2)
    assert result["n"] == 120
    assert clean["n"] == 90


def test_leak_free_scores_have_the_names_of_all_scores() -> None:
    p, y = _case(9, 60, 4)
    result = metrics.score_with_leak_free(p, y, np.arange(60) < 20, names="abcd", bootstrap=0)
    assert list(result["per_class"]) == list(result["leak_free"]["per_class"]) == list("abcd")


def test_nothing_leaked_repeats_the_official_score() -> None:
    p, y = _case(9, 30)
    result = metrics.score_with_leak_free(p, y, np.zeros(30, bool), bootstrap=10)
    clean = result.pop("leak_free")
    assert clean.pop("excluded") == 0
    assert clean == result


def test_everything_leaked_has_no_leak_free_score() -> None:
    p, y = _case(9, 30)
    assert metrics.score_with_leak_free(p, y, np.ones(30, bool), bootstrap=0)["leak_free"] is None


@pytest.mark.parametrize("leaked", [np.zeros(29, bool), np.zeros(30, int)])
def test_leaked_must_be_one_bool_a_picture(leaked: np.ndarray) -> None:
    with pytest.raises(ValueError, match="leaked is"):
        metrics.score_with_leak_free(*_case(9, 30), leaked)
