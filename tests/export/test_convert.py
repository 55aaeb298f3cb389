"""Conversion keeps every activation that a config may name, and says what a format cannot hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emotion.faces.contract import Contract
from emotion.inference import convert
from emotion.inference.classifier import Classifier

pytestmark = pytest.mark.slow

CONTRACT = Contract(height=16, width=24)


def _model(activation):
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input(CONTRACT.shape, dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 64, offset=-2)(image)
    x = keras.layers.Conv2D(8, 5, strides=2)(x)
    x = activation(x) if callable(activation) else keras.layers.Activation(activation)(x)
    return keras.Model(image, keras.layers.Dense(7, activation="softmax")(keras.layers.Flatten()(x)))


@pytest.mark.parametrize("activation", ["relu6", "gelu", "silu", "leaky_relu"])
def test_onnx_equals_keras(activation: str, tmp_path: Path) -> None:
    model = _model(activation)
    (tmp_path / "model.onnx").write_bytes(convert.onnx(model))
    pictures = np.random.default_rng(0).integers(0, 256, (40, *CONTRACT.shape), np.uint8)
    says = Classifier(tmp_path / "model.onnx", CONTRACT).probabilities(pictures)
    np.testing.assert_allclose(says, model.predict(pictures, verbose=0), rtol=0, atol=1e-5)
    assert np.ptp(says, axis=0).max() > 0.1


def test_what_a_format_lacks_is_told() -> None:
    import keras

    model = _model(lambda x: keras.ops.cast(keras.ops.erfinv(x / 1e3), "float32"))
    with pytest.raises(convert.NoConversionError, match="Erfinv"):
        convert.onnx(model)


def test_int8_needs_pictures() -> None:
    with pytest.raises(ValueError, match="representative images"):
        convert.litert(_model("relu6"), "int8")


def test_int8_leaves_answers_alone_that_are_put_in_another_order(tmp_path: Path) -> None:
    import keras

    model = _model("relu6")
    order = [3, 1, 0, 2, 6, 5, 4]
    model = keras.Model(model.input, keras.ops.take(model.output, order, axis=-1))
    pictures = np.random.default_rng(0).integers(0, 256, (40, *CONTRACT.shape), np.uint8)
    (tmp_path / "model.tflite").write_bytes(convert.litert(model, "int8", pictures))
    says = Classifier(tmp_path / "model.tflite", CONTRACT).probabilities(pictures)
    np.testing.assert_allclose(says.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(says, model.predict(pictures, verbose=0), rtol=0, atol=0.05)
