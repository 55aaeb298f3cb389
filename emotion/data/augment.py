"""Augmentation of whole batches inside ``tf.data``: the same (seed, epoch, step) gives the same images.

Every draw comes from ``tf.random.stateless_*``, so that it also repeats in a parallel ``map``, unlike Keras's layers.
Consecutive geometric operations are composed and resample the image once; see :mod:`emotion.data.geometry`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby

import tensorflow as tf

from emotion.base.errors import UserError
from emotion.config.schema import OPS
from emotion.data import corruptions
from emotion.data.corruptions import per_image, to_uint8
from emotion.data.geometry import flipping, resample, rotation, scaling, shearing, translation

_GEOMETRIC = ("flip", "rotate", "translate", "scale", "shear", "jitter")
_LINEAR = ("brightness", "contrast")
_ERASE_ASPECT = 0.3  # Zhong et al.: sides in a ratio between 0.3 and 1 / 0.3


@dataclass(frozen=True)
class Op:
    """One operation of ``augmentation.ops`` with all its parameters; see :data:`emotion.config.schema.OPS`."""

    name: str
    parameters: Mapping[str, float]

    def __getitem__(self, parameter: str) -> float:
        return float(self.parameters[parameter])


def parse(ops: Iterable[Mapping[str, Mapping[str, float] | None]]) -> tuple[Op, ...]:
    """Read ``augmentation.ops`` (a list of one-key mappings) and fill in defaults.

    Raises:
        UserError: ``scale.low`` is 0, which no image can be shrunk to.
    """
    parsed = tuple(Op(name, {**OPS[name], **(given or {})}) for op in ops for name, given in op.items())
    for i, op in enumerate(parsed):
        if op.name == "scale" and op["low"] <= 0:
            raise UserError(f"augmentation.ops[{i}].scale.low: {op['low']:g} is out of range, must be more than 0")
    return parsed


def augment(images: tf.Tensor, ops: Sequence[Op], seed: tf.Tensor) -> tf.Tensor:
    """Apply the operations in order, each image with parameters of its own.

    Between operations on light the pixels are float32 and may leave 0 to 255; they are rounded and clipped at the end,
    or before ``erase``. Geometric operations that come first work on uint8, which is faster, and round to the nearest.
    The operations and their draws, uniform except for ``jitter``: ``flip`` left to right; ``rotate`` and ``shear``
    (horizontal) by degrees in [-degrees, degrees] about the centre; ``translate`` by [-fraction, fraction] of each
    side; ``scale`` by [low, high] about the centre, above 1 is larger; ``jitter`` moves and scales as another box of
    the detector would, normal with standard deviations ``shift`` (of each side) and ``size`` (of the logarithm of the
    size); ``brightness`` adds [-delta, delta] of full range; ``contrast`` multiplies the distance from the image's
    mean by [low, high]; ``gamma`` raises to the power [low, high]; ``noise`` adds Gaussian noise of standard deviation
    [0, sigma] of full range; ``blur`` is Gaussian with standard deviation [0, sigma] pixels; ``motion_blur`` is of
    [low, high] pixels in any direction; ``low_resolution`` scales the shorter side down to [low, high] pixels and up
    again, and leaves smaller images alone; ``shadow`` leaves [low, high] of the light on one side of an edge;
    ``occlude`` covers one side by a flat tone, [low, high] of the way across; ``jpeg`` compresses at quality
    [low, high]; ``erase`` fills a rectangle of [low, high] of the area with random pixels (Zhong et al. 2017, "Random
    Erasing Data Augmentation", RE-R).

    Args:
        images: uint8 ``[B, H, W, C]``.
        ops: From :func:`parse`. None of them is the identity.
        seed: int64 ``[2]``, see :func:`key`.

    Returns:
        uint8 ``[B, H, W, C]``.
    """
    x = images
    for kind, members in groupby(enumerate(ops), key=lambda member: _kind(member[1])):
        group = [(op, fold(seed, 2 * i)) for i, op in members]  # odd numbers: an operation's second draw
        if kind == "geometric":
            x = resample(x, _compose(x, group))
        elif kind == "linear":
            x = _multiply_add(tf.cast(x, tf.float32), group)
        elif kind == "erase":
            for op, op_seed in group:
                x = _erase(to_uint8(x), op, op_seed)
        else:
            for op, op_seed in group:
                x = _corrupt(tf.cast(x, tf.float32), op, op_seed)
    return tf.ensure_shape(to_uint8(x), images.shape)


def _kind(op: Op) -> str:
    if op.name in _GEOMETRIC:
        return "geometric"
    return "linear" if op.name in _LINEAR else op.name


def key(seed: int, epoch: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """The random key of one batch: int64 ``[2]``, different for every (seed, epoch, step) below 2**31."""
    epoch, step = tf.cast(epoch, tf.int64), tf.cast(step, tf.int64)
    return tf.stack([tf.constant(seed, tf.int64), epoch * 2**32 + step])


def fold(seed: tf.Tensor, constant: int) -> tf.Tensor:
    """A key for one of several draws from the same :func:`key`. Constants add up; the seed keeps the lower 32 bits."""
    return seed + tf.constant([constant << 32, 0], tf.int64)


def _draws(x: tf.Tensor, count: int, seed: tf.Tensor) -> list[tf.Tensor]:
    """``count`` float32 vectors ``[B]``, uniform in [0, 1)."""
    return list(tf.unstack(tf.random.stateless_uniform([count, tf.shape(x)[0]], seed)))


def _between(draw: tf.Tensor, low: float, high: float) -> tf.Tensor:
    return low + draw * (high - low)


def _compose(x: tf.Tensor, group: Sequence[tuple[Op, tf.Tensor]]) -> tf.Tensor:
    """Draw each operation's matrices and multiply them: float32 ``[B, 3, 3]``."""
    matrices = []
    for op, seed in group:
        applied, first, second = _draws(x, 3, seed)
        matrices.append(_drawn_matrix(x, op, seed, applied < op["probability"], first, second))
    return reduce(tf.matmul, matrices)


def _drawn_matrix(
    x: tf.Tensor, op: Op, seed: tf.Tensor, applied: tf.Tensor, first: tf.Tensor, second: tf.Tensor
) -> tf.Tensor:
    switch = tf.cast(applied, tf.float32)
    height, width = tf.cast(tf.shape(x)[1], tf.float32), tf.cast(tf.shape(x)[2], tf.float32)
    if op.name == "flip":
        return flipping(applied)
    if op.name == "scale":
        return scaling(tf.where(applied, _between(first, op["low"], op["high"]), 1.0))
    if op.name == "translate":
        right, down = (switch * _between(draw, -op["fraction"], op["fraction"]) for draw in (first, second))
        return translation(right * width, down * height)
    if op.name == "jitter":
        drawn = tf.random.stateless_normal([3, tf.shape(x)[0]], fold(seed, 1))
        right, down, size = tf.unstack(switch * drawn)
        moved = translation(op["shift"] * right * width, op["shift"] * down * height)
        return tf.matmul(scaling(tf.exp(op["size"] * size)), moved)
    angle = switch * _between(first, -1.0, 1.0) * math.radians(op["degrees"])
    return rotation(angle) if op.name == "rotate" else shearing(angle)


def _multiply_add(x: tf.Tensor, group: Sequence[tuple[Op, tf.Tensor]]) -> tf.Tensor:
    """Compose brightness and contrast to one multiplication and one addition per pixel."""
    has_contrast = any(op.name == "contrast" for op, _ in group)
    mean = tf.reduce_mean(x, axis=[1, 2, 3]) if has_contrast else None
    factor, offset = tf.ones([tf.shape(x)[0]]), tf.zeros([tf.shape(x)[0]])
    for op, seed in group:
        if op.name == "brightness":
            offset += 255.0 * _strength(x, op, seed, -op["delta"], op["delta"])
        else:
            contrast = _strength(x, op, seed, op["low"], op["high"], off=1.0)
            mean_now = factor * mean + offset
            factor, offset = factor * contrast, offset * contrast + mean_now * (1.0 - contrast)
    return x * per_image(factor) + per_image(offset)


def _strength(x: tf.Tensor, op: Op, seed: tf.Tensor, low: float, high: float, off: float = 0.0) -> tf.Tensor:
    """float32 ``[B]``, uniform between two values where the operation is applied, ``off`` elsewhere."""
    applied, drawn = _draws(x, 2, seed)
    return tf.where(applied < op["probability"], _between(drawn, low, high), off)


def _corrupt(x: tf.Tensor, op: Op, seed: tf.Tensor) -> tf.Tensor:
    """Corrupt the images whose turn it is, and compute on no others, so that what is rare costs little."""
    change, count = _CORRUPTIONS[op.name]
    applied, *drawn = _draws(x, 1 + count, seed)
    rows = tf.where(applied < op["probability"])[:, 0]
    changed = change(tf.gather(x, rows), op, fold(seed, 1), *(tf.gather(draw, rows) for draw in drawn))
    return tf.tensor_scatter_nd_update(x, rows[:, tf.newaxis], changed)


def _ranged(op: Op, draw: tf.Tensor) -> tf.Tensor:
    return _between(draw, op["low"], op["high"])


#: What changes float32 images where it is applied, from (images, operation, seed, uniform draws), and how many draws.
_CORRUPTIONS: Mapping[str, tuple[Callable[..., tf.Tensor], int]] = {
    "gamma": (lambda x, op, _, power: corruptions.gamma(x, _ranged(op, power)), 1),
    "noise": (lambda x, op, seed, sigma: corruptions.noise(x, op["sigma"] * sigma, seed), 1),
    "blur": (lambda x, op, _, sigma: corruptions.blur(x, op["sigma"] * sigma), 1),
    "motion_blur": (lambda x, op, _, length, turn: corruptions.motion_blur(x, _ranged(op, length), turn), 2),
    "low_resolution": (lambda x, op, _, side: corruptions.low_resolution(x, _ranged(op, side)), 1),
    "shadow": (lambda x, op, _, light, *edge: corruptions.shadow(x, _ranged(op, light), *edge), 4),
    "occlude": (lambda x, op, _, reach, *cover: corruptions.occlude(x, _ranged(op, reach), *cover), 3),
    "jpeg": (lambda x, op, _, quality: corruptions.jpeg(x, _ranged(op, quality)), 1),
}


def _erase(x: tf.Tensor, op: Op, seed: tf.Tensor) -> tf.Tensor:
    applied, area, aspect, down, right = _draws(x, 5, seed)
    rows, columns = rectangle(x, _between(area, op["low"], op["high"]), aspect, down, right)
    rows &= (applied < op["probability"])[:, tf.newaxis]
    return overlay(x, _random_pixels(tf.shape(x), fold(seed, 1)), rows, columns)


def rectangle(
    x: tf.Tensor, area: tf.Tensor, aspect: tf.Tensor, down: tf.Tensor, right: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows, bool ``[B, H]``, and columns, bool ``[B, W]``, of a rectangle that lies wholly inside each image.

    The ratio of sides is drawn from those that fit, without a loop.

    Args:
        x: ``[B, H, W, C]``, for its shape.
        area: float32 ``[B]``, fraction of the image, before the sides are rounded to pixels.
        aspect, down, right: float32 ``[B]`` in [0, 1): place in the allowed range of log ratio, top and left.
    """
    height, width = tf.cast(tf.shape(x)[1], tf.float32), tf.cast(tf.shape(x)[2], tf.float32)
    area = tf.maximum(area, 1e-6)
    narrowest = tf.maximum(math.log(_ERASE_ASPECT), tf.math.log(area * width / height))
    widest = tf.minimum(-math.log(_ERASE_ASPECT), -tf.math.log(area * height / width))
    ratio = tf.exp(narrowest + aspect * (widest - narrowest))
    pixels = area * height * width
    tall = tf.minimum(tf.round(tf.sqrt(pixels / ratio)), height)
    wide = tf.minimum(tf.round(tf.sqrt(pixels * ratio)), width)
    return _span(height, tall, down), _span(width, wide, right)


def _span(size: tf.Tensor, length: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    start = tf.floor(place * (size - length + 1))[:, tf.newaxis]
    pixel = tf.range(size)[tf.newaxis, :]
    return (pixel >= start) & (pixel < start + length[:, tf.newaxis])


def overlay(x: tf.Tensor, patch: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Take from ``patch`` what lies in both the rows and the columns; images are uint8 ``[B, H, W, C]``.

    Rows and columns are bool ``[B, H]`` and ``[B, W]``, or ``[1, H]`` and ``[1, W]`` for the same place in all images.
    In uint8 arithmetic, which wraps round and so is exact; cheaper than ``tf.where`` with a mask to broadcast.
    """
    count, height, width, channels = tf.unstack(tf.shape(x))
    wide = tf.repeat(tf.cast(columns, tf.uint8), channels, axis=1)
    mask = tf.cast(rows, tf.uint8)[:, :, tf.newaxis] * wide[:, tf.newaxis, :]
    under, over = (tf.reshape(side, [count, height, width * channels]) for side in (x, patch))
    return tf.reshape(under + (over - under) * mask, [count, height, width, channels])


def _random_pixels(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """uint8, each pixel one of 0 to 255: four from each random integer, which is cheaper."""
    count = tf.reduce_prod(shape)
    integers = tf.random.stateless_uniform([(count + 3) // 4], seed, minval=None, maxval=None, dtype=tf.int32)
    return tf.reshape(tf.reshape(tf.bitcast(integers, tf.uint8), [-1])[:count], shape)
