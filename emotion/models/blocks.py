"""The input and output layers of every model, and blocks that several models share."""

from __future__ import annotations

from typing import Any

import keras

from emotion.faces.contract import Contract

#: Of batch norm's statistics. Keras's default needs hundreds of steps, more than small datasets have per epoch.
MOMENTUM = 0.9


def normalised_input(contract: Contract, channels: int | None = None) -> tuple[Any, Any]:
    """Return the uint8 input and the same images as float32 in [-1, 1], both ``[N, H, W, C]``.

    Normalisation is part of the model, so no caller can forget it or do it twice.

    Args:
        contract: Shape and colour of the input.
        channels: 3 repeats the channel of a grey input, for backbones that need three.
    """
    inputs = keras.Input(contract.shape, dtype="uint8", name="image")
    # float32 in every precision: bfloat16 has 8 bits of precision, too few for scaled pixel values.
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="normalise")(inputs)
    if channels == 3 and contract.channels == 1:
        x = keras.layers.Concatenate(dtype="float32", name="repeat_gray")([x, x, x])
    return inputs, x


def head(x: Any, contract: Contract, dropout: float = 0.0) -> Any:
    """Dropout, one dense layer, softmax: features ``[N, F]`` to float32 probabilities ``[N, len(labels)]``."""
    if dropout > 0:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    x = keras.layers.Dense(len(contract.labels), dtype="float32", name="logits")(x)
    return keras.layers.Softmax(dtype="float32", name="probabilities")(x)


def squeeze_excitation(x: Any, name: str, ratio: int = 8) -> Any:
    """Reweight channels by their global averages (Hu, Shen, Sun 2018, "Squeeze-and-Excitation Networks")."""
    channels = x.shape[-1]
    weights = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    weights = keras.layers.Conv2D(max(4, channels // ratio), 1, activation="relu", name=f"{name}_reduce")(weights)
    weights = keras.layers.Conv2D(channels, 1, activation="sigmoid", name=f"{name}_expand")(weights)
    return keras.layers.Multiply(name=f"{name}_reweight")([x, weights])
