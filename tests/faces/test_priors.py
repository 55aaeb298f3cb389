"""Class priors: Bayes' rule, estimates that find the truth, and messages for every value that is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.faces import priors
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS
from emotion.metrics import calibration

TRAINED = (0.1, 0.02, 0.05, 0.25, 0.33, 0.15, 0.1)
CONTRACT = Contract(48, 48, prior=TRAINED)
SHARES = st.lists(st.floats(0.01, 1), min_size=7, max_size=7).map(lambda s: tuple(v / sum(s) for v in s))


def _world(shares: tuple[float, ...], count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn by shares, and the exact posteriors under TRAINED of a Gaussian measurement of each."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(7, count, p=np.array(shares) / sum(shares))
    centres = 1.6 * np.eye(7)
    points = centres[labels] + rng.normal(0, 1, (count, 7))
    likelihood = np.exp(-0.5 * ((points[:, None] - centres) ** 2).sum(axis=2))
    posterior = likelihood * np.array(TRAINED)
    return (posterior / posterior.sum(axis=1, keepdims=True)).astype(np.float32), labels


def test_answers_for_the_true_shares_are_the_exact_posteriors() -> None:
    wanted = (0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    answers, labels = _world(wanted, 20_000)
    moved = priors.adjust(answers, TRAINED, wanted)
    accuracy, before = (moved.argmax(axis=1) == labels).mean(), (answers.argmax(axis=1) == labels).mean()
    assert accuracy > before + 0.02
    confidence = moved.max(axis=1).mean()
    assert confidence == pytest.approx(accuracy, abs=0.01), "posteriors are calibrated"


@given(SHARES, SHARES)
def test_there_and_back_is_where_one_was(wanted: tuple[float, ...], trained: tuple[float, ...]) -> None:
    answers, _ = _world(TRAINED, 20)
    there = priors.adjust(answers, trained, wanted)
    assert there.dtype == np.float32
    np.testing.assert_allclose(there.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(priors.adjust(there, wanted, trained), answers, atol=1e-4)


def test_estimated_shares_are_those_that_labels_were_drawn_by() -> None:
    wanted = (0.05, 0.3, 0.1, 0.05, 0.1, 0.3, 0.1)
    answers, labels = _world(wanted, 20_000)
    found = priors.estimate(answers, TRAINED)
    np.testing.assert_allclose(found, np.bincount(labels) / len(labels), atol=0.02)
    assert sum(found) == pytest.approx(1)
    assert np.abs(np.array(priors.estimate(answers, TRAINED, believed=1e9)) - TRAINED).max() < 1e-3
    half = priors.estimate(answers, TRAINED, weights=(labels == 5).astype(float))
    assert half[5] > 0.9, "only images that count move it"
    assert priors.estimate(answers[:0], TRAINED) == TRAINED


def test_a_class_that_training_never_presented_is_never_answered() -> None:
    answers, _ = _world(TRAINED, 50)
    trained = (0.2, 0.0, 0.2, 0.2, 0.2, 0.1, 0.1)
    assert (priors.adjust(answers, trained, (1 / 7,) * 7)[:, 1] == 0).all()
    contract = Contract(48, 48, prior=trained)
    assert priors.shares("balanced", contract) == tuple(s and 1 / 6 for s in trained)
    with pytest.raises(UserError, match=r"prior\.disgusted: training presented no such faces"):
        priors.shares({"disgusted": 0.5, "happy": 0.5}, contract)


def test_words_and_shares() -> None:
    assert priors.shares(None, CONTRACT) is priors.shares("training", CONTRACT) is None
    assert priors.shares("balanced", CONTRACT) == pytest.approx((1 / 7,) * 7)
    given_shares = priors.shares({"happy": 0.4, "neutral": 0.6}, CONTRACT)
    assert given_shares == (0, 0, 0, 0.4, 0.6, 0, 0)
    assert sum(priors.shares(dict.fromkeys(EMOTIONS, 0.143), CONTRACT) or ()) == pytest.approx(1)
    balanced = priors.with_target(CONTRACT, "balanced")
    assert priors.shares(None, balanced) == balanced.target_prior
    assert priors.with_target(balanced, "training").target_prior is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("balancd", "prior: 'balancd' is neither one of training, balanced, estimate .* Did you mean 'balanced'"),
        (3, "prior: '3' is neither"),
        ({"happy": 0.4, "neutral": 0.4}, "prior: the shares sum to 0.8, must sum to 1"),
        ({"hapy": 1.0}, "prior.hapy: no such emotion. Did you mean 'happy'"),
        ({"happy": 1.4, "sad": -0.4}, "prior.happy: '1.4' must be a share from 0 to 1"),
        ({"happy": True}, "prior.happy: 'True' must be a share"),
        ({}, "prior: the shares sum to 0"),
    ],
)
def test_other_values_are_named(setting: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        priors.shares(setting, CONTRACT)


def test_without_recorded_shares_there_is_no_other_prior() -> None:
    contract = Contract(48, 48)
    assert priors.shares("training", contract) is None
    for setting in ("balanced", "estimate", {"happy": 1.0}):
        with pytest.raises(UserError, match=r"contract\.json does not record the class shares of training"):
            priors.shares(setting, contract)


@given(SHARES, st.floats(0.3, 3))
def test_a_temperature_never_changes_the_answer_for_a_prior(wanted: tuple[float, ...], temperature: float) -> None:
    raw, _ = _world(TRAINED, 20)
    moved = priors.adjust(raw, TRAINED, wanted)
    answers = calibration.answers(raw, Contract(48, 48, temperature=temperature, prior=TRAINED, target_prior=wanted))
    best = moved.argmax(axis=1)
    np.testing.assert_allclose(answers[np.arange(20), best], answers.max(axis=1), atol=1e-6)
