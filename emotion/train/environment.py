"""Setting TensorFlow up as a run's config asks: threads, precision, determinism, devices."""

from __future__ import annotations

import resource
import sys

import keras
import tensorflow as tf
from omegaconf import DictConfig


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

    ``mirrored`` splits each batch over all GPUs of this machine, or over its logical CPU devices where it has none;
    ``default`` uses one device.
    """
    if name == "default":
        return tf.distribute.get_strategy()
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices(kind)])


def peak_memory() -> int:
    """The largest memory that this process has held so far, in bytes: resident, and on the first GPU where it has one.

    The process is taken as it is, TensorFlow and the cached images included: what a machine must have to train this.
    """
    # Linux counts in KiB, macOS in bytes.
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if not tf.config.list_physical_devices("GPU"):
        return int(resident)
    return int(resident + tf.config.experimental.get_memory_info("GPU:0")["peak"])
