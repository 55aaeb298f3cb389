"""Averaged weights come with batch norm statistics of their own, by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from emotion.train import optimizers
from emotion.train.averaging import AveragedWeights
from emotion.train.fusion import fuse_batch_norm

DECAY = 0.8
RNG = np.random.default_rng(0)
PICTURES = RNG.normal(3, 2, (64, 6, 6, 2)).astype(np.float32)
TARGETS = np.eye(2, dtype=np.float32)[(PICTURES.mean(axis=(1, 2, 3)) > 3).astype(int)]


class _Recorder(keras.callbacks.Callback):
    """Every step's raw variables."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[dict[str, Any]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.append({v.path: keras.ops.convert_to_numpy(v) for v in self.model.variables})


def network(fused: bool = False) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.5, name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax", name="answers")(x))
    if fused:
        fuse_batch_norm(model)
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=DECAY)
    model.compile(optimizer, keras.losses.CategoricalCrossentropy())
    return model


def fitted(model: keras.Model, averaged: AveragedWeights, epochs: int) -> list[dict[str, Any]]:
    recorder = _Recorder()
    model.fit(
        PICTURES, TARGETS, batch_size=16, epochs=epochs, shuffle=False, verbose=0,
        validation_data=(PICTURES, TARGETS), callbacks=[averaged, recorder],
    )  # fmt: skip
    return recorder.steps


def by_hand(steps: list[dict[str, Any]], path: str) -> np.ndarray:
    average = steps[0][path]
    for n, step in enumerate(steps[1:], start=1):
        decay = min(DECAY, (1 + n) / (10 + n))
        average = decay * average + (1 - decay) * step[path]
    return average


@pytest.mark.slow
@pytest.mark.parametrize("fused", [False, True])
def test_weights_are_averaged_and_statistics_are_those_of_the_averaged_weights(fused: bool) -> None:
    model, averaged = network(fused), AveragedWeights(PICTURES.__getitem__, np.arange(64), batch_size=32)
    steps = fitted(model, averaged, 3)
    found = dict(zip([w.path for w in model.weights], averaged.values(model), strict=True))
    for path in ("conv/kernel", "norm/gamma", "answers/bias"):
        np.testing.assert_allclose(found[path], by_hand(steps, path), rtol=1e-4, atol=1e-5)

    maps = keras.ops.convert_to_numpy(keras.ops.conv(PICTURES, by_hand(steps, "conv/kernel")))
    halves = maps[:32], maps[32:]
    mean = np.mean([half.mean(axis=(0, 1, 2)) for half in halves], axis=0)
    variance = np.mean([half.var(axis=(0, 1, 2)) for half in halves], axis=0)
    np.testing.assert_allclose(found["norm/moving_mean"], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["norm/moving_variance"], variance, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_training_goes_on_from_the_raw_weights() -> None:
    model, averaged = network(), AveragedWeights(PICTURES.__getitem__, np.arange(64), batch_size=32)
    steps = fitted(model, averaged, 3)
    for variable in model.weights:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), steps[-1][variable.path])
    alone = network()
    recorder = _Recorder()
    alone.fit(PICTURES, TARGETS, batch_size=16, epochs=3, shuffle=False, verbose=0, callbacks=[recorder])
    for path, value in recorder.steps[-1].items():
        np.testing.assert_allclose(value, steps[-1][path], rtol=1e-4, atol=1e-5)
    assert model.get_layer("norm").momentum == 0.5


@pytest.mark.slow
def test_frozen_statistics_stay() -> None:
    model, averaged = network(), AveragedWeights(PICTURES.__getitem__, np.arange(64), batch_size=32)
    model.get_layer("norm").trainable = False
    fitted(model, averaged, 1)
    found = dict(zip([w.path for w in model.weights], averaged.values(model), strict=True))
    np.testing.assert_array_equal(found["norm/moving_mean"], np.zeros(4))
