"""Make an export and compare it with its checkpoint."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion import runs
from emotion.base import files, logs, progress_hidden
from emotion.base.devices import cores
from emotion.base.errors import UserError
from emotion.data.examples import Splits
from emotion.export import check
from emotion.faces.contract import Contract
from emotion.inference import convert, held_out, timing
from emotion.inference.classifier import LARGEST_BATCH, Classifier
from emotion.inference.runtimes import Traced, UnreadableModelError
from emotion.runs import exports
from emotion.runs.formats import FILES, Kind

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

Pictures = np.ndarray[Any, np.dtype[np.uint8]]
Probabilities = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Made:
    """An export, before anybody can take it.

    Attributes:
        checkpoint: SHA-256 of the checkpoint that it was made from.
        sha256: See :func:`emotion.runs.exports.digest`.
        bytes: Of the model.
        size_ratio: To the float32 LiteRT file; None where LiteRT cannot run the model.
        comparison: With the checkpoint.
        compared_on: ``validation split`` or ``drawn faces``.
        latency_ms: ``export`` and, where there is one, ``float32_litert``.
        calibration: Of int8: ``split`` and number of ``pictures``.
    """

    checkpoint: str
    sha256: str
    bytes: int
    size_ratio: float | None
    comparison: check.Comparison
    compared_on: str
    latency_ms: dict[str, float]
    calibration: dict[str, Any] | None


def make(run: runs.Run, kind: Kind, contract: Contract, splits: Splits | None, calibration: int, staging: Path) -> Made:
    """Convert a run's best checkpoint, and compare and time the result.

    Args:
        run: The run.
        kind: What to make.
        contract: The run's.
        splits: Its data; None compares on drawn faces.
        calibration: Pictures that set int8's scales.
        staging: A folder for what is made on the way; the model goes into its ``export``, by its own name.

    Raises:
        UserError: A damaged checkpoint, one that disagrees with the contract, a model that the format cannot hold, or
            a package that cannot be imported.
    """
    try:
        logs.import_tensorflow()
    except ImportError as error:
        raise UserError(f"exporting needs TensorFlow, which cannot be imported here ({error})") from None
    model, checkpoint = _checkpoint(run, staging)
    pictures, truth, compared_on = _pictures(splits, contract)
    scales = (
        held_out.representative(splits.train, contract, calibration) if kind.quantize == "int8" and splits else None
    )
    path = staging / "export" / FILES[kind.format]
    log.info("converting %s to %s", run.id, kind.name)
    _convert(run, kind, model, scales, path)
    before = _reference(run, model, pictures)
    try:
        classifier = Classifier(path, contract.uncalibrated(), cores())
    except UnreadableModelError as error:
        raise UserError(f"run {run.id}: its {kind.name} export cannot be loaded ({error.reason})") from None
    after = _scored(f"scoring {kind.name}", classifier.probabilities, pictures, LARGEST_BATCH)

    plain = path if kind == Kind("litert") else _float32_litert(run, model, checkpoint, staging)
    timed = {"export": path} | ({"float32_litert": plain} if plain else {})
    contract.save(staging / "export" / "contract.json")
    return Made(
        checkpoint=checkpoint,
        sha256=exports.digest(path),
        bytes=exports.size(path),
        size_ratio=exports.size(path) / exports.size(plain) if plain else None,
        comparison=check.compare(before, after, truth, contract.labels),
        compared_on=compared_on,
        latency_ms=timing.latency(timed, staging / "export" / "contract.json"),
        calibration=None if scales is None else {"split": "train", "pictures": len(scales)},
    )


def _checkpoint(run: runs.Run, staging: Path) -> tuple[keras.Model, str]:
    """The best checkpoint and its SHA-256; a run that still trains may replace the file while it is read."""
    from emotion.runs import checkpoints

    original = run.checkpoint()
    copy = staging / original.name
    shutil.copyfile(original, copy)
    try:
        return checkpoints.load(copy), files.sha256(copy)
    except UserError as error:
        raise UserError(str(error).replace(str(copy), str(original))) from None


def _pictures(splits: Splits | None, contract: Contract) -> tuple[Pictures, check.Labels | None, str]:
    from emotion.inference import litert

    if splits is None:
        return litert.drawn_faces(contract), None, "drawn faces"
    return held_out.read(splits.validation, contract), splits.validation.labels, "validation split"


def _convert(run: runs.Run, kind: Kind, model: keras.Model, scales: Pictures | None, path: Path) -> None:
    def calibrating() -> Any:
        assert scales is not None
        return progress_hidden.shown("calibrating", (picture[None] for picture in scales), len(scales))

    try:
        if kind.format == "saved_model":
            path.parent.mkdir()
            convert.saved_model(model, path)
        elif kind.format == "onnx":
            path.write_bytes(convert.onnx(model))
        else:
            path.write_bytes(convert.litert(model, kind.quantize, calibrating))
    except ImportError as error:
        raise UserError(
            f"format=onnx needs a package that cannot be imported here ({error}). pip install 'emotion[onnx]'"
        ) from None
    except convert.NoConversionError as error:
        raise UserError(
            f"run {run.id}: its model cannot be exported as {kind.name} ({error}). Choose another format=..."
        ) from None


def _reference(run: runs.Run, model: keras.Model, pictures: Pictures) -> Probabilities:
    found = _scored("scoring the checkpoint", Traced(model).probabilities, pictures, 256)
    if not np.isfinite(found).all():
        raise UserError(
            f"{run.checkpoint()}: its outputs are not numbers (NaN); its training diverged, use another run"
        )
    return found


def _scored(what: str, classify: Any, pictures: Pictures, size: int) -> Probabilities:
    starts = range(0, len(pictures), size)
    return np.concatenate([classify(pictures[i : i + size]) for i in progress_hidden.shown(what, starts, len(starts))])


def _float32_litert(run: runs.Run, model: keras.Model, checkpoint: str, staging: Path) -> Path | None:
    """The file that size and latency are held against: the run's own, or one made for this where there is none."""
    own = run.elsewhere is None and run.tflite_fault() is None  # a published run's file may be in float16
    if own and run.record().tflite.get("checkpoint") == checkpoint:
        return run.path / "model.tflite"
    path = staging / "float32.tflite"
    try:
        path.write_bytes(convert.litert(model))
    except convert.NoConversionError as error:
        log.warning("run %s: no float32 LiteRT file to hold size and latency against (%s)", run.id, error)
        return None
    return path
