"""The loss for targets of which any is right, by hand."""

import keras
import numpy as np
import pytest

from emotion.train.objectives import LOSSES


def test_any_right_label_counts_alone():
    targets = np.array([[1, 0, 1], [0, 1, 0]], np.float32)
    probabilities = np.array([[0.2, 0.2, 0.6], [0.5, 0.25, 0.25]], np.float32)
    loss = keras.ops.convert_to_numpy(LOSSES["any_target"](targets, probabilities))
    assert loss == pytest.approx([-np.log(0.6), -np.log(0.25)], rel=1e-5)


def test_it_is_cross_entropy_where_one_label_is_right():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(7), 20).astype(np.float32)
    targets = np.eye(7, dtype=np.float32)[rng.integers(0, 7, 20)]
    a, b = (
        keras.ops.convert_to_numpy(LOSSES[name](targets, probabilities)) for name in ("any_target", "cross_entropy")
    )
    assert a == pytest.approx(b, rel=1e-4)


def test_a_label_without_probability_is_no_infinity():
    loss = LOSSES["any_target"](np.eye(2, dtype=np.float32)[:1], np.array([[0.0, 1.0]], np.float32))
    assert np.isfinite(keras.ops.convert_to_numpy(loss)).all()
