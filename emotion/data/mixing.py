"""MixUp and CutMix: each image of a batch blended with, or pasted into, another one, and its target likewise.

Both take the previous image of the batch as partner. Batches are drawn at random, so partners are too, and unlike in
a reversed batch no pair meets twice.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from emotion.data.augment import fold, overlay
from emotion.data.corruptions import to_uint8


def mix(
    images: tf.Tensor,
    targets: tf.Tensor,
    seed: tf.Tensor,
    *,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    probability: float | tf.Tensor = 1.0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix a batch with probability ``probability``; where both ways are on, one of them is picked at random.

    Args:
        images: uint8 ``[B, H, W, C]``.
        targets: float32 ``[B, K]``, one-hot.
        seed: int64 ``[2]``.
        mixup, cutmix: Alpha of each way's Beta(alpha, alpha); 0 is off.
        probability: Share of batches that are mixed.
    """
    if not (mixup or cutmix):
        return images, targets
    mixed, pick = tf.unstack(tf.random.stateless_uniform([2], seed))

    def by_mixup() -> tuple[tf.Tensor, tf.Tensor]:
        share = beta(mixup, fold(seed, 1))
        # Mixtures come out the same either way round; this way an image remains the larger part of its own place.
        return blend(images, targets, tf.maximum(share, 1.0 - share))

    def by_cutmix() -> tuple[tf.Tensor, tf.Tensor]:
        down, right = tf.unstack(tf.random.stateless_uniform([2], fold(seed, 3)))
        return paste(images, targets, beta(cutmix, fold(seed, 1)), down, right)

    def either() -> Any:
        if mixup and cutmix:
            return tf.cond(pick < 0.5, by_mixup, by_cutmix)
        return by_mixup() if mixup else by_cutmix()

    result: tuple[tf.Tensor, tf.Tensor] = tf.cond(mixed < probability, either, lambda: (images, targets))
    return result


def beta(alpha: float, seed: tf.Tensor) -> tf.Tensor:
    """One draw from Beta(alpha, alpha), float32 ``[]``; takes ``seed`` and the key one on from it.

    As the ratio of two Gamma draws, in logarithms: Gamma(alpha) is Gamma(alpha + 1) * U ** (1 / alpha), and for a small
    alpha the plain draws underflow to 0 / 0.
    """
    gamma = tf.random.stateless_gamma([2], seed, alpha=alpha + 1.0)
    uniform = tf.random.stateless_uniform([2], fold(seed, 1), minval=1e-30)
    first, second = tf.unstack(tf.math.log(gamma) + tf.math.log(uniform) / alpha)
    return tf.sigmoid(first - second)


def blend(images: tf.Tensor, targets: tf.Tensor, share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """MixUp (Zhang et al. 2018): ``share``, float32 ``[]``, of each image and target, the rest of its partner's."""
    x = tf.cast(images, tf.float32)
    blended = to_uint8(share * x + (1.0 - share) * tf.roll(x, 1, axis=0))
    return blended, share * targets + (1.0 - share) * tf.roll(targets, 1, axis=0)


def paste(
    images: tf.Tensor, targets: tf.Tensor, share: tf.Tensor, down: tf.Tensor, right: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """CutMix (Yun et al. 2019): a rectangle of ``1 - share`` of the area comes from the partner.

    The rectangle has the image's proportions, its centre at ``down`` and ``right`` in [0, 1], and is cut off at the
    border; targets are mixed by the pixels that were really pasted.
    """
    rows = _span(tf.shape(images)[1], share, down)
    columns = _span(tf.shape(images)[2], share, right)
    own = 1.0 - tf.reduce_mean(tf.cast(rows, tf.float32)) * tf.reduce_mean(tf.cast(columns, tf.float32))
    pasted = overlay(images, tf.roll(images, 1, axis=0), rows[tf.newaxis, :], columns[tf.newaxis, :])
    return tf.ensure_shape(pasted, images.shape), own * targets + (1.0 - own) * tf.roll(targets, 1, axis=0)


def _span(size: tf.Tensor, share: tf.Tensor, centre: tf.Tensor) -> tf.Tensor:
    """bool ``[size]``: the pixels of one side that the rectangle covers."""
    length = tf.cast(size, tf.float32)
    covered = tf.cast(tf.round(length * tf.sqrt(1.0 - share)), tf.int32)
    start = tf.cast(tf.floor(centre * length), tf.int32) - covered // 2
    pixel = tf.range(size)
    return (pixel >= start) & (pixel < start + covered)
