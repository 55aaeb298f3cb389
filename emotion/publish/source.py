"""Checks of what is published and where: a finished, scored run, its size, and the folder that it goes into."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.data.examples import SPLITS
from emotion.publish import scrub
from emotion.runs import checkpoints, figures

MODEL_FILES = ("checkpoints/best.keras", "model.tflite")


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
    """What identifies a published run: the name of the run that it was made from, and when that was created."""
    record = run.record()
    if record.published:  # it was published before
        return {key: record.published.get(key) for key in ("run", "created")}
    return {"run": scrub.run_name(str(run.path.absolute()), str(outputs)), "created": record.created}


def read(run: runs.Run, weights: bool) -> Source:
    """Read a run's records; with ``weights`` its model is to be published too.

    Raises:
        UserError: It is not finished, was not scored, its figures are of another checkpoint, or its export is stale.
    """
    again = run.evaluate_command() if run.elsewhere is None else "restore it as it was published"
    record = run.record()
    if record.status != "done":
        raise UserError(f"run {run.id} is {record.status}, not done; only a finished run can be published")
    checkpoint = run.checkpoint()
    checkpoints.keras_only(checkpoint)
    if not (run.path / "metrics.json").is_file():
        raise UserError(f"run {run.id} was not scored; do so first: {again}")
    metrics = figures.read_metrics(run.path, again)
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


def check_place(place: Path, origin: Mapping[str, Any], overwrite: bool) -> None:
    """Refuse a folder that holds anything but an older edition of the same run, by its :func:`origin`.

    Raises:
        UserError: Says what is there; with ``overwrite`` another published run may be replaced.
    """
    if not place.exists() and not place.is_symlink():
        return
    if place.is_symlink() or not place.is_dir():
        raise UserError(f"folder: '{place}' exists and is no folder; choose another folder=...")
    if not any(place.iterdir()):
        return
    published = {}
    with suppress(UserError):
        published = runs.record.read(place).published
    if not published:
        raise UserError(
            f"folder: '{place}' exists and holds something other than a published run; choose another folder=..."
        )
    if not overwrite and any(published.get(key) != value for key, value in origin.items()):
        raise UserError(
            f"folder: '{place}' holds another run, {published.get('run')}, made {published.get('created')}. Choose "
            f"another folder, or replace it with overwrite=true"
        )


def check_size(paths: Mapping[str, Path], largest: float) -> None:
    """Refuse files that are together larger than ``largest`` million bytes.

    Raises:
        UserError: Says each file's size and what to do.
    """
    sizes = {name: path.stat().st_size / 1e6 for name, path in paths.items() if path.is_file()}
    total = sum(sizes.values())
    if total > largest:
        listed = ", ".join(f"{name} {size:.2f} MB" for name, size in sizes.items() if size >= 0.01)
        raise UserError(
            f"largest: the run's files are {total:.2f} MB, more than {largest:g} MB ({listed}). half=true rounds the "
            f"weights to half their size; else train a smaller model=..., or set largest={total + 0.5:.0f}"
        )
