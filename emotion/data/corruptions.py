"""What cameras, light and files do to images: each corruption of a whole batch, each image by a strength of its own.

Images are ``[B, H, W, C]``, float32 in 0 to 255 or uint8; the result is float32 and may leave that range. Strengths and
the other parameters are float32 ``[B]``. :mod:`emotion.data.augment` draws them at random for training,
``benchmarks/robustness.py`` sets them.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

Array = np.ndarray[Any, Any]


def per_image(values: tf.Tensor) -> tf.Tensor:
    """``[B]`` as ``[B, 1, 1, 1]``, one value for each image."""
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]


def to_uint8(x: tf.Tensor) -> tf.Tensor:
    """Round float32 pixels half up, and clip them to 0 to 255; uint8 stays as it is."""
    if x.dtype == tf.uint8:
        return x
    return tf.cast(tf.clip_by_value(x + 0.5, 0.0, 255.0), tf.uint8)


def gamma(x: tf.Tensor, power: tf.Tensor) -> tf.Tensor:
    """Raise pixels, as a share of full range, to a power: below 1 is brighter."""
    return 255.0 * tf.pow(tf.clip_by_value(tf.cast(x, tf.float32) / 255.0, 0.0, 1.0), per_image(power))


def noise(x: tf.Tensor, sigma: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Add Gaussian noise of standard deviation ``sigma``, a share of full range; ``seed`` is int64 ``[2]``."""
    return tf.cast(x, tf.float32) + per_image(255.0 * sigma) * tf.random.stateless_normal(tf.shape(x), seed)


def blur(x: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Gaussian blur of standard deviation ``sigma`` pixels.

    As two matrix products per image: cheaper than a convolution, whose kernel all images would have to share.
    """
    height, width = tf.shape(x)[1], tf.shape(x)[2]
    x = tf.einsum("bij,bjwc->biwc", _gaussian(sigma, height), tf.cast(x, tf.float32))
    return tf.einsum("bij,bhjc->bhic", _gaussian(sigma, width), x)


def _gaussian(sigma: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """float32 ``[B, size, size]``: row i holds the weights of pixel i's neighbours; at the border too they sum to 1."""
    place = tf.range(tf.cast(size, tf.float32))
    distance = (place[:, tf.newaxis] - place[tf.newaxis, :]) / tf.maximum(sigma, 1e-3)[:, tf.newaxis, tf.newaxis]
    weights = tf.exp(-0.5 * tf.square(distance))
    return weights / tf.reduce_sum(weights, axis=2, keepdims=True)


def motion_blur(x: tf.Tensor, length: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Blur as a straight, even movement by ``length`` pixels does; ``turn``, 0 to 1, is its direction in half turns."""
    return _with_opencv(_motion_blur, tf.cast(x, tf.float32), length, turn)


def _motion_blur(x: Array, length: Array, turn: Array) -> Array:
    radius = math.ceil(float(length.max(initial=0.0)) / 2)
    places = np.linspace(-0.5, 0.5, 8 * radius + 1, dtype=np.float32)  # four and more in each pixel of the way
    pixels = np.arange(-radius, radius + 1, dtype=np.float32)
    on_x, on_y = (
        np.maximum(1 - np.abs((way * length)[:, None, None] * places[:, None] - pixels), 0)
        for way in (np.cos(np.pi * turn), np.sin(np.pi * turn))
    )
    kernels = np.einsum("bti,btj->bij", on_y, on_x) / len(places)
    return _each(lambda image, kernel: cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE), x, kernels)


def low_resolution(x: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Scale down until the shorter side has ``side`` pixels, and up again, as a small face is; see ``images.resize``.

    An image that is no larger stays as it is.
    """
    return _with_opencv(_low_resolution, tf.cast(x, tf.float32), side)


def _low_resolution(x: Array, side: Array) -> Array:
    height, width = x.shape[1:3]

    def down_and_up(image: Array, shorter: float) -> Array:
        factor = shorter / min(height, width)
        if factor >= 1:
            return image
        size = max(1, round(width * factor)), max(1, round(height * factor))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)

    return _each(down_and_up, x, side)


def jpeg(x: tf.Tensor, quality: tf.Tensor) -> tf.Tensor:
    """Compress to JPEG at a quality from 1 to 100, rounded, and decompress."""
    return tf.cast(_with_opencv(_jpeg, to_uint8(x), quality), tf.float32)


def _jpeg(x: Array, quality: Array) -> Array:
    def compressed(image: Array, value: float) -> Array:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, round(float(value))])[1]
        return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)  # type: ignore[return-value]

    if x.shape[3] == 3:  # OpenCV's order of the channels is BGR
        return _each(compressed, x[..., ::-1], quality)[..., ::-1]
    return _each(compressed, x, quality)


def _with_opencv(function: Any, x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(function, [x, *parameters], x.dtype, stateful=False), x.shape)


def _each(function: Any, x: Array, parameters: Array) -> Array:
    result = np.empty_like(x)
    for i, (image, parameter) in enumerate(zip(x, parameters, strict=True)):
        result[i] = function(np.ascontiguousarray(image), parameter).reshape(image.shape)
    return result


def shadow(x: tf.Tensor, light: tf.Tensor, turn: tf.Tensor, reach: tf.Tensor, softness: tf.Tensor) -> tf.Tensor:
    """Leave a share of the ``light`` beyond a straight edge; ``turn``, ``reach`` and ``softness`` are in 0 to 1.

    The edge lies in the middle half of the way across, and is from a twentieth to half of the way wide.
    """
    inside = _beyond_edge(x, turn, 0.25 + 0.5 * reach, 0.05 + 0.45 * softness)
    return tf.cast(x, tf.float32) * (1.0 - per_image(1.0 - light) * inside)


def occlude(x: tf.Tensor, reach: tf.Tensor, turn: tf.Tensor, tone: tf.Tensor) -> tf.Tensor:
    """Cover the image from one side, as a hand, hair or a scarf does, by a ``tone`` in 0 to 1 of full range.

    The cover ends at a straight edge, ``reach`` (0 to 1) of the way across, in the direction ``turn``.
    """
    inside = _beyond_edge(x, turn, reach, tf.fill(tf.shape(reach), 0.02))
    return tf.cast(x, tf.float32) * (1.0 - inside) + per_image(255.0 * tone) * inside


def _beyond_edge(x: tf.Tensor, turn: tf.Tensor, reach: tf.Tensor, softness: tf.Tensor) -> tf.Tensor:
    """float32 ``[B, H, W, 1]``: 1 on one side of an edge and 0 on the other.

    Args:
        turn: Where the covered side lies, in whole turns.
        reach: How far the edge is from that side's border, a share of the way across the image.
        softness: Width of the change from 1 to 0, the same share.
    """
    height, width = tf.cast(tf.shape(x)[1], tf.float32), tf.cast(tf.shape(x)[2], tf.float32)
    cos, sin = tf.cos(2 * math.pi * turn), tf.sin(2 * math.pi * turn)
    right = (tf.range(width) - (width - 1) / 2)[tf.newaxis, tf.newaxis, :, tf.newaxis]
    down = (tf.range(height) - (height - 1) / 2)[tf.newaxis, :, tf.newaxis, tf.newaxis]
    way = tf.abs(cos) * width + tf.abs(sin) * height  # across the image in this direction
    depth = (per_image(cos) * right + per_image(sin) * down) / per_image(way) + 0.5
    return tf.clip_by_value((per_image(reach) - depth) / per_image(softness) + 0.5, 0.0, 1.0)
