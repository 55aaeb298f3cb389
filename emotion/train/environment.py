"""Setting TensorFlow up as a run's config asks: threads, precision, determinism, devices and their batches."""

from __future__ import annotations

import resource
import sys
from itertools import chain

import keras
import tensorflow as tf
from omegaconf import DictConfig

from emotion.base.errors import UserError


def set_up(trainer: DictConfig, seed: int) -> None:
    """Prepare this process for one run. Call it before any model is built."""
    keras.backend.clear_session()  # first: it resets the precision policy
    if trainer.threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(trainer.threads)
        tf.config.threading.set_inter_op_parallelism_threads(trainer.threads)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    policy = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}[trainer.precision]
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(seed)
    if trainer.deterministic:
        tf.config.experimental.enable_op_determinism()


def strategy(name: str) -> tf.distribute.Strategy:
    """The strategy whose scope a model and its optimizers are made in: one object for a whole run.

    ``mirrored`` splits each batch over all GPUs, or over the logical CPU devices where there are none.
    """
    if name == "default":
        return tf.distribute.get_strategy()
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices(kind)])


def synchronise(model: keras.Model, devices: int) -> None:
    """Let batch norm count over the whole batch, not each device's part of it; call it before compiling.

    Otherwise the result depends on the number of devices.
    """
    if devices == 1:
        return
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def check_batch(batch_size: int, devices: int) -> None:
    """Refuse batches that the devices cannot share equally: the mean of their losses is not the batch's mean.

    Raises:
        UserError: Names the nearest sizes that they can.
    """
    if batch_size % devices:
        below, above = batch_size // devices * devices, (batch_size // devices + 1) * devices
        near = " or ".join(str(size) for size in (below, above) if size)
        raise UserError(
            f"trainer.batch_size: {batch_size} images cannot be shared equally by {devices} devices "
            f"(trainer.strategy=mirrored). Set trainer.batch_size={near}"
        )


def evaluation_batch(batch_size: int, count: int, devices: int) -> int:
    """The size of evaluation batches, near ``batch_size``, of which every device gets a part.

    Keras adds up the devices' parts of the first batch to learn its shape, which fails where they differ in size; and a
    part without images, as of a last batch of one, fails in fused operations.
    """

    def reaches_all(rest: int) -> bool:  # each device but the last gets as many as the first
        return rest == 0 or -(-rest // devices) * (devices - 1) < rest

    largest = min(batch_size, count) // devices * devices
    sizes = chain(range(largest, 0, -devices), range(largest + devices, count, devices))
    return next((size for size in sizes if reaches_all(count % size)), batch_size)


def peak_memory() -> int:
    """The largest memory that this whole process has held so far, in bytes: resident, and on the first GPU."""
    # Linux counts in KiB, macOS in bytes.
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if not tf.config.list_physical_devices("GPU"):
        return int(resident)
    return int(resident + tf.config.experimental.get_memory_info("GPU:0")["peak"])
