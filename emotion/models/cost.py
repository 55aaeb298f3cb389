"""What a network costs: the multiply-adds of one picture."""

from __future__ import annotations

import math

import keras


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of one picture in all convolutions and dense layers (Howard et al. 2017 count MobileNets so).

    Layers without products of weights (batch norm, activations, pooling) are left out: they are below 1 % here, and
    exports fold batch norm into the convolution before it. A layer that is used twice counts once.
    """
    return sum(_of_layer(layer) for layer in model._flatten_layers(include_self=False))


def _of_layer(layer: keras.Layer) -> int:
    if isinstance(layer, keras.layers.SeparableConv2D):
        depthwise, pointwise = math.prod(layer.depthwise_kernel.shape), math.prod(layer.pointwise_kernel.shape)
        return _positions(layer) * (depthwise + pointwise)
    if isinstance(layer, keras.layers.Conv2DTranspose):
        _, height, width, _ = layer.input.shape
        return int(height * width) * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
        return _positions(layer) * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.Dense):
        return math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
    return 0


def _positions(layer: keras.Layer) -> int:
    """How often the kernel is laid on one picture; its products are one for each of its weights."""
    _, height, width, _ = layer.output.shape
    return int(height * width)
