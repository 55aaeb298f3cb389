"""The run that is to be published, held against what a published run must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.data.examples import SPLITS
from emotion.publish import scrub


@dataclass(frozen=True)
class Source:
    """A finished run's records.

    Attributes:
        record: ``run.json``.
        config: ``config.yaml`` as plain values.
        metrics: ``metrics.json``.
    """

    record: runs.RunRecord
    config: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def splits(self) -> list[str]:
        """The splits that it was scored on."""
        return [split for split in SPLITS if split in self.metrics]


def origin(run: runs.Run, outputs: str | Path) -> dict[str, Any]:
    """What says which run a published one is: its name and when it was made."""
    record = run.record()
    if record.published:  # it was published before
        return {key: record.published.get(key) for key in ("run", "created")}
    return {"run": scrub.run_name(str(run.path.absolute()), str(outputs)), "created": record.created}


def read(run: runs.Run, weights: bool) -> Source:
    """Read a run's records.

    Args:
        run: The run.
        weights: Whether its model is to be published too.

    Raises:
        UserError: It is not finished, was not scored, its figures are of another checkpoint, or its export is stale.
    """
    again = f"python -m emotion.evaluate run={run.reference}"
    if run.elsewhere is not None:
        again = "restore it as it was published"
    record = run.record()
    if record.status != "done":
        raise UserError(f"run {run.id} is {record.status}, not done; only a finished run can be published")
    checkpoint = run.checkpoint()
    if not (run.path / "metrics.json").is_file():
        raise UserError(f"run {run.id} was not scored; do so first: {again}")
    metrics = files.read_json(run.path / "metrics.json")
    if not any(split in metrics for split in SPLITS):
        raise UserError(f"{run.path / 'metrics.json'}: holds no scores; score the run again: {again}")
    if not record.data:
        raise UserError(f"{run.path / 'run.json'}: does not say which data it was made with; restore it")
    if metrics.get("checkpoint") != files.sha256(checkpoint):
        raise UserError(f"run {run.id}: its figures are of another checkpoint than it has now; score it again: {again}")
    run.contract()
    if weights:
        run.tflite()
    config = OmegaConf.to_container(run.config(), resolve=True)
    assert isinstance(config, dict)
    return Source(record, {str(key): value for key, value in config.items()}, metrics)


def check_size(paths: Mapping[str, Path], largest: float) -> None:
    """Refuse files that are together larger than ``largest`` million bytes.

    Raises:
        UserError: Says each file's size and what to do.
    """
    sizes = {name: path.stat().st_size / 1e6 for name, path in paths.items() if path.is_file()}
    total = sum(sizes.values())
    if total > largest:
        each = ", ".join(f"{name} {size:.2f} MB" for name, size in sizes.items() if size >= 0.01)
        raise UserError(
            f"largest: the run's files are {total:.2f} MB, more than {largest:g} MB ({each}). half=true rounds the "
            f"weights to half their size; else train a smaller model=..., or allow more with largest={total + 0.5:.0f}"
        )
