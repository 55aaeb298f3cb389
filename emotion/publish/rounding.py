"""Halving a model's files: its weights rounded to float16, which any Keras still loads as float32."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion import runs
from emotion.base import files
from emotion.base.devices import cores
from emotion.base.errors import UserError
from emotion.faces.contract import Contract
from emotion.inference import convert

if TYPE_CHECKING:
    import keras

Pictures = np.ndarray[Any, np.dtype[np.uint8]]

#: Largest difference that rounding may make to a probability.
TOLERANCE = 0.01


@dataclass(frozen=True)
class Rounded:
    """What rounding did, on the validation pictures.

    Attributes:
        keras: Largest absolute difference between a probability of the rounded network and of the one before.
        litert: The same of the LiteRT export.
        pictures: How many were compared.
    """

    keras: float
    litert: float
    pictures: int


def halve(run: runs.Run, contract: Contract, pictures: Pictures, checkpoint: Path, export: Path) -> Rounded:
    """Write a run's best checkpoint, rounded, and its LiteRT export with float16 weights.

    Kernels are rounded to the nearest float16, whose 11 bits are all that is left of their float32's 24; biases and
    batch statistics, less than a hundredth of the weights, stay as they are. The checkpoint's zip is deflated, which
    makes use of the bits that are now 0. LiteRT folds batch norm into kernels before it rounds them, so its answers are
    not quite the checkpoint's.

    Args:
        run: The run.
        contract: Its contract.
        pictures: uint8 ``[N, H, W, C]``, its validation split, prepared.
        checkpoint: Where the ``.keras`` file goes.
        export: Where the ``.tflite`` file goes.

    Raises:
        UserError: A probability differs by more than :data:`TOLERANCE`, or LiteRT cannot run the model.
    """
    from emotion.inference.classifier import Classifier
    from emotion.inference.predict import predict
    from emotion.runs import checkpoints

    model = checkpoints.load(run.checkpoint())
    before = predict(model, pictures)
    _round(model)
    _save(model, checkpoint)
    model = checkpoints.load(checkpoint)
    try:
        files.write_bytes(export, convert.litert(model, "float16"))
    except convert.NoConversionError as error:
        raise UserError(f"run {run.id}: LiteRT cannot run its model ({error})") from None
    exported = Classifier(export, contract.uncalibrated(), cores()).probabilities(pictures)
    found = Rounded(_distance(predict(model, pictures), before), _distance(exported, before), len(pictures))
    worst = max(found.keras, found.litert)
    if not worst <= TOLERANCE:
        raise UserError(
            f"half: rounding the weights of run {run.id} to float16 moves a probability by {worst:.2g}, and "
            f"{TOLERANCE:g} is the most that is allowed. Publish it with half=false, or train a smaller model=..."
        )
    return found


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


def _distance(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(np.abs(a - b).max())
