"""Make an export, compare its outputs with its checkpoint's, and measure its size and latency."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion import runs
from emotion.base import logs
from emotion.base.errors import UserError
from emotion.data.examples import Splits
from emotion.faces.contract import Contract
from emotion.inference import convert, held_out, latency
from emotion.runs import exports
from emotion.runs.exports import FILES, Kind, Tolerance

if TYPE_CHECKING:
    import keras


Probabilities = np.ndarray[Any, np.dtype[np.float32]]
Labels = np.ndarray[Any, np.dtype[np.int64]]

#: A recall that changes by more than this is named in the report: 2 points.
MOVED = 0.02


@dataclass(frozen=True)
class Recall:
    """A class's recall with both models; None for a class that does not occur."""

    support: int
    checkpoint: float | None
    export: float | None

    @property
    def moved(self) -> bool:
        """Whether it changed by more than 2 points, in either direction."""
        if self.checkpoint is None or self.export is None:
            return False
        return abs(self.export - self.checkpoint) > MOVED + 1e-9  # not at 2 points as floats have it


@dataclass(frozen=True)
class Comparison:
    """An export's outputs compared with its checkpoint's.

    Attributes:
        pictures: Number of images.
        max_difference: Largest absolute difference of a probability.
        changed_labels: Images whose most probable class differs.
        accuracy: The checkpoint's and the export's; None where the truth is not known.
        recall: By class, in the order of the contract's labels; None likewise.
    """

    pictures: int
    max_difference: float
    changed_labels: int
    accuracy: tuple[float, float] | None = None
    recall: dict[str, Recall] | None = None

    @property
    def moved(self) -> list[str]:
        """The classes whose recall changed by more than 2 points."""
        return [name for name, recall in (self.recall or {}).items() if recall.moved]


def compare(
    checkpoint: Probabilities, export: Probabilities, truth: Labels | None, labels: Sequence[str]
) -> Comparison:
    """Compare the outputs of two classifiers on the same images.

    Args:
        checkpoint, export: float32 ``[N, labels]``, N of 1 or more, all finite.
        truth: int64 ``[N]``, or None where it is not known.
        labels: Names of the classes.
    """
    before, after = checkpoint.argmax(axis=1), export.argmax(axis=1)
    difference = float(np.abs(export - checkpoint).max())
    changed = int((before != after).sum())
    if truth is None:
        return Comparison(len(checkpoint), difference, changed)
    recall = {}
    for index, name in enumerate(labels):
        own = truth == index
        support = int(own.sum())
        share = [float((answers[own] == index).mean()) if support else None for answers in (before, after)]
        recall[name] = Recall(support, share[0], share[1])
    accuracy = float((before == truth).mean()), float((after == truth).mean())
    return Comparison(len(checkpoint), difference, changed, accuracy, recall)


def failures(comparison: Comparison, tolerance: Tolerance) -> Iterator[str]:
    """What is outside the tolerance, in words; nothing where the export equals its checkpoint."""
    if tolerance.probability is not None and not comparison.max_difference <= tolerance.probability:
        yield (
            f"a probability differs by {comparison.max_difference:.2g}; the limit is {tolerance.probability:g} "
            f"(tolerance.probability)"
        )
    if tolerance.accuracy is not None and comparison.accuracy is not None:
        before, after = comparison.accuracy
        if not abs(after - before) <= tolerance.accuracy + 1e-9:  # a difference of just the limit is allowed
            yield (
                f"its accuracy is {100 * after:.2f} % instead of {100 * before:.2f} %, a difference of "
                f"{100 * abs(after - before):.2f} points; the limit is {100 * tolerance.accuracy:g} "
                f"(tolerance.accuracy={tolerance.accuracy:g})"
            )
    changed = comparison.changed_labels / comparison.pictures
    if tolerance.changed_labels is not None and changed > tolerance.changed_labels + 1e-9:
        yield (
            f"{comparison.changed_labels:,} of {comparison.pictures:,} labels change ({100 * changed:.1f} %); the "
            f"limit is {100 * tolerance.changed_labels:g} % (tolerance.changed_labels={tolerance.changed_labels:g})"
        )


log = logging.getLogger(__name__)


def make(
    run: runs.Run, kind: Kind, contract: Contract, splits: Splits | None, calibration: int, staging: Path
) -> tuple[Comparison, dict[str, Any]]:
    """Convert a run's best checkpoint, and compare and time the result.

    Args:
        run, kind, contract: What is exported, as what, and the run's contract.
        splits: Its data; None compares on drawn faces.
        calibration: Number of images that set int8's scales.
        staging: A folder for intermediate files; the model and its contract go into its ``export``.

    Returns:
        The comparison with the checkpoint, and the values of ``report.json`` about the files.

    Raises:
        UserError: An unfit checkpoint, a model that the format cannot hold, or a package that cannot be imported.
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
    path, contract_path = (staging / "export" / name for name in (FILES[kind.format], "contract.json"))
    contract.save(contract_path)
    log.info("converting %s to %s", run.id, kind.name)
    try:
        outputs = convert.export(run, model, kind, path, images, representative)
    except convert.NoExportError as error:
        raise UserError(f"{error}. Choose another format=...") from None
    float32 = path if kind == Kind("litert") else _float32_litert(run, model, checkpoint, staging)
    timed = {"export": path} | ({"float32_litert": float32} if float32 else {})
    return compare(*outputs, truth, contract.labels), {
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
