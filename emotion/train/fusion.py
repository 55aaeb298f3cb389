"""Batch normalisation as one operation, in training and validation.

Keras 3 writes batch normalisation out in a dozen operations, each of which reads and writes the whole map. TensorFlow
has all of it as one with its own gradient, which oneDNN computes in bfloat16 as well; ``benchmarks/training_step.py``
measures the difference.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def fuse_batch_norm(model: keras.Model) -> None:
    """Let the model's batch normalisation run fused, from the next tracing on, with the same results up to rounding.

    The layers stay Keras's own: what is saved, exported or cloned knows nothing of it. Layers that count over several
    devices, those whose input is no map ``[N, H, W, C]`` and those in other precisions stay as they are.
    """
    for layer in model._flatten_layers(include_self=False):
        if type(layer) is keras.layers.BatchNormalization and _fits(layer):
            layer.call = _Fused(layer)


def _fits(layer: keras.layers.BatchNormalization) -> bool:
    return bool(
        len(layer.input_spec.axes) == 1
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and not (layer.renorm or layer.synchronized)
        and layer.variable_dtype == "float32"
        and layer.compute_dtype in ("float32", "bfloat16", "float16")
    )


class _Fused:
    """The layer's ``call`` with ``FusedBatchNormV3`` (maps of up to 32 bits, float32 statistics)."""

    def __init__(self, layer: keras.layers.BatchNormalization) -> None:
        self.layer, self.plain = layer, layer.call

    def __call__(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        layer = self.layer
        if mask is not None:
            return self.plain(inputs, training=training, mask=mask)
        counting = bool(training) and layer.trainable
        mean, variance = tf.convert_to_tensor(layer.moving_mean), tf.convert_to_tensor(layer.moving_variance)
        none = tf.constant([], tf.float32)
        outputs, batch_mean, batch_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones_like(mean),
            offset=tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros_like(mean),
            mean=none if counting else mean,
            variance=none if counting else variance,
            epsilon=layer.epsilon,
            is_training=counting,
        )
        if counting:
            # The operation estimates the population's variance, Keras's layer takes the batch's own.
            count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
            batch_variance *= (count - 1.0) / count
            layer.moving_mean.assign(mean + (1.0 - layer.momentum) * (batch_mean - mean))
            layer.moving_variance.assign(variance + (1.0 - layer.momentum) * (batch_variance - variance))
        return outputs
