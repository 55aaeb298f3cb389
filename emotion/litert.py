"""The LiteRT export of a run's best checkpoint, and the proof that it equals the checkpoint."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from emotion import runs
from emotion.errors import UserError
from emotion.live.classifier import Classifier
from emotion.logs import quiet_stderr
from emotion.predict import predict
from emotion.training import state

log = logging.getLogger(__name__)

#: Largest difference between a probability of the export and the checkpoint's: float32 rounding, no more.
TOLERANCE = 1e-4


def is_stale(run: runs.Run) -> bool:
    """Whether ``model.tflite`` is missing or was made of another checkpoint than ``best.keras``."""
    recorded = run.record().get("tflite") or {}
    return not (run.path / "model.tflite").is_file() or recorded.get("checkpoint") != sha256(run.checkpoint())


def export(run: runs.Run, pictures: np.ndarray) -> float:
    """Write ``model.tflite`` from ``best.keras`` and compare the two.

    Args:
        run: The run.
        pictures: uint8 ``[N, H, W, C]`` to compare on.

    Returns:
        The largest absolute difference between two probabilities.

    Raises:
        UserError: The difference is above :data:`TOLERANCE`; the file is not written.
    """
    checkpoint = run.checkpoint()
    model = keras.saving.load_model(checkpoint, compile=False, safe_mode=True)
    contract = run.contract()
    with state.replacing(run.path / "model.tflite") as temporary:
        temporary.write_bytes(_convert(model))
        # The classifier takes pictures as OpenCV gives them, so this compares all of the live path.
        with quiet_stderr():
            exported = Classifier(temporary, contract).classify(list(pictures[..., ::-1]))
        difference = float(np.abs(exported - predict(model, pictures)).max())
        if not difference <= TOLERANCE:
            raise UserError(f"run {run.id}: the LiteRT export differs from its checkpoint by {difference:.2g}")
    runs.update(run, tflite={"checkpoint": sha256(checkpoint), "max_difference": difference})
    return difference


def _convert(model: keras.Model) -> bytes:
    """Convert by way of a SavedModel of one traced function: the path with the fewest moving parts."""
    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(model)
        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="image")]
        archive.add_endpoint("serve", lambda image: model(image, training=False), signature)
        archive.write_out(folder, verbose=False)
        with quiet_stderr():
            return tf.lite.TFLiteConverter.from_saved_model(folder).convert()


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
