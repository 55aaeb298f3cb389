"""Probabilities of a Keras model, or of an export, for many images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from emotion.inference.classifier import Classifier
from emotion.inference.runtimes import Probabilities, Traced


def predict(
    model: keras.Model | Traced | Classifier, images: np.ndarray[Any, Any] | Iterable[Any], batch_size: int = 256
) -> Probabilities:
    """Run a model over images in inference mode.

    Args:
        model: From uint8 ``[N, H, W, C]`` to float32 ``[N, labels]``. A Keras model is traced by each call.
        images: One uint8 array ``[N, H, W, C]``, or batches of such (a ``tf.data`` dataset).
        batch_size: Images per step, where an array is given.

    Returns:
        float32 ``[N, labels]``.
    """
    runner = Traced(model) if isinstance(model, keras.Model) else model
    if isinstance(images, np.ndarray):
        images = [images[i : i + batch_size] for i in range(0, len(images), batch_size)]
    answers = [runner.probabilities(batch) for batch in images]
    labels = runner.labels if isinstance(runner, Traced) else len(runner.contract.labels)
    return np.concatenate(answers) if answers else np.empty((0, labels), np.float32)
