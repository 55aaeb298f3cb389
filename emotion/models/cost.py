"""The cost of a network: multiply-adds per image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds per image in all convolutions and dense layers, counted as by Howard et al. 2017 (MobileNets).

    Other layers (batch norm, activations, pooling) are not counted: they are below 1 % here, and exports fold batch
    norm into the convolution before it. A layer that is used twice counts once.
    """
    return sum(_of_layer(layer) for layer in model._flatten_layers(include_self=False))


def _of_layer(layer: keras.Layer) -> int:
    layers = keras.layers
    if isinstance(layer, layers.Conv2DTranspose):
        return _product(layer.input.shape[1:3], layer.kernel.shape)
    if isinstance(layer, layers.SeparableConv2D):
        positions = layer.output.shape[1:3]
        return _product(positions, layer.depthwise_kernel.shape) + _product(positions, layer.pointwise_kernel.shape)
    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
        return _product(layer.output.shape[1:3], layer.kernel.shape)
    if isinstance(layer, layers.Dense):
        return _product(layer.output.shape[1:-1], layer.kernel.shape)
    return 0


def _product(*shapes: Sequence[int]) -> int:
    return math.prod(size for shape in shapes for size in shape)
