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
    before, after = np.tile(np.float32([0.6, 0.4, 0]), (100, 1)), np.tile(np.float32([0.6, 0.4, 0]), (100, 1))
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


def test_numbers_that_are_none_are_not_equal() -> None:
    broken = _rows([0, 1])
    broken[0, 0] = np.nan
    assert list(make.failures(make.compare(_rows([0, 1]), broken, None, LABELS), Tolerance(probability=1.0)))


def test_the_issues_tolerances() -> None:
    assert TOLERANCES[None].probability == 1e-4
    assert TOLERANCES["int8"].accuracy == 0.01
    assert Kind("litert", "int8").tolerance(Tolerance(accuracy=0.5)) == Tolerance(None, 0.5)
    assert Kind("onnx").tolerance() == Tolerance(1e-4, None)
    assert (Kind("onnx").name, Kind("litert", "int8").name) == ("onnx", "litert-int8")
