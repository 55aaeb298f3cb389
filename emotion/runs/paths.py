"""A run's config as it is written down: whatever it refers to is found again from any folder."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from emotion.base.errors import UserError
from emotion.runs.folder import Run, resolve


def with_absolute_paths(cfg: DictConfig) -> DictConfig:
    """A run's config: its data and weights are found from any folder, and what only a search reads is left out."""
    cfg = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[assignment]
    cfg.pop("tuner", None)
    for key, names in {"dataset.root": (), "dataset.votes": (), "model.weights": ("imagenet",)}.items():
        value = OmegaConf.select(cfg, key)
        if isinstance(value, str) and value not in names:
            OmegaConf.update(cfg, key, str(Path(value).expanduser().absolute()))
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
