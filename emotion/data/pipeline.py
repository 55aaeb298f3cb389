"""The ``tf.data`` pipeline: from row numbers to augmented, mixed and weighted batches.

What is in a batch follows from (seed, epoch, step) alone: the order is a permutation drawn from (seed, epoch), and
every random choice about the images comes from a key of all three. Neither the number of threads nor a restart
changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from omegaconf import DictConfig

from emotion.base.errors import UserError
from emotion.data.augment import Op, augment, fold, key, parse
from emotion.data.cache import Store
from emotion.data.mixing import mix

Labels = np.ndarray[Any, np.dtype[np.int64]]

Function = TypeVar("Function", bound=Callable[..., Any])
# For functions of TensorFlow operations alone: AutoGraph finds nothing to convert in them, and looking takes time.
_not_converted: Callable[[Function], Function] = tf.autograph.experimental.do_not_convert

# Which of a batch's random keys is whose; augment's operations count up from 0.
_MIXING = 1 << 20
_ORDER = 1 << 21


@dataclass(frozen=True)
class Augmentation:
    """The augmentation group of a config; its YAML files explain the values."""

    ops: tuple[Op, ...] = ()
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    unmixed_epochs: int = 0

    @classmethod
    def from_config(cls, cfg: DictConfig) -> Augmentation:
        """Read a composed and validated ``augmentation`` node; raises what :func:`emotion.data.augment.parse` does."""
        return cls(
            parse(cfg.ops), float(cfg.mixup), float(cfg.cutmix), float(cfg.mix_probability), int(cfg.unmixed_epochs)
        )


def steps_per_epoch(count: int, batch_size: int) -> int:
    """How many whole batches an epoch has; the rest is left out, other examples in each epoch.

    A short last batch would leave replicas of a MirroredStrategy empty, which changes the result.

    Raises:
        UserError: There is not even one.
    """
    if count < batch_size:
        raise UserError(
            f"trainer.batch_size: {batch_size} is more than the {count} training examples. "
            f"Set trainer.batch_size={max(1, count)} or less, or use more data"
        )
    return count // batch_size


def training(
    store: Store,
    labels: Labels,
    *,
    batch_size: int,
    seed: int,
    epochs: int,
    start_epoch: int = 0,
    augmentation: Augmentation,
    class_weights: np.ndarray[Any, Any] | Sequence[float],
    weighted_epochs: int | None = None,
    label_smoothing: float = 0.0,
    threads: int | None = None,
    targets: np.ndarray[Any, Any] | None = None,
    rates: np.ndarray[Any, Any] | None = None,
) -> tf.data.Dataset:
    """All batches of all epochs as one dataset: it prepares the next epoch's first ones during this epoch's last ones.

    A batch, over all replicas, is images uint8 ``[B, H, W, C]``, targets float32 ``[B, C]`` and weights float32
    ``[B]``: the sum over the classes of target times class weight, before targets are smoothed to
    ``(1 - s) * target + s / C``.

    Args:
        store, labels: The training split's images, and int ``[N]``.
        epochs: The epoch before which training ends; the last ``augmentation.unmixed_epochs`` of them are not mixed.
        class_weights: float ``[C]``, from :func:`emotion.data.weights.class_weights`.
        weighted_epochs: How many of the last epochs they count in; None is all (deferred re-weighting, Cao et al. 2019,
            "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss").
        targets: float32 ``[N, C]``, fitted in place of one-hot labels; rows of several ones are weighted by their mean.
        rates: float64 ``[N]`` with mean 1, from :func:`emotion.data.weights.rates`; None draws each image once.

    Raises:
        UserError: Fewer examples than one batch.
    """
    with tf.device("CPU:0"):
        labels = tf.constant(labels, tf.int32)
        weight_of = tf.constant(np.asarray(class_weights, np.float32))
        target_of = None if targets is None else tf.constant(targets, tf.float32)
    classes = len(class_weights)
    unweighted = 0 if weighted_epochs is None else epochs - weighted_epochs

    @_not_converted
    def batch(epoch: tf.Tensor, step: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        targets = tf.one_hot(tf.gather(labels, rows), classes) if target_of is None else tf.gather(target_of, rows)
        mixes = epoch < epochs - augmentation.unmixed_epochs
        images, targets = _vary(store.fetch(rows), targets, augmentation, key(seed, epoch, step), mixes)
        weights = tf.linalg.matvec(targets, tf.where(epoch >= unweighted, weight_of, 1.0))
        if target_of is not None:
            weights /= tf.reduce_sum(targets, axis=1)
        return images, targets * (1.0 - label_smoothing) + label_smoothing / classes, weights

    count = len(labels)
    if rates is None:
        return _parallel(
            _rows(count, batch_size, partial(permutation, count, seed), start_epoch, epochs), batch, threads
        )
    order = partial(drawn, rates, labels, classes, seed)
    return _parallel(_rows(count, batch_size, order, start_epoch, epochs), batch, threads)


def _rows(
    count: int, batch_size: int, order: Callable[[tf.Tensor], tf.Tensor], start_epoch: int, epochs: int
) -> tf.data.Dataset:
    """Epoch, step and rows, int64 ``[B]``, of every training batch."""
    steps = steps_per_epoch(count, batch_size)

    @_not_converted
    def rows_of(epoch: tf.Tensor) -> tf.data.Dataset:
        rows = tf.reshape(order(epoch)[: steps * batch_size], [steps, batch_size])
        return tf.data.Dataset.from_tensor_slices((tf.fill([steps], epoch), tf.range(steps, dtype=tf.int64), rows))

    return tf.data.Dataset.range(start_epoch, epochs).flat_map(rows_of)


def evaluation(
    store: Store,
    labels: Labels | None = None,
    *,
    batch_size: int,
    classes: int = 0,
    threads: int | None = None,
) -> tf.data.Dataset:
    """The images in order, unchanged, uint8 ``[B, H, W, C]``; the last batch may be short.

    With ``labels``, int ``[N]``, and the number of ``classes``, also one-hot targets float32 ``[B, C]`` and weights
    float32 ``[B]`` of 1.
    """
    rows = tf.data.Dataset.range(len(store)).batch(batch_size)
    if labels is None:
        return _parallel(rows, store.fetch, threads)
    with tf.device("CPU:0"):
        labels = tf.constant(labels, tf.int32)

    @_not_converted
    def batch(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        targets = tf.one_hot(tf.gather(labels, rows), classes)
        return store.fetch(rows), targets, tf.ones_like(rows, tf.float32)

    return _parallel(rows, batch, threads)


def grid(
    store: Store, labels: Labels, augmentation: Augmentation, seed: int, count: int = 7, variants: int = 7
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Training images, the classes taking turns, and what augmentation and mixing make of each, as rows of a figure.

    Returns:
        uint8 ``[count, 1 + variants, H, W, C]``: the original first. Fewer rows where there are fewer examples.
    """
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    turn = np.zeros(len(labels), np.int64)
    for c in np.unique(labels):
        members = labels[shuffled] == c
        turn[members] = np.arange(members.sum())
    rows = shuffled[np.lexsort((labels[shuffled], turn))][:count]
    originals = store.read(rows)
    with tf.device("CPU:0"):
        images, targets = tf.constant(originals), tf.one_hot(labels[rows], int(labels.max()) + 1)
        varied = [_vary(images, targets, augmentation, key(seed, i, 0), True)[0].numpy() for i in range(variants)]
    return np.stack([originals, *varied], axis=1)


def permutation(count: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """The order of an epoch's examples: int64 ``[count]``."""
    drawn = fold(key(seed, epoch, 0), _ORDER)
    return tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), drawn)


def drawn(rates: np.ndarray[Any, Any], labels: tf.Tensor, classes: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """The images of an epoch where some are drawn more often: int64 ``[count]``.

    Systematic sampling (Madow 1949) within each class in random order: an image with rate r comes floor(r) or ceil(r)
    times. Classes are spread evenly, so that every batch has nearly the shares of the epoch.
    """
    count = len(rates)
    random = fold(key(seed, epoch, 0), _ORDER)
    shuffled = permutation(count, seed, epoch)
    shuffled = tf.gather(shuffled, tf.argsort(tf.gather(labels, shuffled), stable=True))
    edges = tf.cumsum(tf.gather(tf.constant(rates, tf.float64), shuffled))
    points = tf.range(count, dtype=tf.float64) + tf.random.stateless_uniform([], fold(random, 1), dtype=tf.float64)
    found = tf.searchsorted(edges * (count / edges[-1]), points, side="right")
    rows = tf.gather(shuffled, tf.minimum(found, count - 1))
    rows = tf.random.experimental.stateless_shuffle(rows, fold(random, 2))
    one_hot = tf.one_hot(tf.gather(labels, rows), classes, dtype=tf.float64)
    rank = tf.reduce_sum(tf.cumsum(one_hot, exclusive=True) * one_hot, axis=1)
    size = tf.reduce_sum(tf.reduce_sum(one_hot, axis=0) * one_hot, axis=1)
    jitter = tf.random.stateless_uniform([count], fold(random, 3), dtype=tf.float64)
    return tf.gather(rows, tf.argsort((rank + jitter) / size))


def _vary(
    images: tf.Tensor, targets: tf.Tensor, augmentation: Augmentation, batch_key: tf.Tensor, mixes: tf.Tensor | bool
) -> tuple[tf.Tensor, tf.Tensor]:
    images = augment(images, augmentation.ops, batch_key)
    return mix(
        images,
        targets,
        fold(batch_key, _MIXING),
        mixup=augmentation.mixup,
        cutmix=augmentation.cutmix,
        probability=tf.where(mixes, augmentation.mix_probability, 0.0),
    )


def _parallel(dataset: tf.data.Dataset, function: Any, threads: int | None) -> tf.data.Dataset:
    dataset = dataset.map(function, num_parallel_calls=threads or tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    # The default rewrites keep a second copy of the tensors a function refers to: all images of cache=memory.
    options.experimental_optimization.apply_default_optimizations = False
    # One thread a batch and several batches at once: splitting the work on a batch this small costs more than it saves.
    options.threading.max_intra_op_parallelism = 1
    if threads is not None:
        options.threading.private_threadpool_size = threads
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)
