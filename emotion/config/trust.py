"""Which functions may be called: our own models', and what the user named on this command line.

Runs and searches are things that people send each other, so a function that one of them names is not called because it
is named there.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from emotion.base.errors import UserError
from emotion.config.cli import Request
from emotion.config.rules import MODELS


def named(asked: Request) -> frozenset[str]:
    """The functions that a command line names: as ``model._target_=...``, or in the folder of ``--config-dir``."""
    given = (text.partition("=") for text in asked.overrides)
    targets = {value.strip("'\" ") for key, _, value in given if key.lstrip("+") == "model._target_"}
    directory = asked.arguments.config_dir
    for file in sorted(Path(directory).rglob("*.yaml")) if directory else ():
        content = OmegaConf.load(file)
        places = (content, content.get("model")) if isinstance(content, DictConfig) else ()
        targets |= {str(place.get("_target_")) for place in places if isinstance(place, DictConfig)}
    return frozenset(targets)


def check(cfg: DictConfig, of: str, named: Collection[str]) -> None:
    """Refuse a model's function that is neither ours nor named by the user; ``of`` says whose config this is.

    Raises:
        UserError: Says how to allow it.
    """
    target = OmegaConf.select(cfg, "model._target_")
    if target not in MODELS and target not in named:
        raise UserError(
            f"model._target_: {of} names '{target}', which is not one of emotion's models, and a run from elsewhere "
            f"could call anything by it. If you know this function, name it yourself: add model._target_={target}, or "
            f"--config-dir with the folder of its model/<name>.yaml"
        )
