"""Make an export, compare it with its checkpoint, and measure its size and latency."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion import runs
from emotion.base import logs
from emotion.base.errors import UserError
from emotion.data.examples import Splits
from emotion.export import check
from emotion.faces.contract import Contract
from emotion.inference import convert, held_out, latency
from emotion.runs import exports
from emotion.runs.exports import FILES, Kind

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)


def make(
    run: runs.Run, kind: Kind, contract: Contract, splits: Splits | None, calibration: int, staging: Path
) -> tuple[check.Comparison, dict[str, Any]]:
    """Convert a run's best checkpoint, and compare and time the result.

    Args:
        run: The run.
        kind: What to make.
        contract: The run's.
        splits: Its data; None compares on drawn faces.
        calibration: Number of images that set int8's scales.
        staging: A folder for intermediate files; the model and its contract go into its ``export``.

    Returns:
        The comparison with the checkpoint, and what ``report.json`` says of the files: ``checkpoint`` (its SHA-256),
        ``sha256`` and ``bytes`` of the model, ``size_ratio``, ``compared_on``, ``latency_ms``, ``calibration``.

    Raises:
        UserError: A damaged checkpoint, one that disagrees with the contract, a model that the format cannot hold, or
            a package that cannot be imported.
    """
    try:
        logs.import_tensorflow()
    except ImportError as error:
        raise UserError(f"exporting needs TensorFlow, which cannot be imported here ({error})") from None
    from emotion.inference import litert

    model, checkpoint = convert.checkpoint(run, staging)
    if splits is None:
        images, truth, compared_on = litert.drawn_faces(contract), None, "drawn faces"
    else:
        images, truth = held_out.read(splits.validation, contract), splits.validation.labels
        compared_on = "validation split"
    representative = None
    if kind.quantize == "int8" and splits is not None:
        representative = held_out.representative(splits.train, contract, calibration)
    path = staging / "export" / FILES[kind.format]
    contract_path = staging / "export" / "contract.json"
    contract.save(contract_path)
    log.info("converting %s to %s", run.id, kind.name)
    try:
        outputs = convert.export(run, model, kind, path, images, representative)
    except convert.NoExportError as error:
        raise UserError(f"{error}. Choose another format=...") from None
    float32 = path if kind == Kind("litert") else _float32_litert(run, model, checkpoint, staging)
    timed = {"export": path} | ({"float32_litert": float32} if float32 else {})
    return check.compare(*outputs, truth, contract.labels), {
        "checkpoint": checkpoint,
        "sha256": exports.digest(path),
        "bytes": exports.size(path),
        "size_ratio": exports.size(path) / exports.size(float32) if float32 else None,
        "compared_on": compared_on,
        "latency_ms": latency.in_own_process(timed, contract_path),
        "calibration": None if representative is None else {"split": "train", "pictures": len(representative)},
    }


def _float32_litert(run: runs.Run, model: keras.Model, checkpoint: str, staging: Path) -> Path | None:
    """The reference for size and latency: the run's own file, or one made for this where there is none."""
    own = run.elsewhere is None and run.tflite_fault() is None  # a published run's file may be in float16
    if own and run.record().tflite.get("checkpoint") == checkpoint:
        return run.path / "model.tflite"
    path = staging / "float32.tflite"
    try:
        path.write_bytes(convert.litert(model))
    except convert.NoConversionError as error:
        log.warning("run %s: no float32 LiteRT file to compare size and latency with (%s)", run.id, error)
        return None
    return path
