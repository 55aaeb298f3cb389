"""Reading what a comparison needs of a run, fast: JSON, YAML and predictions, neither TensorFlow nor scikit-learn."""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from emotion import metrics
from emotion.base import files
from emotion.base.errors import UserError
from emotion.runs.folder import Run

#: Up to so many bytes of checkpoints are hashed to see whether figures are stale (a second on a slow core); of more
#: checkpoints, just those that are younger than the figures.
_HASHED_BYTES = 2**29

# What NumPy raises where a file is no archive of arrays, or not a whole one.
_DAMAGE = (OSError, ValueError, TypeError, AttributeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)

#: Order and fingerprint of each set of images, by the digest of how it is stored.
Orders = dict[bytes, tuple[NDArray[np.intp], str]]

# libyaml, which nearly every wheel of PyYAML has, reads a config ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A run's answers on one split, with the images in an order that does not depend on the run.

    Attributes:
        run: The run.
        record: Its ``run.json``.
        config: Its ``config.yaml``.
        names: The emotions, in the order of the model's outputs.
        pictures: SHA-256 over the sorted pairs of image and label, as ``pixels_by_split`` in a fingerprint: equal for
            the same images with the same labels, whatever their order.
        labels: int64 ``[N]``.
        predicted: uint8 ``[N]``, the most probable class.
        leaked: bool ``[N]``, in training or validation too; None where that is not known.
        calibration_error: Expected calibration error.
        stale: Whether the figures are those of another checkpoint than ``best.keras``.
    """

    run: Run
    record: dict[str, Any]
    config: dict[str, Any]
    names: tuple[str, ...]
    pictures: str
    labels: NDArray[np.int64]
    predicted: NDArray[np.uint8]
    leaked: NDArray[np.bool_] | None
    calibration_error: float
    stale: bool


@dataclass(frozen=True)
class Unfit:
    """A run that cannot be compared, and why."""

    run: Run
    why: str


def read(runs: Sequence[Run], split: str) -> tuple[list[Candidate], list[Unfit]]:
    """Read runs for a comparison on one split: those that can be compared, and those that cannot."""
    checkpoints = [path for run in runs if (path := run.path / "checkpoints" / "best.keras").is_file()]
    hashing = sum(path.stat().st_size for path in checkpoints) <= _HASHED_BYTES
    orders: Orders = {}
    candidates, unfit = [], []
    for run in runs:
        try:
            candidates.append(_read(run, split, orders, hashing))
        except UserError as error:
            unfit.append(Unfit(run, str(error)))
    return candidates, unfit


def _read(run: Run, split: str, orders: Orders, hashing: bool) -> Candidate:
    record = run.record()
    again = f"python -m emotion.evaluate run={run.reference}"
    if split != "test":
        again += f" split={split}"
    status = record["status"]
    if status != "done":
        advice = {
            "running": "wait for it to end",
            "interrupted": f"resume it: python -m emotion.train resume={run.reference}",
        }.get(status, f"see {run.path / 'train.log'}")
        raise UserError(f"it is {status}, not done; {advice}")
    if "adopted" in record and "data" not in record:
        raise UserError("it was adopted without data; adopt it again, with dataset=... of what it is to be compared on")
    arrays = _arrays(run.results / "predictions.npz", split, again)
    names = run.contract().labels
    probabilities, labels, hashes = (arrays[key] for key in ("probabilities", "labels", "hashes"))
    leaked = arrays.get("leaked")
    try:
        error = metrics.reliability_curve(probabilities, labels).expected_calibration_error
        if probabilities.shape[1] != len(names):
            raise ValueError(f"{probabilities.shape[1]} classes, but contract.json names {len(names)}")
        if hashes.shape != labels.shape or hashes.dtype != "S16":
            raise ValueError("an image's hash is missing")
        if leaked is not None and (leaked.shape != labels.shape or leaked.dtype != np.bool_):
            raise ValueError("its column of leaked images does not fit")
    except ValueError as damage:
        raise UserError(f"{run.results / 'predictions.npz'}: damaged ({damage}); regenerate it: {again}") from None
    order, pictures = _order(hashes, labels, orders)
    config = _config(run)
    if run.export is not None:
        record, config = _as_exported(run.export, record, config)
    return Candidate(
        run=run,
        record=record,
        config=config,
        names=names,
        pictures=pictures,
        labels=labels[order].astype(np.int64),
        predicted=probabilities.argmax(axis=1)[order].astype(np.uint8),
        leaked=None if leaked is None else leaked[order],
        calibration_error=error,
        stale=_is_stale(run, again, hashing),
    )


def _as_exported(folder: Path, record: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's record with an export's latency, and its config with the export as one more setting."""
    latencies = files.read_json(folder / "report.json").get("latency_ms")
    latency = latencies.get("export") if isinstance(latencies, dict) else None
    costs = {k: v for k, v in (record.get("efficiency") or {}).items() if k == "multiply_adds"}
    return record | {"efficiency": costs | {"latency_ms": latency}}, config | {"export": folder.name}


def _arrays(path: Path, split: str, again: str) -> dict[str, NDArray[Any]]:
    """One split's columns of ``predictions.npz``."""
    try:  # opened here: NumPy would leave a damaged file open
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            found = {k.removeprefix(f"{split}_"): data[k] for k in data.files if k.startswith(f"{split}_")}
    except FileNotFoundError:
        raise UserError(f"it has no predictions.npz; make it: {again}") from None
    except _DAMAGE as error:
        raise UserError(f"{path}: damaged ({error}); regenerate it: {again}") from None
    if not {"probabilities", "labels", "hashes"} <= set(found):
        raise UserError(f"its predictions.npz holds none of the {split} split; make them: {again}")
    return found


def _config(run: Run) -> dict[str, Any]:
    path = run.path / "config.yaml"
    try:
        config = _parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: missing; restore it, or leave this run out") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read ({first}); restore it, or leave this run out") from None
    if not isinstance(config.get("model"), dict):
        raise UserError(f"{path}: damaged, not a run's config; restore it, or leave this run out")
    return config


def _parsed(text: str) -> dict[str, Any]:
    """A config, each of its sections parsed once: the runs of a sweep share most of them."""
    sections = [_section(section) for section in re.split(r"^(?=[^\s#-])", text, flags=re.MULTILINE)]
    return {key: value for section in sections if isinstance(section, dict) for key, value in section.items()}


@lru_cache(maxsize=1024)
def _section(text: str) -> Any:
    return yaml.load(text, Loader=_LOADER)


def _is_stale(run: Run, again: str, hashing: bool) -> bool:
    figures, checkpoint = run.results / "metrics.json", run.path / "checkpoints" / "best.keras"
    try:
        scored = files.read_json(figures).get("checkpoint")
    except UserError as error:
        raise UserError(f"{error}; delete it and score the run again: {again}") from None
    try:
        if hashing or checkpoint.stat().st_mtime > figures.stat().st_mtime:
            return scored != files.sha256(checkpoint)
    except OSError:  # the checkpoint was removed to save room; what it scored stays true
        pass
    return False


def _order(hashes: NDArray[Any], labels: NDArray[Any], known: Orders) -> tuple[NDArray[np.intp], str]:
    """Rows by image, then label, and the fingerprint of both; computed once for runs that store them in one order."""
    stored = hashlib.sha256(hashes.tobytes())
    stored.update(labels.astype(np.int64).tobytes())
    if stored.digest() not in known:
        pairs = np.empty((len(labels), 17), np.uint8)
        pairs[:, :16] = np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, 16)
        pairs[:, 16] = labels
        keys = pairs.view("S17").ravel()
        order = np.argsort(keys, kind="stable")
        known[stored.digest()] = order, hashlib.sha256(keys[order].tobytes()).hexdigest()
    return known[stored.digest()]
