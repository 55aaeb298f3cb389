"""A run's config as it is written down: whatever it refers to is found again from any folder."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.errors import UserError


def with_absolute_paths(cfg: DictConfig) -> DictConfig:
    """A run's config: its data and weights are found from any folder, and what only a search reads is left out."""
    cfg = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[assignment]
    cfg.pop("tuner", None)
    for key, names in {"dataset.root": (), "dataset.votes": (), "model.weights": ("imagenet",)}.items():
        value = OmegaConf.select(cfg, key)
        if isinstance(value, str) and value not in names:
            OmegaConf.update(cfg, key, str(Path(value).expanduser().absolute()))
    found = teacher(cfg)
    if found is not None:
        cfg.trainer.teacher = str(found.path.absolute())
    return cfg


def teacher(cfg: DictConfig) -> runs.Run | None:
    """The run that ``trainer.teacher`` names, or None.

    Raises:
        UserError: There is no such run, or it has no checkpoint.
    """
    name = OmegaConf.select(cfg, "trainer.teacher")
    if name is None:
        return None
    try:
        found = runs.resolve(name, cfg.outputs)
        found.checkpoint()
    except UserError as error:
        raise UserError(f"trainer.teacher: {str(error).removeprefix('run: ')}") from None
    return found
