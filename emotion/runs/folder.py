"""Run folders: reading them, without running any code that they bring, and finding them.

A run's id is its path below the outputs folder (``20261122-075340-299053_cnn``, or ``20261122-075341-023246_sweep/3``).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from emotion.base import files, locks
from emotion.base.errors import UserError
from emotion.faces.contract import Contract
from emotion.runs import published, record
from emotion.runs.record import RunRecord

#: Below an export's folder: its own figures and predictions.
EVALUATION = "evaluation"


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
        path, here = (self.export or self.path).resolve(), Path.cwd()
        return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

    def evaluate_command(self, split: str = "test") -> str:
        """The command that scores it again on a split."""
        return f"python -m emotion.evaluate run={self.reference}" + ("" if split == "test" else f" split={split}")

    def contract(self) -> Contract:
        return Contract.load(self.path / "contract.json")

    def config(self) -> DictConfig:
        """The resolved config that the run was made with."""
        path = self.path / "config.yaml"
        try:
            cfg = OmegaConf.load(path)
        except FileNotFoundError:
            raise UserError(f"{path}: missing; this run cannot be loaded") from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(f"{path}: cannot be read ({str(error).splitlines()[0]}); restore it") from None
        if not isinstance(cfg, DictConfig) or "model" not in cfg or "dataset" not in cfg:
            raise UserError(f"{path}: damaged, not a run's config; restore it")
        return cfg

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
        return self.checkpoints / "best.keras"

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
        """Path of ``checkpoints/<which>.keras``.

        Raises:
            UserError: There is none; gives its status and what to do.
        """
        path = self.checkpoints / f"{which}.keras"
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
        """Path of ``model.tflite``.

        Raises:
            UserError: The run has no export of its best checkpoint.
        """
        fault = self.tflite_fault()
        if fault is None:
            return self.path / "model.tflite"
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


# ---------------------------------------------------------------------------------------------------------- finding


def listing(root: Path) -> list[Run]:
    """All runs below a folder, oldest first by id."""
    folders = sorted(p.parent for p in root.glob(f"**/{record.NAME}")) if root.is_dir() else []
    return [_settled(Run(path, id_of(path, root)), root) for path in folders]


def resolve(run: Any, outputs: str | Path) -> Run:
    """Find a run by id, unique prefix of an id, path of its folder, ``latest``, ``best`` or ``pretrained``.

    ``latest`` is the run that was made last, ``pretrained`` the one that ships with the package.
    ``best`` is the finished run with the highest validation macro-F1 among those trained on the same data as the last
    finished one: scores on different data do not compare.

    Raises:
        UserError: No run, or several, have that name; names the nearest ids.
    """
    root = Path(outputs)
    return _settled(_resolve(str(run), root), root)


def _settled(run: Run, root: Path) -> Run:
    """A run with the place for what is made of it, where its own folder is to stay as it is."""
    name = published.shipped_name(run.path)
    if name is not None:
        return Run(run.path, f"{published.SHIPPED}/{name}", root / published.SHIPPED_RESULTS / name)
    edition = published.edition(run.path)
    return run if edition is None else replace(run, elsewhere=root / published.RESULTS / edition)


def _resolve(name: str, root: Path) -> Run:
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise UserError(f"run: '{name}' begins with ~, but no user has that name; write the whole path") from None
    if record.is_run(path):
        return Run(path, id_of(path, root))
    if record.is_run(root / name):
        return Run(root / name, name)
    outer = record.around(path)
    if outer is not None and path.exists():
        raise UserError(f"run: '{name}' is inside a run; name the run's own folder: run={outer}")
    installed = published.find_shipped(name)
    if installed is not None:
        return Run(installed, installed.name)
    everything = listing(root)
    if not everything:
        other = f", or take the one that ships with emotion: run={published.SHIPPED}" if published.shipped_ids() else ""
        raise UserError(f"run: there are no runs under '{root}'. Train one first: python -m emotion.train{other}")
    if name == "latest":
        return max(everything, key=lambda r: (_created(r), r.id))
    if name == "best":
        return _best(everything, root)
    matches = [r for r in everything if r.id.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    ids = [r.id for r in everything]
    if matches:
        first = ", ".join(r.id for r in matches[:5])
        more = ", ..." if len(matches) > 5 else ""
        raise UserError(f"run: '{name}' fits {len(matches)} runs ({first}{more}); write more of the one you mean")
    if path.is_dir():
        within = ", ".join(str(r.path) for r in listing(path)[-3:])
        raise UserError(
            f"run: '{name}' is a folder but no run's, without run.json; "
            + (f"below it are {within}" if within else "name the folder that emotion.train made")
        )
    words = ["latest", "best", *([published.SHIPPED] if published.shipped_ids() else [])]
    near = difflib.get_close_matches(name, [*ids, *words[2:]], n=3, cutoff=0.3) or ids[-3:]
    raise UserError(f"run: no run '{name}' under '{root}'. Nearest: {', '.join(near)}; also: {', '.join(words)}")


def _created(run: Run) -> str:
    try:
        return run.record().created
    except UserError:  # a damaged run is not the latest
        return ""


def _best(runs: list[Run], root: Path) -> Run:
    finished = []
    for run in runs:
        try:
            candidate = run.record()
        except UserError:
            continue
        score = candidate.scores.get("validation", {}).get("macro_f1")
        # An adopted network may have been trained on the very images that others are validated on.
        if candidate.status == "done" and score is not None and not candidate.adopted:
            finished.append((candidate, score, run))
    if not finished:
        raise UserError(f"run: no run under '{root}' is finished, so none is best. Try run=latest")
    latest = max(finished, key=lambda f: (f[0].created, f[2].id))
    same_data = [f for f in finished if f[0].pixels == latest[0].pixels]
    return max(same_data, key=lambda f: f[1])[2]


def id_of(path: Path, root: Path) -> str:
    """A run's id, by its folder and the outputs folder."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return "/".join(path.resolve().parts[-2:])  # outside the outputs folder: `<sweep>/<job>`
