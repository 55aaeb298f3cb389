"""The matrix products give what scoring each run, and each resample, by itself gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion import metrics
from emotion.compare import resampling
from emotion.faces.labels import EMOTIONS
from emotion.metrics.bootstrap import draw
from tests.helpers import folders
from tests.helpers.properties import max_examples


def _answers(runs: int, n: int, seed: int, classes: int = 7) -> tuple[resampling.Answers, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    probabilities = [rng.dirichlet(np.ones(7), n) for _ in range(runs)]
    predicted = np.stack([p.argmax(axis=1) for p in probabilities]).astype(np.uint8)
    leaked = np.zeros((runs, n), np.bool_)
    leaked[1:, : n // 3] = True
    return resampling.Answers(labels, predicted, leaked, 7, int(labels[0])), probabilities


@given(st.integers(1, 4), st.integers(2, 60), st.integers(0, 1000), st.integers(1, 7))
@max_examples(40)
def test_scores_are_those_of_the_metrics_module(runs: int, n: int, seed: int, classes: int) -> None:
    answers, probabilities = _answers(runs, n, seed, classes)
    found = resampling.scores(answers)
    for run, p in enumerate(probabilities):
        wanted = metrics.score_with_leak_free(p, answers.labels, answers.leaked[run], bootstrap=0)
        assert found.accuracy[0, run] == pytest.approx(wanted["accuracy"]["value"])
        assert found.macro_f1[0, run] == pytest.approx(wanted["macro_f1"]["value"])
        recall = wanted["per_class"][EMOTIONS[answers.rarest]]["recall"]["value"]
        assert found.rarest_recall[0, run] == pytest.approx(recall)
        assert found.leak_free_accuracy[0, run] == pytest.approx(wanted["leak_free"]["accuracy"]["value"])


def test_recall_of_a_class_that_does_not_occur_is_undefined() -> None:
    some, _ = _answers(3, 20, 2, 5)
    found = resampling.scores(resampling.Answers(some.labels, some.predicted, some.leaked, 7, rarest=6))
    np.testing.assert_array_equal(found.rarest_recall, np.full((1, 3), np.nan))


def test_intervals_of_one_run_are_those_of_its_own_report() -> None:
    answers, probabilities = _answers(2, 150, 0)
    draws = resampling.bootstrap(answers, 300, 0)
    wanted = metrics.score(probabilities[1], answers.labels, bootstrap=300, seed=0)
    ends = np.percentile(draws.macro_f1[:, 1], (2.5, 97.5))
    np.testing.assert_allclose(ends, (wanted["macro_f1"]["low"], wanted["macro_f1"]["high"]))


def test_each_resample_is_the_score_of_the_pictures_drawn() -> None:
    answers, _ = _answers(3, 40, 5)
    draws = resampling.bootstrap(answers, 25, 9)
    rows = np.concatenate(list(draw(40, 25, 9)))
    for b, drawn in enumerate(rows):
        again = resampling.scores(
            resampling.Answers(
                answers.labels[drawn], answers.predicted[:, drawn], answers.leaked[:, drawn], 7, answers.rarest
            )
        )
        np.testing.assert_allclose(draws.accuracy[b], again.accuracy[0])
        np.testing.assert_allclose(draws.macro_f1[b], again.macro_f1[0])
        np.testing.assert_allclose(draws.leak_free_accuracy[b], again.leak_free_accuracy[0])


def test_the_memory_is_bounded_by_taking_runs_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, _ = _answers(5, 30, 1)
    whole = resampling.bootstrap(answers, 20, 0)
    monkeypatch.setattr(resampling, "_BLOCK", 60)
    np.testing.assert_array_equal(resampling.bootstrap(answers, 20, 0).macro_f1, whole.macro_f1)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.integers(0, 100))
@max_examples(25)
def test_drawing_seeds_has_the_variance_of_a_mean_over_seeds(values: list[float], seed: int) -> None:
    groups = [np.arange(len(values)), np.array([0])]
    found, none = resampling.seed_luck(np.array(values), groups, 4000, seed).T
    variance = np.var(values, ddof=1) / len(values)
    assert not none.any()
    assert found.mean() == pytest.approx(0, abs=5 * np.sqrt(variance / 4000) + 1e-9)
    assert found.var() == pytest.approx(variance, rel=0.25, abs=1e-9)


def test_means_over_unequal_groups() -> None:
    values = np.array([[1.0, 2.0, 6.0, 4.0]])
    groups = [np.array([3]), np.array([0, 1, 2])]
    np.testing.assert_array_equal(resampling.means(values, groups), [[4.0, 3.0]])


def test_folders_make_answers_of_the_wanted_quality() -> None:
    labels = folders.truth(700)
    assert (folders.answers(labels, 0.7).argmax(axis=1) == labels).mean() == pytest.approx(0.7, abs=0.06)
