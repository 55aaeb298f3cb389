"""The ``tf.data`` pipeline: from row numbers to augmented, mixed and weighted batches.

What is in a batch follows from (seed, epoch, step) alone: the order is a permutation drawn from (seed, epoch), and
every random choice about the pictures comes from a key of all three. Neither the number of threads nor a restart
changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from omegaconf import DictConfig

from emotion.base.errors import UserError
from emotion.data.augment import Op, augment, fold, key, parse
from emotion.data.cache import Store
from emotion.data.mixing import mix

Labels = np.ndarray[Any, np.dtype[np.int64]]

# Which of a batch's random keys is whose; augment's operations count up from 0.
_MIXING = 1 << 20
_ORDER = 1 << 21


@dataclass(frozen=True)
class Augmentation:
    """The augmentation group of a config; the YAML files explain the values."""

    ops: tuple[Op, ...] = ()
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    unmixed_epochs: int = 0

    @classmethod
    def from_config(cls, cfg: DictConfig) -> Augmentation:
        """Read a composed and validated ``augmentation`` node.

        Raises:
            UserError: See :func:`emotion.data.augment.parse`.
        """
        return cls(
            ops=parse(cfg.ops),
            mixup=float(cfg.mixup),
            cutmix=float(cfg.cutmix),
            mix_probability=float(cfg.mix_probability),
            unmixed_epochs=int(cfg.unmixed_epochs),
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
) -> tf.data.Dataset:
    """All batches of the epochs ``start_epoch`` to ``epochs``, one after the other, ``steps_per_epoch`` each.

    One dataset for all epochs, so that the next epoch's first batches are made while this one's last ones are used.
    Pass ``steps_per_epoch`` to ``fit``.

    An example's weight is the sum over the classes of target times class weight, after mixing and before label
    smoothing: smoothing says how sure to be of a label, not that a picture belongs a little to a rare class.
    Targets are then smoothed to ``(1 - s) * target + s / C``; the loss takes them as they are.

    Args:
        store: Pictures of the training split.
        labels: int ``[N]``.
        batch_size: Pictures a batch, over all replicas.
        seed: The run's.
        epochs: The epoch that training ends before; the last ``augmentation.unmixed_epochs`` of them are not mixed.
        start_epoch: The first epoch.
        augmentation: What is done to the pictures.
        class_weights: float ``[C]``, from :func:`emotion.data.weights.class_weights`.
        weighted_epochs: How many of the last epochs they count in (Cao et al. 2019, "Learning Imbalanced Datasets with
            Label-Distribution-Aware Margin Loss", deferred re-weighting: features are learnt from all examples alike,
            and the decision then leans towards rare classes). None is all.
        label_smoothing: Share of each target that is spread over all classes.
        threads: How many batches are made at once; None lets ``tf.data`` choose.
        targets: float32 ``[N, K]``, what is fitted in place of the one-hot labels. A row that names several labels by
            ones is weighed by their mean.

    Returns:
        A dataset of pictures uint8 ``[B, H, W, C]``, targets float32 ``[B, K]``, weights float32 ``[B]``.

    Raises:
        UserError: Fewer examples than one batch.
    """
    steps = steps_per_epoch(len(labels), batch_size)
    with tf.device("CPU:0"):
        labels = tf.constant(labels, tf.int32)
        weight_of = tf.constant(np.asarray(class_weights, np.float32))
        target_of = None if targets is None else tf.constant(targets, tf.float32)
    classes = len(class_weights)
    unweighted = 0 if weighted_epochs is None else epochs - weighted_epochs

    @tf.autograph.experimental.do_not_convert  # nothing to convert, and looking takes time
    def batches_of(epoch: tf.Tensor) -> tf.data.Dataset:
        order = permutation(len(labels), seed, epoch)
        rows = tf.reshape(order[: steps * batch_size], [steps, batch_size])
        return tf.data.Dataset.from_tensor_slices((tf.fill([steps], epoch), tf.range(steps, dtype=tf.int64), rows))

    @tf.autograph.experimental.do_not_convert  # nothing to convert, and looking takes time
    def batch(epoch: tf.Tensor, step: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        targets = tf.one_hot(tf.gather(labels, rows), classes) if target_of is None else tf.gather(target_of, rows)
        mixes = epoch < epochs - augmentation.unmixed_epochs
        pictures, targets = _vary(store.fetch(rows), targets, augmentation, key(seed, epoch, step), mixes)
        weights = tf.linalg.matvec(targets, tf.where(epoch >= unweighted, weight_of, 1.0))
        if target_of is not None:
            weights /= tf.reduce_sum(targets, axis=1)
        return pictures, targets * (1.0 - label_smoothing) + label_smoothing / classes, weights

    dataset = tf.data.Dataset.range(start_epoch, epochs).flat_map(batches_of)
    return _parallel(dataset, batch, threads)


def evaluation(
    store: Store,
    labels: Labels | None = None,
    *,
    batch_size: int,
    classes: int = 0,
    threads: int | None = None,
) -> tf.data.Dataset:
    """The pictures in order, as they are; the last batch may be short.

    Args:
        store: Pictures of a split.
        labels: int ``[N]``, or None.
        batch_size: Pictures a batch.
        classes: How many there are; needed with ``labels``.
        threads: How many batches are read at once; None lets ``tf.data`` choose.

    Returns:
        A dataset of pictures uint8 ``[B, H, W, C]``; with ``labels`` of pictures, targets float32 ``[B, K]`` and
        weights float32 ``[B]`` of 1.
    """
    rows = tf.data.Dataset.range(len(store)).batch(batch_size)
    if labels is None:
        return _parallel(rows, store.fetch, threads)
    with tf.device("CPU:0"):
        labels = tf.constant(labels, tf.int32)

    @tf.autograph.experimental.do_not_convert  # nothing to convert, and looking takes time
    def batch(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        targets = tf.one_hot(tf.gather(labels, rows), classes)
        return store.fetch(rows), targets, tf.ones_like(rows, tf.float32)

    return _parallel(rows, batch, threads)


def grid(
    store: Store, labels: Labels, augmentation: Augmentation, seed: int, count: int = 7, variants: int = 7
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Examples of every class and what augmentation and mixing make of them, for people to look at.

    Args:
        store: Pictures of the training split.
        labels: int ``[N]``.
        augmentation: What is done to them.
        seed: The run's.
        count: How many pictures; the classes take turns.
        variants: How many of each.

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
        pictures, targets = tf.constant(originals), tf.one_hot(labels[rows], int(labels.max()) + 1)
        varied = [_vary(pictures, targets, augmentation, key(seed, i, 0), True)[0].numpy() for i in range(variants)]
    return np.stack([originals, *varied], axis=1)


def permutation(count: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """The order of an epoch's examples: int64 ``[count]``."""
    drawn = fold(key(seed, epoch, 0), _ORDER)
    return tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), drawn)


def _vary(
    pictures: tf.Tensor, targets: tf.Tensor, augmentation: Augmentation, batch_key: tf.Tensor, mixes: tf.Tensor | bool
) -> tuple[tf.Tensor, tf.Tensor]:
    pictures = augment(pictures, augmentation.ops, batch_key)
    return mix(
        pictures,
        targets,
        fold(batch_key, _MIXING),
        mixup=augmentation.mixup,
        cutmix=augmentation.cutmix,
        probability=tf.where(mixes, augmentation.mix_probability, 0.0),
    )


def _parallel(dataset: tf.data.Dataset, function: Any, threads: int | None) -> tf.data.Dataset:
    dataset = dataset.map(function, num_parallel_calls=threads or tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    # The default rewrites keep a second copy of the tensors a function refers to: all pictures of cache=memory.
    options.experimental_optimization.apply_default_optimizations = False
    # One thread a batch and several batches at once: splitting the work on a batch this small costs more than it saves.
    options.threading.max_intra_op_parallelism = 1
    if threads is not None:
        options.threading.private_threadpool_size = threads
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)
