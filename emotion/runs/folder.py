"""Run folders: reading them, without running any code that they bring.

A run's id is its path below the outputs folder (``20261122-075340-299053_cnn``, or ``20261122-075341-023246_sweep/3``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emotion.base import files, guarded, locks
from emotion.base.errors import UserError
from emotion.config import checks
from emotion.faces.contract import Contract
from emotion.runs import published, record
from emotion.runs.record import RunRecord

#: Below an export's folder: its own figures and predictions.
EVALUATION = "evaluation"
#: In a folder that ``emotion.evaluate`` wrote of several runs and datasets: where each evaluation is.
ACROSS = "datasets.json"
#: Endings of networks that were adopted as they are, not as Keras models.
READY_MADE = (".tflite", ".onnx")


@dataclass(frozen=True)
class Run:
    """A run's folder and its id.

    Attributes:
        path: The folder.
        id: Its path below the outputs folder, or ``pretrained/<name>``.
        elsewhere: Of a published run, whose card gives its files' hashes: the folder for what is made of it.
        export: The folder of the export that stands in its checkpoint's place; see
            :func:`emotion.runs.exports.as_run`.
    """

    path: Path
    id: str
    elsewhere: Path | None = None
    export: Path | None = None

    @property
    def results(self) -> Path:
        """Where its predictions, later figures and exports are: its own folder, unless that is to stay as it is."""
        return self.export / EVALUATION if self.export else self.elsewhere or self.path

    @property
    def ships(self) -> bool:
        """Whether it came with the package."""
        return published.shipped_name(self.path) is not None

    @property
    def reference(self) -> str:
        """What to type after ``run=`` or ``resume=`` in this folder, wherever the run is."""
        if self.ships:
            return self.id
        return files.from_here((self.export or self.path).resolve())

    def evaluate_command(self, split: str = "test") -> str:
        """The command that scores it again on a split."""
        return f"python -m emotion.evaluate run={self.reference}" + ("" if split == "test" else f" split={split}")

    def contract(self) -> Contract:
        return Contract.load(self.path / "contract.json")

    def config(self) -> DictConfig:
        """The resolved config that the run was made with."""
        path = self.path / "config.yaml"
        text = guarded.read_yaml(path, "restore it; without it this run cannot be loaded")
        try:
            cfg = OmegaConf.create(text)
        except (ValueError, TypeError, yaml.YAMLError, OmegaConfBaseException) as error:
            raise UserError(f"{path}: cannot be read ({str(error).splitlines()[0]}); restore it") from None
        if not isinstance(cfg, DictConfig) or not OmegaConf.is_dict(cfg.get("model")) or "dataset" not in cfg:
            raise UserError(f"{path}: damaged, not a run's config; restore it")
        try:
            return checks.completed(cfg)
        except UserError as error:
            raise UserError(f"{path}: {error}; restore it") from None

    def record(self) -> RunRecord:
        """Its ``run.json``, with ``running`` corrected where its process is gone."""
        written = record.read(self.path)
        orphaned = written.status == "running" and not locks.is_held(self.path)
        return replace(written, status="interrupted") if orphaned else written

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints and of the state to resume from."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """Its best checkpoint, whether there is one or not; see :meth:`checkpoint`."""
        return self.ready_made or self.checkpoints / "best.keras"

    @property
    def ready_made(self) -> Path | None:
        """The LiteRT or ONNX file that was adopted, in the place of a Keras checkpoint: it can be run and no more."""
        files_of = (self.checkpoints / f"best{ending}" for ending in READY_MADE)
        return next((path for path in files_of if path.is_file()), None)

    @property
    def state(self) -> Path:
        """What resuming reads; see :mod:`emotion.train.state`."""
        return self.checkpoints / "state.npz"

    @property
    def has_best(self) -> bool:
        return self.best.is_file()

    @property
    def has_state(self) -> bool:
        """Whether it can be resumed; else it starts again in its folder."""
        return self.state.is_file()

    def checkpoint(self, which: str = "best") -> Path:
        """Path of ``checkpoints/<which>.keras``, or of the file of :attr:`ready_made`.

        Raises:
            UserError: There is none; gives its status and what to do.
        """
        path = self.best if which == "best" else self.checkpoints / f"{which}.keras"
        if path.is_file():
            return path
        written = self.record()
        if written.published:
            raise UserError(f"run {self.id} was published without its model, as a summary (weights=false)")
        advice = self.advice(written.status, "wait for its first epoch to end")
        raise UserError(f"run {self.id} ({written.status}) has no {which} checkpoint; {advice}")

    def advice(self, status: str, running: str) -> str:
        """What the user can do about a run of this status that is not done; ``running`` where it still runs."""
        resume = f"resume it: python -m emotion.train resume={self.reference}"
        return {"running": running, "interrupted": resume}.get(status, f"see {self.path / 'train.log'}")

    def tflite(self) -> Path:
        """Path of ``model.tflite``, or of the file of :attr:`ready_made`.

        Raises:
            UserError: The run has no export of its best checkpoint.
        """
        fault = self.tflite_fault()
        if fault is None:
            return self.ready_made or self.path / "model.tflite"
        self.checkpoint()
        if self.ships:
            raise UserError(f"run {self.id}: model.tflite {fault}; install emotion again")
        if self.elsewhere is not None:
            raise UserError(f"run {self.id}: model.tflite {fault}; restore it as it was published")
        raise UserError(
            f"run {self.id}: model.tflite {fault}. "
            f"Make it from the best checkpoint: {self.evaluate_command('validation')}"
        )

    def tflite_fault(self) -> str | None:
        """Why ``model.tflite`` is not the best checkpoint's export; None where it is, by the hashes of both."""
        if self.ready_made is not None:
            return None
        path = self.path / "model.tflite"
        if not path.is_file():
            return "is not there yet"
        recorded = self.record().tflite
        if self.has_best and recorded.get("checkpoint") != files.sha256(self.best):
            return "is of an older checkpoint"
        if "sha256" in recorded and recorded["sha256"] != files.sha256(path):
            return "is damaged, not the file that was exported"
        return None


def update(run: Run, **fields: Any) -> None:
    """Change fields of a run's record; see :func:`emotion.runs.record.update`."""
    record.update(run.path, **fields)


def id_of(path: Path, root: Path) -> str:
    """A run's id, by its folder and the outputs folder."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return "/".join(path.resolve().parts[-2:])  # outside the outputs folder: `<sweep>/<job>`
