"""Export a run: ``python -m emotion.export run=latest format=litert|onnx|saved_model [quantize=float16|dynamic|int8]``.

The export is compared with the checkpoint on the validation split before it is moved into place. Nothing here imports
TensorFlow until the command's arguments and data have been checked.
"""

from __future__ import annotations

import json
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
from emotion.export import make
from emotion.inference import held_out, priors
from emotion.runs import checkpoints, exports
from emotion.runs.exports import ONNX, Kind, Tolerance

log = logging.getLogger(__name__)

#: The exit code of an export that differs from its checkpoint.
NOT_EQUAL = 1


class NotEqualError(UserError):
    """The export differs from its checkpoint by more than its tolerance; only its report was kept."""


def export(cfg: DictConfig) -> dict[str, Any]:
    """Export a run's best checkpoint, compare the two, and return the content of ``report.json``.

    The folder is ``<run>/exports/<format>[-<quantize>]``, of a published run below the outputs folder, or
    ``cfg.folder``. The model, ``contract.json``, ``report.json`` and ``report.md`` appear in it together and replace an
    older export. An export that differs too much leaves the older one as it is, and its report in ``<folder>-failed``;
    with ``cfg.accept`` it is kept, and its report says for good what is outside its tolerance.

    Raises:
        NotEqualError: The export is outside its tolerance.
        UserError: No such run, one without a checkpoint, data that is missing or has changed, a missing package, a
            folder that holds something else, or a model that the format cannot hold.
    """
    from emotion.export import report

    kind = Kind(cfg.format, cfg.quantize)
    run = runs.resolve(cfg.run, cfg.outputs)
    checkpoints.keras_only(run.checkpoint())
    contract = priors.contract(run, cfg.prior)
    kind.require()
    place = staging.named(cfg.folder, "exports/mine") if cfg.folder else run.results / exports.FOLDER / kind.name
    failed_place = place.with_name(place.name + exports.FAILED)
    _check_place(place)
    tolerance = kind.tolerance(Tolerance(**cfg.tolerance))
    splits = held_out.load(run, cfg.dataset, needed=kind.quantize is not None or tolerance.accuracy is not None)
    with sigterm_raises(), staging.staging(place, "the export") as temporary:
        folder = temporary / "export"
        folder.mkdir()  # a temporary folder is for its owner alone, an export for all
        comparison, files = make.make(run, kind, contract, splits, cfg.calibration, temporary)
        found = list(make.failures(comparison, tolerance))
        failures, warnings = ([], found) if cfg.accept else (found, [])
        result = _content(cfg, run, kind, place, comparison, failures) | files | {"warnings": warnings}
        if failures:
            place, folder = failed_place, temporary / "failed"
            folder.mkdir()
        result["checkpoint"] = {"path": _relative(run.checkpoint(), place), "sha256": files["checkpoint"]}
        result["data"] = splits.fingerprint["pixels"] if splits else None
        result["tolerance"] = asdict(tolerance)
        report.write(folder, result, contract)
        contract.save(folder / "contract.json")
        staging.put(folder, place, temporary, _check_place)
        if not failures:
            shutil.rmtree(failed_place, ignore_errors=True)
    print(report.summary(result))
    for warning in result["warnings"]:
        log.warning("accepted though it differs from its checkpoint (accept=true): %s", warning)
    if failures:
        raise NotEqualError(
            f"run {run.id}: its {kind.name} export differs from its checkpoint: {'; '.join(failures)}. "
            f"The model file was discarded; the report is {place / 'report.md'}. {_advice(kind)}; accept=true keeps "
            f"it, with a warning in its report"
        )
    print(f"written to {place}")
    return result


def _content(
    cfg: DictConfig, run: runs.Run, kind: Kind, place: Path, comparison: make.Comparison, failures: list[str]
) -> dict[str, Any]:
    """What ``report.json`` holds, but for the keys of the files, the data and the tolerance.

    These are ``checkpoint`` (path from here, SHA-256), ``sha256`` and ``bytes`` of the model, ``size_ratio`` to the
    float32 LiteRT file, ``compared_on``, ``latency_ms`` (medians of one image on one thread, taken in turns),
    ``calibration``, ``data`` (fingerprint) and ``tolerance``. ``accuracy`` and ``recall`` are fractions of checkpoint
    and export, ``moved`` the classes whose recall changed by more than 2 points, ``live`` the command that uses it.
    """
    versions = {name: metadata.version(name) for name in (ONNX if kind.format == "onnx" else ())}
    return {
        "status": "failed" if failures else "done",
        "run": run.id,
        "name": kind.name,
        "format": kind.format,
        "quantize": kind.quantize,
        **asdict(comparison),
        "accuracy": comparison.accuracy and dict(zip(("checkpoint", "export"), comparison.accuracy, strict=True)),
        "moved": comparison.moved,
        "failures": failures,
        "made": provenance.now(),
        "command": _command(cfg, run),
        "live": shlex.join(["python", "-m", "emotion.live", f"run={runs.Run(place, kind.name).reference}"]),
        "versions": provenance.versions() | versions,
    }


def _advice(kind: Kind) -> str:
    return {
        "int8": "Try quantize=dynamic, or quantize=float16",
        "dynamic": "Try quantize=float16",
        "float16": "Leave quantize out: only float32 is more precise",
    }.get(kind.precision, "Try another format, or raise tolerance.probability=...")


def _command(cfg: DictConfig, run: runs.Run) -> str:
    options = {"run": run.reference, "format": cfg.format, "quantize": cfg.quantize, "folder": cfg.folder}
    shares = priors.plain(cfg.prior)
    options |= {f"tolerance.{key}": value for key, value in cfg.tolerance.items()}
    options["accept"] = "true" if cfg.accept else None
    options["prior"] = json.dumps(shares).replace('"', "") if isinstance(shares, dict) else shares
    if cfg.quantize == "int8":
        options["calibration"] = cfg.calibration
    words = [f"{key}={value}" for key, value in options.items() if value is not None]
    return shlex.join(["python", "-m", "emotion.export", *words])


def _check_place(place: Path) -> None:
    """Refuse to replace anything but an export."""
    for folder in (place, place.with_name(place.name + exports.FAILED)):
        if not exports.may_be_replaced(folder):
            raise UserError(
                f"folder: '{folder}' exists and holds something other than an export; choose another folder=..."
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
