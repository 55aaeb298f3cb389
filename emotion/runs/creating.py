"""Making a run's folder, and its config: whatever that refers to is found again from any folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from emotion.base import files, provenance
from emotion.base.errors import UserError
from emotion.runs import record, repeating
from emotion.runs.finding import resolve
from emotion.runs.folder import Run, id_of, update
from emotion.runs.record import RunRecord


def new_folder(root: Path, name: str) -> Path:
    """A folder name that no other run has: local time to the microsecond, then what it trains."""
    return root / f"{datetime.now():%Y%m%d-%H%M%S-%f}_{name}"


def create(
    folder: Path, root: Path, cfg: DictConfig, command: str | None = None, swept: Mapping[str, str] | None = None
) -> Run:
    """Make a run in this folder: ``run.json`` exclusively, then ``config.yaml``; see :func:`configure`.

    Args:
        folder, root: Of the run, and of all runs.
        cfg: Composed and validated.
        command: Repeats the run; None is this process's own.
        swept: What a sweep gave it, by key, as it was typed.

    Raises:
        UserError: There is a run in the folder already, or it cannot be written to, or the config names a teacher that
            cannot teach.
    """
    resolved = with_absolute_paths(cfg)
    run = Run(folder, id_of(folder, root))
    unlinked = folder / f".run.json.{os.getpid()}"
    new = RunRecord(
        id=run.id,
        status="running",
        created=provenance.now(),
        seed=cfg.seed,
        command=command or repeating.command(folder, resolved),
        commit=provenance.commit(),
        versions=provenance.versions(),
        swept=dict(swept or {}),
        **provenance.process(),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(unlinked, new.to_json())
        try:
            os.link(unlinked, folder / record.NAME)  # whole or not at all, and two processes never share a run
        finally:
            unlinked.unlink()
        files.write_text(folder / "config.yaml", OmegaConf.to_yaml(resolved))
    except FileExistsError:
        raise UserError(f"{folder}: there is a run already; choose another folder or resume it") from None
    except OSError as error:
        raise UserError(f"{folder}: cannot write a run there ({error.strerror}); set outputs=... to another") from None
    return run


def configure(run: Run, cfg: DictConfig, command: str) -> None:
    """Replace a run's config, in which what it refers to is found from any folder, and the command that repeats it."""
    update(run, command=command)
    files.write_text(run.path / "config.yaml", OmegaConf.to_yaml(with_absolute_paths(cfg)))


def with_absolute_paths(cfg: DictConfig) -> DictConfig:
    """A run's config: its data and weights are found from any folder, and what says how it came about is left out."""
    cfg = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[assignment]
    for key in ("tuner", "again"):
        cfg.pop(key, None)
    metadata, root = OmegaConf.select(cfg, "dataset.metadata"), OmegaConf.select(cfg, "dataset.root")
    if metadata is not None and not Path(metadata).expanduser().is_file():  # named as it is called in the data's folder
        cfg.dataset.metadata = str(Path(root) / metadata)
    paths = {"dataset.root": (), "dataset.votes": (), "dataset.metadata": (), "model.weights": ("imagenet",)}
    for key, names in paths.items():
        value = OmegaConf.select(cfg, key)
        if isinstance(value, str) and value not in names:
            OmegaConf.update(cfg, key, str(Path(value).expanduser().absolute()))
    for part in OmegaConf.select(cfg, "dataset.parts") or ():
        for key in ("root", "votes"):
            if part.get(key):
                part[key] = str(Path(part[key]).expanduser().absolute())
    if OmegaConf.select(cfg, "trainer.teacher") is not None:
        folders = [str(run.path.absolute()) for run in teachers(cfg)]
        cfg.trainer.teacher = folders if len(folders) > 1 else folders[0]
    return cfg


def teachers(cfg: DictConfig) -> list[Run]:
    """The runs that ``trainer.teacher`` names: none, one or several, each once.

    Raises:
        UserError: There is no such run, or it has no checkpoint.
    """
    named = OmegaConf.select(cfg, "trainer.teacher")
    if named is None:
        return []
    by_folder: dict[Path, Run] = {}
    try:
        for name in named if isinstance(named, ListConfig) else [named]:
            run = resolve(name, cfg.outputs)
            run.checkpoint()
            by_folder.setdefault(run.path.resolve(), run)
    except UserError as error:
        raise UserError(f"trainer.teacher: {str(error).removeprefix('run: ')}") from None
    if not by_folder:
        raise UserError("trainer.teacher: the list is empty; name runs, such as [<id>,<id>], or set it to null")
    return list(by_folder.values())
