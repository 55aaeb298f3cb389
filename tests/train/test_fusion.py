from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from emotion.train.fusion import fuse_batch_norm

PICTURES = np.random.default_rng(0).normal(3.0, 2.0, (8, 12, 10, 3)).astype("float32")
TARGETS = keras.utils.to_categorical(np.arange(8) % 3, 3)


def small_network(dtype: str = "float32", center: bool = True, scale: bool = True) -> keras.Model:
    inner = keras.Sequential(
        [
            keras.Input((12, 10, 4)),
            keras.layers.DepthwiseConv2D(3, use_bias=False, dtype=dtype),
            keras.layers.BatchNormalization(momentum=0.9, center=center, scale=scale, dtype=dtype, name="inner_norm"),
        ]
    )
    return keras.Sequential(
        [
            keras.Input((12, 10, 3)),
            keras.layers.Conv2D(4, 3, padding="same", dtype=dtype),
            keras.layers.BatchNormalization(momentum=0.8, dtype=dtype, name="norm"),
            keras.layers.ReLU(dtype=dtype),
            inner,
            keras.layers.GlobalAveragePooling2D(dtype=dtype),
            keras.layers.BatchNormalization(dtype=dtype, name="no_map"),
            keras.layers.Dense(3, dtype="float32"),
        ]
    )


def pair(dtype: str = "float32", frozen: bool = False, **norm: Any) -> tuple[keras.Model, keras.Model]:
    keras.utils.set_random_seed(1)
    plain = small_network(dtype, **norm)
    fused = keras.models.clone_model(plain)
    fused.set_weights(plain.get_weights())
    fuse_batch_norm(fused)
    for model in plain, fused:
        model.get_layer("norm").trainable = not frozen
        model.compile(keras.optimizers.SGD(0.05), keras.losses.CategoricalCrossentropy(from_logits=True))
    return plain, fused


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(
    "norm", [{}, *(pytest.param({key: False}, marks=pytest.mark.slow) for key in ("center", "scale"))], ids=str
)
def test_training_is_that_of_keras(frozen: bool, norm: dict[str, Any]) -> None:
    plain, fused = pair(frozen=frozen, **norm)
    before = plain.get_weights()
    for model in plain, fused:
        for _ in range(3):
            model.train_on_batch(PICTURES, TARGETS)
    for ours, keras_own in zip(fused.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-4, atol=1e-5)
    assert any(not np.allclose(a, b) for a, b in zip(before, fused.get_weights(), strict=True))
    statistics = fused.get_layer("norm").moving_mean.numpy()
    assert (statistics == 0).all() if frozen else (statistics != 0).all()
    np.testing.assert_allclose(
        fused.predict(PICTURES, verbose=0), plain.predict(PICTURES, verbose=0), rtol=1e-3, atol=1e-4
    )


@pytest.mark.slow
def test_bfloat16_is_near_keras() -> None:
    plain, fused = pair("mixed_bfloat16")
    for model in plain, fused:
        model.train_on_batch(PICTURES, TARGETS)
    for ours, keras_own in zip(fused.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=0.05, atol=0.02)


@pytest.mark.slow
def test_what_is_saved_is_keras_own(tmp_path: Path) -> None:
    _, fused = pair()
    fused.train_on_batch(PICTURES, TARGETS)
    fused.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    norm = next(layer for layer in config["config"]["layers"] if layer["config"]["name"] == "norm")
    assert (norm["module"], norm["class_name"], norm["registered_name"]) == ("keras.layers", "BatchNormalization", None)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(PICTURES, verbose=0), fused.predict(PICTURES, verbose=0), rtol=1e-4, atol=1e-5
    )


def test_layers_over_several_devices_and_without_a_map_stay() -> None:
    model = small_network()
    model.get_layer("norm").synchronized = True
    fuse_batch_norm(model)
    assert "call" not in vars(model.get_layer("norm"))
    assert "call" not in vars(model.get_layer("no_map"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "dtype", ["float16", *(pytest.param(dtype, marks=pytest.mark.slow) for dtype in ("float64", "bfloat16"))]
)
def test_precisions_that_the_operation_does_not_take_stay(dtype: str) -> None:
    model = small_network(dtype)
    fuse_batch_norm(model)
    model.compile(keras.optimizers.SGD(0.01), keras.losses.CategoricalCrossentropy(from_logits=True))
    model.train_on_batch(PICTURES, TARGETS)
    assert "call" not in vars(model.get_layer("norm"))


@pytest.mark.slow
def test_a_mask_is_not_lost() -> None:
    plain, fused = pair()
    mask = np.zeros((8, 12, 10), bool)
    mask[:, :6] = True
    own, ours = plain.get_layer("norm"), fused.get_layer("norm")
    maps = keras.ops.convert_to_tensor(np.random.default_rng(1).normal(size=(8, 12, 10, 4)).astype("float32"))
    np.testing.assert_allclose(ours(maps, training=True, mask=mask), own(maps, training=True, mask=mask), atol=1e-6)
