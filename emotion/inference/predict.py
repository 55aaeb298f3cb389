"""Probabilities of a Keras model, or of an export, for many pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from emotion.inference.classifier import Classifier
from emotion.inference.runtimes import traced

Probabilities = np.ndarray[Any, np.dtype[np.float32]]


def predict(
    model: keras.Model | Classifier, pictures: np.ndarray[Any, Any] | Iterable[Any], batch_size: int = 256
) -> Probabilities:
    """Run a model over pictures in inference mode.

    Args:
        model: From uint8 ``[N, H, W, C]`` to float32 ``[N, labels]``.
        pictures: One uint8 array ``[N, H, W, C]``, or batches of such (a ``tf.data`` dataset).
        batch_size: Pictures a step, where an array is given.

    Returns:
        float32 ``[N, labels]``.
    """
    batches = _cut(pictures, batch_size) if isinstance(pictures, np.ndarray) else pictures
    if isinstance(model, Classifier):
        found = [model.probabilities(np.asarray(batch)) for batch in batches]
        labels = len(model.contract.labels)
    else:
        run = traced(model)
        found = [run(tf.convert_to_tensor(batch)).numpy() for batch in batches]
        labels = model.output_shape[-1]
    return np.concatenate(found) if found else np.empty((0, labels), np.float32)


def _cut(pictures: np.ndarray[Any, Any], size: int) -> Iterable[np.ndarray[Any, Any]]:
    return (pictures[i : i + size] for i in range(0, len(pictures), size))
