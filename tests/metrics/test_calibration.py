"""Temperature scaling: fitted back, order kept, and calibration better for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion import metrics
from emotion.metrics import calibration
from tests.helpers.properties import max_examples


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("sharpened", [0.5, 1.0, 1.8, 3.0])
def test_the_temperature_that_was_put_in_comes_out(sharpened):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (6000, 7))
    honest = softmax(logits).astype(np.float64)
    labels = (honest.cumsum(axis=1) < rng.random((6000, 1)) * honest.sum(axis=1, keepdims=True)).sum(axis=1).clip(0, 6)
    answers = softmax(logits * sharpened)
    temperature = calibration.fit_temperature(answers, labels)
    assert temperature == pytest.approx(sharpened, rel=0.05)
    before, after = (
        metrics.score(p, labels, bootstrap=0)["expected_calibration_error"]["value"]
        for p in (answers, calibration.apply(answers, temperature))
    )
    assert after < 0.02
    assert after < before or sharpened == 1.0


@max_examples(60)
@given(
    st.lists(st.lists(st.floats(-30, 30), min_size=7, max_size=7), min_size=1, max_size=5),
    st.floats(calibration.LOWEST, calibration.HIGHEST),
)
def test_answers_stay_and_rows_sum_to_one(logits, temperature):
    probabilities = softmax(np.array(logits))
    cooled = calibration.apply(probabilities, temperature)
    assert cooled.dtype == np.float32
    assert cooled.sum(axis=1) == pytest.approx(1, abs=1e-5)
    best = probabilities.argmax(axis=1)
    assert cooled[np.arange(len(best)), best] == pytest.approx(cooled.max(axis=1), abs=1e-6)
    assert calibration.apply(probabilities, 1.0) is probabilities


def test_perfect_and_missing_pictures_give_a_bounded_temperature():
    certain, labels = np.tile(np.eye(7, dtype=np.float32), (20, 1)), np.tile(np.arange(7), 20)
    assert calibration.fit_temperature(certain, labels) >= calibration.LOWEST
    assert calibration.fit_temperature(certain, labels[::-1].copy()) <= calibration.HIGHEST
    assert calibration.fit_temperature(certain[:99], labels[:99]) == 1.0


def test_answers_that_divide_as_people_do_are_too_cautious_for_the_majoritys_label():
    votes = np.random.default_rng(0).dirichlet(np.ones(7), 500).astype(np.float32)
    assert calibration.fit_temperature(votes, votes.argmax(axis=1)) < 0.8
