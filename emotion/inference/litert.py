"""The LiteRT export of a run's best checkpoint, and the proof that it equals the checkpoint.

``python -m emotion.inference.litert <run folder> [<file>]`` makes ``model.tflite`` where it is missing or stale, or
writes the export to another file. Live video starts this as a process of its own, to stay free of TensorFlow.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from omegaconf.errors import OmegaConfBaseException

from emotion import runs
from emotion.base import exits, files, locks, logs
from emotion.base.errors import UserError
from emotion.base.interrupts import sigterm_raises
from emotion.base.progress import working
from emotion.data.examples import Examples
from emotion.faces.contract import Contract
from emotion.faces.images import prepare
from emotion.inference import convert, held_out, latency
from emotion.inference.classifier import Classifier
from emotion.inference.convert import NoExportError
from emotion.inference.runtimes import Batch, UnreadableModelError
from emotion.runs.exports import Kind

if TYPE_CHECKING:
    import keras

log = logging.getLogger("emotion.inference.litert")  # __name__ is "__main__" under python -m

#: Largest difference between a probability of the export and the checkpoint's: float32 rounding, no more.
TOLERANCE = 1e-4
#: How many images the two are compared on.
COMPARED = 64
#: The process's exit code where the checkpoint cannot be exported, though it may be a good one.
NO_EXPORT = 3


def is_stale(run: runs.Run) -> bool:
    """Whether ``model.tflite`` is missing, damaged, or was made of another checkpoint than ``best.keras``."""
    if run.tflite_fault() is not None:
        return True
    try:
        Classifier(run.path / "model.tflite", run.contract())
    except UnreadableModelError:  # exports that are older than the record of their hash
        return True
    return False


def refresh(run: runs.Run, destination: Path | None = None) -> float | None:
    """Make ``model.tflite`` from the best checkpoint where it is stale, and compare the two.

    They are compared on images of the run's validation split, or on drawn faces where its data is gone. Processes
    that do this at the same time wait for each other. With ``destination`` the export goes into that file instead,
    and nothing into the run's folder.

    Returns:
        The largest absolute difference between two probabilities; None where ``model.tflite`` was fresh.

    Raises:
        NoExportError: See :func:`export`.
        UserError: The run has no checkpoint, it is damaged, or it disagrees with the contract.
    """
    with files.temporary_folder() as folder, locks.alone(run.checkpoint().parent):
        if destination is None and not is_stale(run):
            return None
        model, digest = convert.checkpoint(run, folder)
        return _export(run, model, *_own_images(run), digest, destination)


def export(run: runs.Run, model: keras.Model, images: Batch, compared_on: str) -> float:
    """Write ``model.tflite`` from ``best.keras``, and return the largest difference between two probabilities.

    Args:
        run, model: The run, which no other process is training, and its best checkpoint, loaded.
        images: uint8 ``[N, H, W, C]``, prepared by the contract, to compare on.
        compared_on: What they are, for the record.

    Raises:
        NoExportError: The model cannot be converted, the difference is above :data:`TOLERANCE`, or the file cannot be
            written; the older file stays.
        UserError: The model disagrees with the contract, or its outputs are not numbers.
    """
    checkpoint = run.checkpoint()
    with locks.alone(checkpoint.parent):
        return _export(run, model, images, compared_on, files.sha256(checkpoint))


def _export(
    run: runs.Run, model: keras.Model, images: Batch, compared_on: str, digest: str, destination: Path | None = None
) -> float:
    path = destination or run.path / "model.tflite"
    try:
        with files.replacing(path) as temporary:
            expected, exported = convert.export(run, model, Kind("litert"), temporary, images)
            difference = float(np.abs(exported - expected).max())
            if not difference <= TOLERANCE:
                raise NoExportError(
                    f"run {run.id}: its LiteRT export differs from the checkpoint by {difference:.2g} in a "
                    f"probability; the limit is {TOLERANCE:g}"
                )
            record = {
                "checkpoint": digest,
                "sha256": files.sha256(temporary),
                "max_difference": difference,
                "compared_on": compared_on,
            }
        if destination is None:
            runs.update(run, tflite=record)
    except OSError as error:
        raise NoExportError(f"{path}: cannot be written ({error.strerror}); make room for it") from None
    return difference


@working("measuring the network's cost")
def efficiency(run: runs.Run, model: keras.Model, images: Batch, compared_on: str) -> dict[str, float]:
    """Export a finished model, see :func:`export`, and measure multiply-adds, and latency where it has an export."""
    from emotion.models import cost

    costs: dict[str, float] = {"multiply_adds": cost.multiply_adds(model)}
    try:
        difference = export(run, model, images, compared_on)
        log.info("model.tflite equals the checkpoint within %.1e", difference)
        costs["latency_ms"] = latency_ms(run)
    except NoExportError as error:  # the run is good all the same; live can use its checkpoint
        log.warning("%s", error)
    return costs


def latency_ms(run: runs.Run) -> float:
    """Median milliseconds of ``model.tflite`` for one image on one thread; noisy where other work runs."""
    return latency.measure({run.id: Classifier(run.tflite(), run.contract())})[run.id]


def _own_images(run: runs.Run) -> tuple[Batch, str]:
    try:
        return comparison_images(held_out.of_run(run).validation, run.contract())
    except (UserError, OSError, OmegaConfBaseException):  # its data is gone: any images of faces will do
        return comparison_images(None, run.contract())


def comparison_images(validation: Examples | None, contract: Contract) -> tuple[Batch, str]:
    """Images to compare two models on: the first of a validation split, or drawn faces where there are none.

    Returns:
        uint8 ``[N, H, W, C]``, N at most :data:`COMPARED`, prepared by the contract; and what they are, for the record.
    """
    if validation is None or not len(validation):
        return drawn_faces(contract), "drawn faces"
    return held_out.read(validation.take(np.arange(min(COMPARED, len(validation)))), contract), "validation split"


def drawn_faces(contract: Contract) -> Batch:
    """Images to compare two models on where there is no data: uint8 ``[64, H, W, C]``, prepared by the contract."""
    from emotion.data import synthetic

    side = max(contract.height, contract.width)
    return np.stack([prepare(synthetic.picture(0, number, side, 1.0), contract) for number in range(COMPARED)])


def main() -> NoReturn:
    """Make a run's export; exit with :data:`NO_EXPORT` where there can be none."""
    with exits.exit_codes(), sigterm_raises():
        if len(sys.argv) not in (2, 3):
            raise UserError("python -m emotion.inference.litert <run folder> [<file>]")
        folder = Path(sys.argv[1])
        run = runs.Run(folder, runs.record.read(folder).id or folder.name)
        try:
            logs.import_tensorflow()
            refresh(run, Path(sys.argv[2]) if len(sys.argv) == 3 else None)
        except ImportError as error:
            raise UserError(f"exporting a run needs TensorFlow, which cannot be imported here ({error})") from None
        except NoExportError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(NO_EXPORT)
    raise AssertionError("exit_codes always exits")


if __name__ == "__main__":
    main()
