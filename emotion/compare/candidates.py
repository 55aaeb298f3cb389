"""Reading what a comparison needs of a run, fast: JSON, YAML and predictions, neither TensorFlow nor scikit-learn."""

from __future__ import annotations

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
from emotion.base import files, guarded
from emotion.base.errors import UserError
from emotion.compare import resampling
from emotion.runs import RunRecord, predictions
from emotion.runs.folder import Run

#: Up to so many bytes of checkpoints are hashed to see whether figures are stale (a second on a slow core); of more
#: checkpoints, just those that are younger than the figures.
_HASHED_BYTES = 2**29

# libyaml, which nearly every wheel of PyYAML has, reads a config ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Validation:
    """A run's scores on its validation split: fractions, and the fingerprint of these images with their labels."""

    pictures: str
    accuracy: float
    macro_f1: float


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
        resamples: Of the bootstrap in the run's own figures; 0 where that is not known.
        validation: What it scored on its validation split, by which runs are chosen; None where that is not known.
        folds: Of a cross-validation the candidates that it is made of, by fold; see :func:`emotion.compare.folds.pool`.
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
    folds: tuple[Candidate, ...] = ()
    resamples: int = 0
    validation: Validation | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """Its run, or those of its folds."""
        return tuple(fold.run for fold in self.folds) or (self.run,)


@dataclass(frozen=True)
class Unfit:
    """A run that cannot be compared, and why."""

    run: Run
    why: str


def read(runs: Sequence[Run], split: str) -> tuple[list[Candidate], list[Unfit]]:
    """Read runs for a comparison on one split: those that can be compared, and those that cannot."""
    hashing = sum(run.best.stat().st_size for run in runs if run.best.is_file()) <= _HASHED_BYTES
    orders: predictions.Orders = {}
    candidates, unfit = [], []
    for run in runs:
        try:
            candidates.append(_read(run, split, orders, hashing))
        except UserError as error:
            unfit.append(Unfit(run, str(error)))
    return candidates, unfit


def _read(run: Run, split: str, orders: predictions.Orders, hashing: bool) -> Candidate:
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
    order, pictures = predictions.ordered(stored.hashes, labels, orders)
    config = _config(run)
    if run.export is not None:
        record, config = _as_exported(run.export, record, config)
    stale, scored = _figures(run, split, hashing)
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
        stale=stale,
        resamples=scored,
        validation=_validation(run, len(names), orders) if split == "test" else None,
    )


def _validation(run: Run, classes: int, orders: predictions.Orders) -> Validation | None:
    try:
        stored = predictions.read(run, "validation")["validation"]
    except UserError:  # it has none: then it is not chosen by them
        return None
    if not len(stored.labels) or stored.probabilities.shape[1] != classes:
        return None
    order, pictures = predictions.ordered(stored.hashes, stored.labels, orders)
    predicted = stored.probabilities.argmax(axis=1)[order].astype(np.uint8)
    return Validation(pictures, *resampling.single(stored.labels[order].astype(np.int64), predicted, classes))


def _as_exported(folder: Path, record: RunRecord, config: dict[str, Any]) -> tuple[RunRecord, dict[str, Any]]:
    """A run's record with an export's latency, and its config with the export as one more setting."""
    latencies = files.read_json(folder / "report.json").get("latency_ms")
    latency = latencies.get("export") if isinstance(latencies, dict) else None
    costs = {k: v for k, v in record.efficiency.items() if k == "multiply_adds"}
    return replace(record, efficiency=costs | {"latency_ms": latency}), config | {"export": folder.name}


def _config(run: Run) -> dict[str, Any]:
    path = run.path / "config.yaml"
    try:
        config = _parsed(guarded.content(path, advice="restore it, or leave this run out").decode())
    except (ValueError, yaml.YAMLError) as error:
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
    return yaml.load(guarded.check_yaml(text), Loader=_LOADER)


def _figures(run: Run, split: str, hashing: bool) -> tuple[bool, int]:
    """Whether the run's figures are of another checkpoint, and how many resamples their intervals have."""
    figures, checkpoint = run.results / "metrics.json", run.best
    try:
        written = files.read_json(figures)
    except UserError as error:
        raise UserError(f"{error}; delete it and regenerate it: {run.evaluate_command(split)}") from None
    stale = False
    try:
        if hashing or checkpoint.stat().st_mtime > figures.stat().st_mtime:
            stale = written.get("checkpoint") != files.sha256(checkpoint)
    except OSError:  # the checkpoint was removed to save room; what it scored stays true
        pass
    scores = written.get(split)
    resamples = scores.get("bootstrap") if isinstance(scores, dict) else 0
    return stale, resamples if isinstance(resamples, int) else 0
