"""What counts as equal, and what is said of an export that is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from emotion.export import make
from emotion.runs.exports import TOLERANCES, Kind, Tolerance

LABELS = ("a", "b", "c")


def _rows(answers: list[int]) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[answers]


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=60))
def test_figures_are_scikit_learns(rows: list[tuple[int, int, int]]) -> None:
    truth, before, after = (list(column) for column in zip(*rows, strict=True))
    found = make.compare(_rows(before), _rows(after), np.array(truth), LABELS)
    assert found.accuracy == pytest.approx(
        (metrics.accuracy_score(truth, before), metrics.accuracy_score(truth, after))
    )
    assert found.changed_labels == sum(b != a for b, a in zip(before, after, strict=True))
    assert found.max_difference == (1 if found.changed_labels else 0)
    for index, name in enumerate(LABELS):
        recall = found.recall[name]
        assert recall.support == truth.count(index)
        if not recall.support:
            assert recall.checkpoint is recall.export is None
            assert name not in found.moved
            continue
        expected = [metrics.recall_score(truth, p, labels=[index], average="macro") for p in (before, after)]
        assert [recall.checkpoint, recall.export] == pytest.approx(expected)
        assert (name in found.moved) == (abs(expected[0] - expected[1]) > 0.02 + 1e-9)


def test_two_points_are_not_more_than_two_points() -> None:
    assert not make.Recall(50, 0.58, 0.60).moved
    assert not make.Recall(50, 0.30, 0.28).moved
    assert make.Recall(49, 0.58, 0.58 - 1 / 49).moved


def test_without_the_truth_only_probabilities_count() -> None:
    found = make.compare(_rows([0, 1]), _rows([0, 2]), None, LABELS)
    assert (found.accuracy, found.recall, found.moved, found.changed_labels) == (None, None, [], 1)
    assert list(make.failures(found, Tolerance(accuracy=0.01))) == []
    assert len(list(make.failures(found, Tolerance(probability=0.5)))) == 1


def test_each_tolerance_is_held() -> None:
    truth = np.zeros(100, np.int64)
    before = np.tile(np.array([0.6, 0.4, 0], np.float32), (100, 1))
    after = before.copy()
    after[0] = [0.4, 0.6, 0]
    one = make.compare(before, after, truth, LABELS)
    assert list(make.failures(one, Tolerance(accuracy=0.01))) == []  # 1 of 100 is 1 point
    after[1] = [0.4, 0.6, 0]
    two = make.compare(before, after, truth, LABELS)
    (said,) = make.failures(two, Tolerance(accuracy=0.01))
    assert said.startswith("its accuracy is 98.00 % instead of 100.00 %, a difference of 2.00 points; the limit is 1 ")
    (said,) = make.failures(two, Tolerance(probability=1e-4))
    assert "a probability differs by 0.2; the limit is 0.0001" in said
    assert len(list(make.failures(two, Tolerance(0.1, 0.01)))) == 2
    better = make.compare(after, before, truth, LABELS)  # not equal either
    assert len(list(make.failures(better, Tolerance(accuracy=0.01)))) == 1


def test_labels_that_change_without_a_loss_of_accuracy_are_refused() -> None:
    """An undertrained network: 71 of 300 labels change, as many to the better as to the worse."""
    before = np.zeros(300, np.int64)
    after = before.copy()
    after[:71] = 1
    truth = np.where(np.arange(300) < 35, 1, 0)
    truth[70] = 2
    found = make.compare(_rows(before.tolist()), _rows(after.tolist()), truth, LABELS)
    assert found.accuracy[0] == found.accuracy[1]
    (said,) = make.failures(found, TOLERANCES["int8"])
    assert said.startswith("71 of 300 labels change (23.7 %); the limit is 2 % (tolerance.changed_labels=0.02)")
    after[6:71] = 0
    allowed = make.compare(_rows(before.tolist()), _rows(after.tolist()), truth, LABELS)
    assert allowed.changed_labels == 6
    assert not [said for said in make.failures(allowed, TOLERANCES["int8"]) if "labels change" in said]


def test_numbers_that_are_none_are_not_equal() -> None:
    broken = _rows([0, 1])
    broken[0, 0] = np.nan
    assert list(make.failures(make.compare(_rows([0, 1]), broken, None, LABELS), Tolerance(probability=1.0)))


def test_the_issues_tolerances() -> None:
    assert TOLERANCES[None].probability == 1e-4
    assert TOLERANCES["int8"].accuracy == 0.01
    assert TOLERANCES["int8"].changed_labels == 0.02
    assert Kind("litert", "int8").tolerance(Tolerance(accuracy=0.5)) == Tolerance(None, 0.5, 0.02)
    assert Kind("litert", "int8").tolerance(Tolerance(changed_labels=0.3)) == Tolerance(None, 0.01, 0.3)
    assert Kind("onnx").tolerance() == Tolerance(1e-4, None)
    assert (Kind("onnx").name, Kind("litert", "int8").name) == ("onnx", "litert-int8")
