"""Affine transforms of batches of images, each image by a matrix of its own.

A matrix is float32 ``[3, 3]`` and leads from a place in the result to the place it is read from, in pixels right of and
below the image's centre. ``tf.matmul(first, second)`` does ``first`` to the image, then ``second``. What lies
outside an image repeats its border pixels, as :func:`emotion.faces.images.crop` does for a face at the edge of a frame;
mirroring would put a second ear there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

Array = np.ndarray[Any, Any]

_LONGEST = 32_766  # rows in one call of cv2.remap


def matrix(rows: Sequence[Sequence[tf.Tensor | float]], like: tf.Tensor) -> tf.Tensor:
    """Stack two rows of three vectors ``[B]`` or numbers, and 0 0 1, to float32 ``[B, 3, 3]``."""
    ones = tf.ones_like(like)
    flat = [ones * value if isinstance(value, int | float) else value for row in rows for value in row]
    return tf.reshape(tf.stack([*flat, ones * 0.0, ones * 0.0, ones], axis=1), [-1, 3, 3])


def rotation(radians: tf.Tensor) -> tf.Tensor:
    """float32 ``[B, 3, 3]``; a positive angle turns the image clockwise as it is seen."""
    cos, sin = tf.cos(radians), tf.sin(radians)
    return matrix([[cos, sin, 0.0], [-sin, cos, 0.0]], radians)


def translation(right: tf.Tensor, down: tf.Tensor) -> tf.Tensor:
    """float32 ``[B, 3, 3]``; moves the image by so many pixels."""
    return matrix([[1.0, 0.0, -right], [0.0, 1.0, -down]], right)


def scaling(factor: tf.Tensor) -> tf.Tensor:
    """float32 ``[B, 3, 3]``; a factor above 1 enlarges."""
    return matrix([[1.0 / factor, 0.0, 0.0], [0.0, 1.0 / factor, 0.0]], factor)


def shearing(radians: tf.Tensor) -> tf.Tensor:
    """float32 ``[B, 3, 3]``; upright lines lean by the angle."""
    return matrix([[1.0, tf.tan(radians), 0.0], [0.0, 1.0, 0.0]], radians)


def flipping(flipped: tf.Tensor) -> tf.Tensor:
    """float32 ``[B, 3, 3]`` for bool ``[B]``; mirrors left and right."""
    sign = tf.where(flipped, -1.0, 1.0)
    return matrix([[sign, 0.0, 0.0], [0.0, 1.0, 0.0]], sign)


def resample(x: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """Transform each image, bilinear at 1/32 pixel, border pixels repeated.

    One call of OpenCV for the batch, much cheaper than TensorFlow's ImageProjectiveTransformV3: the images are stacked
    to one tall image, in which every coordinate stays within its own part.

    Args:
        x: uint8 (rounded to nearest) or float32 ``[B, H, W, C]``; so is the result.
        matrices: float32 ``[B, 3, 3]``, affine.
    """
    height, width = tf.shape(x)[1], tf.shape(x)[2]
    right, down = _from_centre(width)[tf.newaxis, tf.newaxis, :], _from_centre(height)[tf.newaxis, :, tf.newaxis]
    a, b, c, d, e, f = (v[:, tf.newaxis, tf.newaxis] for v in tf.unstack(tf.reshape(matrices[:, :2], [-1, 6]), axis=1))
    last_column, last_row = tf.cast(width - 1, tf.float32), tf.cast(height - 1, tf.float32)
    columns = tf.clip_by_value(a * right + (b * down + (c + last_column / 2)), 0.0, last_column)
    rows = tf.clip_by_value(d * right + (e * down + (f + last_row / 2)), 0.0, last_row)
    resampled = tf.numpy_function(_remap, [x, columns, rows], x.dtype, stateful=False)
    return tf.ensure_shape(resampled, x.shape)


def _from_centre(size: tf.Tensor) -> tf.Tensor:
    return tf.range(tf.cast(size, tf.float32)) - tf.cast(size - 1, tf.float32) / 2


def _remap(x: Array, columns: Array, rows: Array) -> Array:
    count, height, width, channels = x.shape
    at_once = max(1, _LONGEST // height)
    result = np.empty_like(x)
    for start in range(0, count, at_once):
        part = slice(start, start + at_once)
        stacked = x[part].reshape(-1, width, channels)
        tops = np.arange(len(x[part]), dtype=np.float32)[:, np.newaxis, np.newaxis] * height
        cv2.remap(
            stacked,
            columns[part].reshape(-1, width),
            (rows[part] + tops).reshape(-1, width),
            cv2.INTER_LINEAR,
            dst=result[part].reshape(stacked.shape),
        )
    return result
