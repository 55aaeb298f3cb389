"""A compact VGG-like network for small grey faces (``model=cnn``).

Stages of 3x3 convolutions with batch normalisation (Simonyan and Zisserman 2015; Ioffe and Szegedy 2015); global
average pooling instead of VGG's large dense layers (Lin, Chen, Yan 2014), which have five sixths of its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from emotion.faces.contract import Contract
from emotion.models import blocks


def build(
    contract: Contract,
    stages: Sequence[int] = (32, 64, 128, 256),
    convolutions: int = 2,
    stem_stride: int = 1,
    separable: bool = False,
    activation: str = "relu",
    residual: bool = False,
    squeeze_excitation: bool = False,
    stage_dropout: float = 0.0,
    dropout: float = 0.3,
) -> keras.Model:
    """Build the network, from uint8 ``[N, H, W, C]`` to float32 ``[N, len(labels)]``.

    Args:
        contract: Input shape and labels.
        stages: Channels of each stage; width and height are halved between stages.
        convolutions: 3x3 convolutions in each stage.
        stem_stride: Stride of the first convolution; 2 reduces the cost of all later layers to a quarter.
        separable: Use depthwise separable convolutions after the first one (Chollet 2017, "Xception"): about an eighth
            of the weights and multiply-adds.
        activation: A Keras activation's name.
        residual: Add a residual connection around each stage (He et al. 2016), through a 1x1 convolution.
        squeeze_excitation: Add a squeeze-and-excitation block to each stage.
        stage_dropout: Fraction of whole channels dropped after each stage.
        dropout: Fraction of features dropped before the dense layer.
    """
    inputs, x = blocks.normalised_input(contract)
    for i, channels in enumerate(stages):
        stage = f"stage{i + 1}"
        if i > 0:
            x = keras.layers.MaxPooling2D(name=f"{stage}_halve")(x)
        shortcut, stride = x, stem_stride if i == 0 else 1
        for j in range(convolutions):
            name, splits = f"{stage}_conv{j + 1}", separable and (i > 0 or j > 0)
            if splits:
                x = _depthwise(x, f"{name}_depthwise")
            x = _convolution(x, channels, name, size=1 if splits else 3, stride=stride if j == 0 else 1)
            if not (residual and j == convolutions - 1):
                x = keras.layers.Activation(activation, name=f"{stage}_act{j + 1}")(x)
        if squeeze_excitation:
            x = blocks.squeeze_excitation(x, f"{stage}_se")
        if residual:
            shortcut = _convolution(shortcut, channels, f"{stage}_shortcut", size=1, stride=stride)
            x = keras.layers.Add(name=f"{stage}_add")([x, shortcut])
            x = keras.layers.Activation(activation, name=f"{stage}_out")(x)
        if stage_dropout > 0:
            x = keras.layers.SpatialDropout2D(stage_dropout, name=f"{stage}_dropout")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, blocks.head(x, contract, dropout), name="cnn")


def _depthwise(x: Any, name: str) -> Any:
    return keras.layers.DepthwiseConv2D(
        3, padding="same", use_bias=False, depthwise_initializer="he_normal", name=name
    )(x)


def _convolution(x: Any, channels: int, name: str, size: int = 3, stride: int = 1) -> Any:
    x = keras.layers.Conv2D(
        channels, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    return keras.layers.BatchNormalization(momentum=blocks.MOMENTUM, name=f"{name}_bn")(x)
