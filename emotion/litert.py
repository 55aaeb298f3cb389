"""The LiteRT export of a run's best checkpoint, and the proof that it equals the checkpoint."""

from __future__ import annotations

import logging
import tempfile

import keras
import numpy as np
import tensorflow as tf

from emotion import runs
from emotion.errors import UserError
from emotion.live.classifier import Classifier
from emotion.logs import quiet_stderr
from emotion.predict import predict, traced
from emotion.training import state

log = logging.getLogger(__name__)

#: Largest difference between a probability of the export and the checkpoint's: float32 rounding, no more.
TOLERANCE = 1e-4


def is_stale(run: runs.Run) -> bool:
    """Whether ``model.tflite`` is missing or was made of another checkpoint than ``best.keras``."""
    recorded = run.record().get("tflite") or {}
    return not (run.path / "model.tflite").is_file() or recorded.get("checkpoint") != runs.sha256(run.checkpoint())


def export(run: runs.Run, model: keras.Model, pictures: np.ndarray) -> float:
    """Write ``model.tflite`` from ``best.keras`` and compare the two.

    Args:
        run: The run.
        model: Its best checkpoint, loaded.
        pictures: uint8 ``[N, H, W, C]`` to compare on.

    Returns:
        The largest absolute difference between two probabilities.

    Raises:
        UserError: The difference is above :data:`TOLERANCE`; the file is not written.
    """
    checkpoint = run.checkpoint()
    contract = run.contract()
    with state.replacing(run.path / "model.tflite") as temporary:
        temporary.write_bytes(_convert(model))
        # Prepared already, so this compares the two models alone; the classifier expects OpenCV's channel order.
        with quiet_stderr():
            exported = Classifier(temporary, contract).classify(list(pictures[..., ::-1]))
        difference = float(np.abs(exported - predict(model, pictures)).max())
        if not difference <= TOLERANCE:
            raise UserError(f"run {run.id}: the LiteRT export differs from its checkpoint by {difference:.2g}")
    runs.update(run, tflite={"checkpoint": runs.sha256(checkpoint), "max_difference": difference})
    return difference


def _convert(model: keras.Model) -> bytes:
    """Convert by way of a SavedModel that holds one traced function and its variables, nothing else of Keras."""
    module = tf.Module()
    module.held = [variable.value for variable in model.variables]
    with tempfile.TemporaryDirectory() as folder, quiet_stderr():
        tf.saved_model.save(module, folder, signatures=traced(model))
        return tf.lite.TFLiteConverter.from_saved_model(folder).convert()
