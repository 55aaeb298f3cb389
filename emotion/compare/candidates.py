"""Reading what a comparison needs of a run, fast: JSON, YAML and predictions, neither TensorFlow nor scikit-learn."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from emotion import metrics
from emotion.base import files
from emotion.base.errors import UserError
from emotion.runs import RunRecord, predictions
from emotion.runs.folder import Run

#: Up to so many bytes of checkpoints are hashed to see whether figures are stale (a second on a slow core); of more
#: checkpoints, just those that are younger than the figures.
_HASHED_BYTES = 2**29

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
    record: RunRecord
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
    hashing = sum(run.best.stat().st_size for run in runs if run.best.is_file()) <= _HASHED_BYTES
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
    if record.status != "done":
        raise UserError(f"it is {record.status}, not done; {run.advice(record.status, 'wait for it to end')}")
    if record.adopted and not record.data:
        raise UserError("it was adopted without data; adopt it again, with dataset=... of what it is to be compared on")
    stored = predictions.read(run, split)[split]
    names = run.contract().labels
    probabilities, labels, leaked = stored.probabilities, stored.labels, stored.leaked
    try:
        error = metrics.reliability_curve(probabilities, labels).expected_calibration_error
        if probabilities.shape[1] != len(names):
            raise ValueError(f"{probabilities.shape[1]} classes, but contract.json names {len(names)}")
    except ValueError as damage:
        raise predictions.damaged(run.results, run.evaluate_command(split), damage) from None
    order, pictures = _order(stored.hashes, labels, orders)
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
        stale=_is_stale(run, split, hashing),
    )


def _as_exported(folder: Path, record: RunRecord, config: dict[str, Any]) -> tuple[RunRecord, dict[str, Any]]:
    """A run's record with an export's latency, and its config with the export as one more setting."""
    latencies = files.read_json(folder / "report.json").get("latency_ms")
    latency = latencies.get("export") if isinstance(latencies, dict) else None
    costs = {k: v for k, v in record.efficiency.items() if k == "multiply_adds"}
    return replace(record, efficiency=costs | {"latency_ms": latency}), config | {"export": folder.name}


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


def _is_stale(run: Run, split: str, hashing: bool) -> bool:
    figures, checkpoint = run.results / "metrics.json", run.best
    try:
        scored = files.read_json(figures).get("checkpoint")
    except UserError as error:
        raise UserError(f"{error}; delete it and regenerate it: {run.evaluate_command(split)}") from None
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
