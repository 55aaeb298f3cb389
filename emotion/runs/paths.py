"""A run's config as it is written down: whatever it refers to is found again from any folder."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from emotion import runs
from emotion.base.errors import UserError


def with_absolute_paths(cfg: DictConfig) -> DictConfig:
    """A run's config: its data and weights are found from any folder, and what only a search reads is left out."""
    cfg = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[assignment]
    cfg.pop("tuner", None)
    for key, names in {"dataset.root": (), "dataset.votes": (), "model.weights": ("imagenet",)}.items():
        value = OmegaConf.select(cfg, key)
        if isinstance(value, str) and value not in names:
            OmegaConf.update(cfg, key, str(Path(value).expanduser().absolute()))
    if OmegaConf.select(cfg, "trainer.teacher") is not None:
        found = [str(each.path.absolute()) for each in teachers(cfg)]
        cfg.trainer.teacher = found if len(found) > 1 else found[0]
    return cfg


def teachers(cfg: DictConfig) -> list[runs.Run]:
    """The runs that ``trainer.teacher`` names: none, one or several, each once.

    Raises:
        UserError: There is no such run, or it has no checkpoint.
    """
    named = OmegaConf.select(cfg, "trainer.teacher")
    if named is None:
        return []
    found: dict[Path, runs.Run] = {}
    try:
        for name in named if isinstance(named, ListConfig) else [named]:
            run = runs.resolve(name, cfg.outputs)
            run.checkpoint()
            found.setdefault(run.path.resolve(), run)
    except UserError as error:
        raise UserError(f"trainer.teacher: {str(error).removeprefix('run: ')}") from None
    if not found:
        raise UserError("trainer.teacher: the list is empty; name runs, such as [<id>,<id>], or set it to null")
    return list(found.values())
