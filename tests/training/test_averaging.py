"""Averaged weights come with averaged batch norm statistics, by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from emotion.training.averaging import AveragedWeights

DECAY = 0.8


class _Recorder(keras.callbacks.Callback):
    """Every step's raw variables."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[dict[str, Any]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.append({v.path: keras.ops.convert_to_numpy(v) for v in self.model.variables})


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, name="dense")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.5, name="norm")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax", name="answers")(x))
    optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=DECAY)
    model.compile(optimizer, keras.losses.CategoricalCrossentropy())
    return model


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (64, 4)).astype(np.float32)
    return x, np.eye(2, dtype=np.float32)[(x.sum(axis=1) > 12).astype(int)]


def fitted(model: keras.Model, averaged: AveragedWeights, epochs: int, first: int = 0) -> _Recorder:
    recorder = _Recorder()
    x, y = data()
    model.fit(
        x, y, batch_size=16, epochs=epochs, initial_epoch=first, shuffle=False, verbose=0, validation_data=(x, y),
        callbacks=[averaged, recorder],
    )  # fmt: skip
    return recorder


def by_hand(steps: list[dict[str, Any]], path: str) -> np.ndarray:
    average = steps[0][path]
    for step in steps[1:]:
        average = DECAY * average + (1 - DECAY) * step[path]
    return average


def test_weights_and_statistics_are_averaged_alike_and_training_goes_on_from_the_raw_ones() -> None:
    model, averaged = network(), AveragedWeights(DECAY)
    steps = fitted(model, averaged, 3).steps
    assert len(steps) == 12
    found = dict(zip([w.path for w in model.weights], averaged.values(model), strict=True))
    for path in ("dense/kernel", "norm/gamma", "norm/moving_mean", "norm/moving_variance"):
        np.testing.assert_allclose(found[path], by_hand(steps, path), rtol=1e-4, atol=1e-5)
        raw = next(keras.ops.convert_to_numpy(v) for v in model.variables if v.path == path)
        np.testing.assert_array_equal(raw, steps[-1][path])
        assert np.abs(found[path] - raw).max() > 1e-3


def test_a_run_that_goes_on_averages_on() -> None:
    whole = AveragedWeights(DECAY)
    fitted(network(), whole, 4)

    model, first = network(), AveragedWeights(DECAY)
    fitted(model, first, 2)
    second = AveragedWeights(DECAY)
    second.saved = first.statistics()
    fitted(model, second, 4, first=2)
    for one, two in zip(whole.statistics(), second.statistics(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5)


@pytest.mark.parametrize("saved", [[], [np.zeros(1)]])
def test_other_averages_are_not_taken(saved: list[np.ndarray]) -> None:
    model, averaged = network(), AveragedWeights(DECAY)
    averaged.saved = saved
    steps = fitted(model, averaged, 1).steps
    np.testing.assert_allclose(averaged.statistics()[0], by_hand(steps, "norm/moving_mean"), rtol=1e-5)
