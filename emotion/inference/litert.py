"""The LiteRT export of a run's best checkpoint, and the proof that it equals the checkpoint.

``python -m emotion.inference.litert <run folder> [<file>]`` makes ``model.tflite`` where it is missing or stale, or
writes the export to another file. Live video starts this as a process of its own, to stay free of TensorFlow.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from omegaconf.errors import OmegaConfBaseException

from emotion import runs
from emotion.base import files, locks, logs
from emotion.base.errors import UserError
from emotion.base.interrupts import sigterm_raises
from emotion.faces import images
from emotion.faces.contract import Contract
from emotion.inference import convert
from emotion.inference.classifier import Classifier
from emotion.inference.latency import medians
from emotion.inference.runtimes import UnreadableModelError
from emotion.runs import checkpoints

if TYPE_CHECKING:
    import keras

log = logging.getLogger("emotion.inference.litert")  # __name__ is "__main__" under python -m

Pictures = np.ndarray[Any, np.dtype[np.uint8]]

#: Largest difference between a probability of the export and the checkpoint's: float32 rounding, no more.
TOLERANCE = 1e-4
#: How many pictures the two are compared on.
COMPARED = 64
#: The process's exit code where the checkpoint cannot be exported, though it may be a good one.
NO_EXPORT = 3


class NoExportError(UserError):
    """The checkpoint has no LiteRT export that equals it, or there is no room for one."""


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

    They are compared on pictures of the run's validation split, or on drawn faces where its data is gone. Processes
    that do this at the same time wait for each other, and a checkpoint that is replaced meanwhile does no harm.

    Args:
        run: The run.
        destination: Write the export there instead, and nothing into the run's folder.

    Returns:
        The largest absolute difference between two probabilities; None where ``model.tflite`` was fresh.

    Raises:
        NoExportError: See :func:`export`.
        UserError: The run has no checkpoint, it is damaged, or it disagrees with the contract.
    """
    original = run.checkpoint()
    with tempfile.TemporaryDirectory(prefix="emotion-") as folder, locks.alone(original.parent):
        if destination is None and not is_stale(run):
            return None
        copy = Path(folder) / original.name  # a run that still trains may replace the original while it is read
        shutil.copyfile(original, copy)
        try:
            model = checkpoints.load(copy)
        except UserError as error:
            raise UserError(str(error).replace(str(copy), str(original))) from None
        pictures, compared_on = _pictures(run)
        return _export(run, model, pictures, files.sha256(copy), compared_on, destination)


def export(run: runs.Run, model: keras.Model, pictures: Pictures, compared_on: str = "pictures of its data") -> float:
    """Write ``model.tflite`` from ``best.keras`` and compare the two.

    Args:
        run: The run; no other process is training it.
        model: Its best checkpoint, loaded.
        pictures: uint8 ``[N, H, W, C]``, prepared by the contract, to compare on.
        compared_on: What they are, for the record.

    Returns:
        The largest absolute difference between two probabilities.

    Raises:
        NoExportError: The model cannot be converted, the difference is above :data:`TOLERANCE`, or the file cannot be
            written; what was there stays.
        UserError: The model disagrees with the contract, or its outputs are not numbers.
    """
    checkpoint = run.checkpoint()
    with locks.alone(checkpoint.parent):
        return _export(run, model, pictures, files.sha256(checkpoint), compared_on, None)


def _export(
    run: runs.Run, model: keras.Model, pictures: Pictures, digest: str, compared_on: str, destination: Path | None
) -> float:
    from emotion.inference.predict import predict

    path = destination or run.path / "model.tflite"
    try:
        content = convert.litert(model)
    except convert.NoConversionError as error:
        raise NoExportError(f"run {run.id}: LiteRT cannot run its model ({error})") from None
    try:
        with files.replacing(path) as temporary:
            temporary.write_bytes(content)
            try:
                exported = Classifier(temporary, run.contract().uncalibrated()).probabilities(pictures)
            except UnreadableModelError as error:
                raise NoExportError(f"run {run.id}: LiteRT cannot load its export ({error.reason})") from None
            except UserError as error:
                raise UserError(str(error).replace(str(temporary), str(run.checkpoint()))) from None
            difference = float(np.abs(exported - predict(model, pictures)).max())
            if not difference <= TOLERANCE:
                raise NoExportError(
                    f"run {run.id}: its LiteRT export differs from the checkpoint by {difference:.2g} in a "
                    f"probability, more than rounding explains ({TOLERANCE:g})"
                )
            made = {
                "checkpoint": digest,
                "sha256": files.sha256(temporary),
                "max_difference": difference,
                "compared_on": compared_on,
            }
        if destination is None:
            runs.update(run, tflite=made)
    except OSError as error:
        raise NoExportError(f"{path}: cannot be written ({error.strerror}); make room for it") from None
    return difference


def efficiency(run: runs.Run, model: keras.Model, pictures: Pictures, compared_on: str) -> dict[str, float]:
    """Export a model that is finished, and say what it costs: multiply-adds, and its latency where it has an export.

    Args:
        run, model, pictures, compared_on: As in :func:`export`.
    """
    from emotion.models import cost

    found: dict[str, float] = {"multiply_adds": cost.multiply_adds(model)}
    try:
        difference = export(run, model, pictures, compared_on)
        log.info("model.tflite equals the checkpoint within %.1e", difference)
        found["latency_ms"] = latency(run)
    except NoExportError as error:  # the run is good all the same; live can use its checkpoint
        log.warning("%s", error)
    return found


def latency(run: runs.Run) -> float:
    """Median milliseconds of ``model.tflite`` for one picture on one thread; noisy where other work runs."""
    classifier = Classifier(run.tflite(), run.contract())
    picture = np.zeros((1, *classifier.contract.shape), np.uint8)
    return round(medians({run.id: lambda: classifier.probabilities(picture)})[run.id], 4)


def _pictures(run: runs.Run) -> tuple[Pictures, str]:
    """Pictures to compare on, prepared by the contract, and what they are."""
    from emotion.data import cache, sources

    contract, rows = run.contract(), np.arange(COMPARED)
    try:
        dataset = run.config().dataset
        if dataset is None:  # of an adopted network
            raise UserError("no data is named")
        validation = sources.load(dataset).validation
        rows = rows[: len(validation)]
        store = cache.open_store(validation.take(rows), contract, cache="none", cache_dir=dataset.cache_dir)
        if len(rows):
            return store.read(rows), "validation split"
    except (UserError, OSError, OmegaConfBaseException):  # its data is gone: any pictures of faces will do
        pass
    return drawn_faces(contract), "drawn faces"


def drawn_faces(contract: Contract) -> Pictures:
    """Pictures to compare two models on where there is no data: uint8 ``[64, H, W, C]``, prepared by the contract."""
    from emotion.data import synthetic

    side = max(contract.height, contract.width)
    drawn = [images.prepare(synthetic.picture(0, number, side, 1.0), contract) for number in range(COMPARED)]
    return np.stack(drawn)


def main() -> NoReturn:
    """Make a run's export; exit with :data:`NO_EXPORT` where there can be none."""
    from emotion.base import exits

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
