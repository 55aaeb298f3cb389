"""Rounding a model's weights to float16, which halves its files; any Keras still loads them as float32."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emotion import runs
from emotion.base.errors import UserError
from emotion.inference import convert
from emotion.inference.classifier import predict
from emotion.inference.runtimes import Batch, Traced
from emotion.runs import checkpoints
from emotion.runs.exports import Kind

if TYPE_CHECKING:
    import keras

#: Largest difference that rounding may make to a probability.
TOLERANCE = 0.01


@dataclass(frozen=True)
class Rounded:
    """The effect of rounding on the outputs for the validation images.

    Attributes:
        keras: Largest absolute difference between a probability of the rounded network and of the original.
        litert: The same for the LiteRT export.
        pictures: Number of images compared.
    """

    keras: float
    litert: float
    pictures: int


def halve(run: runs.Run, images: Batch, checkpoint: Path, export: Path) -> Rounded:
    """Write a run's best checkpoint, rounded, and its LiteRT export with float16 weights.

    Kernels are rounded to the nearest float16, which keeps 11 of the 24 bits of a float32's significand; biases and
    batch statistics, less than a hundredth of the weights, stay as they are. The checkpoint's zip is deflated, which
    makes use of the bits that are now 0. LiteRT folds batch norm into kernels before it rounds them, so its outputs are
    not quite the checkpoint's.

    Args:
        run: The run.
        images: uint8 ``[N, H, W, C]``, its validation split, prepared.
        checkpoint: Where the ``.keras`` file goes.
        export: Where the ``.tflite`` file goes.

    Raises:
        UserError: A probability differs by more than :data:`TOLERANCE`, or LiteRT cannot run the model.
    """
    model = checkpoints.load(run.checkpoint())
    expected = predict(Traced(model), images)
    _round(model)
    _save(model, checkpoint)
    outputs = convert.export(run, checkpoints.load(checkpoint), Kind("litert", "float16"), export, images)
    keras_difference, litert_difference = (float(np.abs(probabilities - expected).max()) for probabilities in outputs)
    rounded = Rounded(keras_difference, litert_difference, len(images))
    worst = max(rounded.keras, rounded.litert)
    if not worst <= TOLERANCE:
        raise UserError(
            f"half: rounding the weights of run {run.id} to float16 changes a probability by {worst:.2g}; the limit is "
            f"{TOLERANCE:g}. Publish it with half=false, or train a smaller model=..."
        )
    return rounded


def _round(model: keras.Model) -> None:
    weights = model.get_weights()
    largest = float(np.finfo(np.float16).max)
    model.set_weights(
        [w.clip(-largest, largest).astype(np.float16).astype(w.dtype) if w.ndim > 1 else w for w in weights]
    )


def _save(model: keras.Model, path: Path) -> None:
    """Save a model, in a zip whose files are deflated; Keras itself stores them as they are."""
    with tempfile.TemporaryDirectory(prefix="emotion-") as folder:
        plain = Path(folder) / path.name
        model.save(plain)
        with zipfile.ZipFile(plain) as stored, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
            for name in stored.namelist():
                out.writestr(name, stored.read(name))
