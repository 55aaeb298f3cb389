"""MobileNetV2 (Sandler et al. 2018) with a new head (``model=mobilenet_v2``).

The backbone is a nested model called ``backbone``: the trainer freezes it for ``frozen_epochs`` and keeps its batch
normalisation statistics for ``batch_norm_frozen_epochs``.
"""

from __future__ import annotations

import os
from pathlib import Path

import keras

from emotion.base.errors import UserError
from emotion.config.schema import ALPHAS
from emotion.faces.contract import Contract
from emotion.models import blocks

#: Input sizes for which Keras publishes ImageNet weights.
SIZES = (96, 128, 160, 192, 224)


def build(
    contract: Contract, alpha: float = 1.0, weights: str | None = "imagenet", dropout: float = 0.2
) -> keras.Model:
    """Build the network.

    Args:
        contract: Input shape and labels; grey input is repeated to three channels inside.
        alpha: Width factor: multiplies the channels of every layer.
        weights: ``imagenet``, None for random, or the path of a weights file without the top layers.
        dropout: Fraction of features dropped before the dense layer.

    Returns:
        A model from uint8 ``[N, H, W, C]`` to float32 ``[N, len(labels)]``.

    Raises:
        UserError: The weights are not available, or do not fit ``alpha``.
    """
    if contract.height < 32:
        raise UserError(f"model.input_size: {contract.height} is too small for MobileNetV2, must be at least 32")
    inputs, x = blocks.normalised_input(contract, channels=3)
    backbone = keras.applications.MobileNetV2(
        input_shape=(contract.height, contract.width, 3), alpha=alpha, include_top=False, weights=None, name="backbone"
    )
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # With Keras's 0.999 the statistics lag epochs behind the weights after unfreezing.
            layer.momentum = blocks.MOMENTUM
    if weights is not None:
        _load(backbone, _imagenet(alpha, contract.height) if weights == "imagenet" else Path(weights), alpha)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(backbone(x))
    return keras.Model(inputs, blocks.head(x, contract, dropout), name="mobilenet_v2")


def _imagenet(alpha: float, size: int) -> Path:
    """The file of the published weights for this size, else for 224, from Keras's cache or downloaded."""
    if alpha not in ALPHAS:
        raise UserError(
            f"model.alpha: there are ImageNet weights for {', '.join(map(str, ALPHAS))}, not for {alpha}. "
            f"Choose one of these, or set model.weights=null"
        )
    trained_at = size if size in SIZES else 224
    name = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{trained_at}_no_top.h5"
    cached = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models" / name
    if cached.is_file():
        return cached
    try:
        return Path(
            keras.utils.get_file(
                name,
                f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/{name}",
                cache_subdir="models",
            )
        )
    except Exception as error:  # get_file raises bare Exception on network errors
        raise UserError(
            f"model.weights: the ImageNet weights cannot be downloaded ({str(error).splitlines()[0][:200]}). "
            f"Put {name} into {cached.parent}, set model.weights=<its path>, or model.weights=null to start from "
            f"random weights"
        ) from None


def _load(backbone: keras.Model, path: Path, alpha: float) -> None:
    if not path.is_file():
        raise UserError(f"model.weights: no such file '{path}'. Give imagenet, null, or the path of a weights file")
    try:
        backbone.load_weights(str(path))
    except (ValueError, OSError, KeyError) as error:
        raise UserError(
            f"model.weights: '{path}' does not fit MobileNetV2 with alpha={alpha} and no top "
            f"({str(error).splitlines()[0][:200]})"
        ) from None
