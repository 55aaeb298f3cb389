"""Export a run: ``python -m emotion.export run=latest format=litert|onnx|saved_model [quantize=float16|dynamic|int8]``.

The export is compared with the checkpoint on the validation split before anybody can take it. Nothing here imports
TensorFlow until a command's arguments and data are known to be right.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from emotion import runs
from emotion.base import provenance, staging
from emotion.base.errors import UserError
from emotion.base.interrupts import sigterm_raises
from emotion.config import cli
from emotion.export import check, make, report
from emotion.inference import held_out
from emotion.runs import exports
from emotion.runs.formats import ONNX, Kind, Tolerance

log = logging.getLogger(__name__)

#: The exit code of an export that is not equal to its checkpoint.
NOT_EQUAL = 1


class NotEqualError(UserError):
    """The export is not equal to its checkpoint within its tolerance; nothing but its report was kept."""


def export(cfg: DictConfig) -> dict[str, Any]:
    """Export a run's best checkpoint and compare the two.

    The folder is ``<run>/exports/<format>[-<quantize>]``, of a published run below the outputs folder, or
    ``cfg.folder``. It gets the model, ``contract.json``, ``report.json`` and ``report.md``, all at once and in the
    place of an older export. An export that is not equal leaves the older one as it is, and its report in
    ``<folder>-failed``.

    Returns:
        What ``report.json`` holds: ``status`` (done or failed), ``run``, ``name``, ``format``, ``quantize``,
        ``checkpoint`` (path from here, SHA-256), ``sha256`` and ``bytes`` of the model, ``size_ratio`` to the float32
        LiteRT file, ``compared_on``, ``pictures``, ``max_difference``, ``changed_labels``, ``accuracy`` and ``recall``
        (checkpoint and export, fractions), ``moved`` (classes whose recall moved by more than 2 points),
        ``latency_ms`` (medians of one picture on one thread, taken in turns), ``tolerance``, ``failures``,
        ``calibration``, ``data`` (fingerprint), ``made``, ``command``, ``live`` (the command that
        uses it), ``versions``.

    Raises:
        NotEqualError: The export is outside its tolerance.
        UserError: No such run, one without a checkpoint, data that is gone or is other data, a package that is missing,
            a folder that holds something else, or a model that the format cannot hold.
    """
    kind = Kind(cfg.format, cfg.quantize)
    run = runs.resolve(cfg.run, cfg.outputs)
    run.checkpoint()
    contract = run.contract()
    kind.require()
    place = staging.named(cfg.folder, "exports/mine") if cfg.folder else run.results / exports.FOLDER / kind.name
    _check_place(place)
    tolerance = kind.tolerance(Tolerance(**cfg.tolerance))
    splits = held_out.load(run, cfg.dataset, needed=kind.quantize is not None or tolerance.accuracy is not None)
    with sigterm_raises(), staging.staging(place, "the export") as temporary:
        (temporary / "export").mkdir()  # a temporary folder is for its owner alone, an export for all
        made = make.make(run, kind, contract, splits, cfg.calibration, temporary)
        found = made.comparison
        failures = list(check.failures(found, tolerance))
        written = {
            "status": "failed" if failures else "done",
            "run": run.id,
            "name": kind.name,
            "format": kind.format,
            "quantize": kind.quantize,
            "checkpoint": {"path": _relative(run.checkpoint(), place), "sha256": made.checkpoint},
            "sha256": made.sha256,
            "bytes": made.bytes,
            "size_ratio": made.size_ratio,
            "compared_on": made.compared_on,
            **asdict(found),
            "accuracy": found.accuracy and dict(zip(("checkpoint", "export"), found.accuracy, strict=True)),
            "moved": found.moved,
            "latency_ms": made.latency_ms,
            "tolerance": asdict(tolerance),
            "failures": failures,
            "calibration": made.calibration,
            "data": splits.fingerprint["pixels"] if splits else None,
            "made": provenance.now(),
            "command": _command(cfg, run),
            "live": shlex.join(["python", "-m", "emotion.live", f"run={runs.Run(place, kind.name).reference}"]),
            "versions": provenance.versions() | _versions(kind),
        }
        folder = temporary / "export"
        if failures:
            folder = temporary / "failed"
            folder.mkdir()
            place = place.with_name(place.name + exports.FAILED)
        report.write(folder, written, asdict(contract))
        contract.save(folder / "contract.json")
        staging.put(folder, place, temporary, _check_place)
        if not failures:
            shutil.rmtree(place.with_name(place.name + exports.FAILED), ignore_errors=True)
    print(report.summary(written))
    if failures:
        raise NotEqualError(
            f"run {run.id}: its {kind.name} export is not equal to its checkpoint: {'; '.join(failures)}. "
            f"The model was not kept; its report is {place / 'report.md'}. {_advice(kind)}"
        )
    print(f"written to {place}")
    return written


def _advice(kind: Kind) -> str:
    return {
        "int8": "Try quantize=dynamic, or quantize=float16",
        "dynamic": "Try quantize=float16",
        "float16": "Leave quantize out: float32 is the only one that is nearer",
    }.get(kind.precision, "Try another format, or allow more with tolerance.probability=...")


def _command(cfg: DictConfig, run: runs.Run) -> str:
    given = {"format": cfg.format, "quantize": cfg.quantize, "folder": cfg.folder}
    given |= {f"tolerance.{key}": value for key, value in cfg.tolerance.items()}
    if cfg.quantize == "int8":
        given["calibration"] = cfg.calibration
    words = [f"run={run.reference}", *(f"{key}={value}" for key, value in given.items() if value is not None)]
    return shlex.join(["python", "-m", "emotion.export", *words])


def _versions(kind: Kind) -> dict[str, str]:
    return {name: metadata.version(name) for name in (ONNX if kind.format == "onnx" else ())}


# ------------------------------------------------------------------------------------------------------------ folders


def _check_place(place: Path) -> None:
    """Refuse to put an export in the place of something else."""
    for folder in (place, place.with_name(place.name + exports.FAILED)):
        if not exports.may_be_replaced(folder):
            raise UserError(
                f"folder: '{folder}' is there and holds something other than an export; name another with folder=..."
            )


def _relative(path: Path, start: Path) -> str:
    return Path(os.path.relpath(path.resolve(), start.resolve())).as_posix()


def job(cfg: DictConfig) -> None:
    try:
        export(cfg)
    except NotEqualError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(NOT_EQUAL)


def main() -> None:
    cli.main("export", job)
