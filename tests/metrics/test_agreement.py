"""Agreement with a distribution of votes, by hand."""

import numpy as np
import pytest

from emotion.metrics import agreement


def test_by_hand():
    votes = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]], np.float32)
    probabilities = np.array([[0.5, 0.5, 0.0], [0.25, 0.75, 0.0], [0.2, 0.5, 0.3]], np.float32)
    score = agreement.score(probabilities, votes, bootstrap=0)
    third = 0.3 * np.log(0.3 / 0.5) + 0.5 * np.log(0.5 / 0.3)
    assert score["kl_divergence"]["value"] == pytest.approx((0 + np.log(4) + third) / 3, abs=1e-5)
    # The second answer is a label that nobody chose, though it comes second among equals of no votes.
    assert score["top2_agreement"]["value"] == pytest.approx(2 / 3)
    assert score["human_agreement"]["value"] == pytest.approx((0.5 + 0 + 0.3) / 3)
    assert score["kl_divergence"]["low"] is None


def test_the_votes_themselves_agree_best_and_intervals_hold_the_value():
    rng = np.random.default_rng(0)
    votes = rng.dirichlet(np.ones(7), 300)
    best = agreement.score(votes, votes, bootstrap=200)
    worse = agreement.score(votes[::-1], votes, bootstrap=200)
    assert best["kl_divergence"]["value"] == pytest.approx(0, abs=1e-6)
    assert best["top2_agreement"]["value"] == 1
    for metric in agreement.METRICS:
        assert worse[metric]["low"] < worse[metric]["value"] < worse[metric]["high"]
    assert worse["kl_divergence"]["low"] > 0.5


def test_shapes_and_rows_that_do_not_fit():
    votes = np.full((2, 7), 1 / 7)
    with pytest.raises(ValueError, match="same"):
        agreement.score(votes[:1], votes)
    with pytest.raises(ValueError, match="sum to 1"):
        agreement.score(votes, votes * 2)
