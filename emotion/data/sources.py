"""Loading a dataset by its name; each name is a module of this package with a function ``load``."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from omegaconf import DictConfig

from emotion.base.errors import UserError, did_you_mean
from emotion.base.progress import working
from emotion.data.examples import Splits

NAMES = ("synthetic", "fer2013", "ferplus", "folder", "mixed")


@working("reading the data")
def load(cfg: DictConfig) -> Splits:
    """Load and divide the dataset that a config node describes.

    Args:
        cfg: The composed ``dataset`` node, see ``conf/dataset/``.

    Raises:
        UserError: There is no such dataset, or its files are not what its config says.
    """
    splits: Splits = _source(cfg).load(cfg)
    return splits


@working("reading the data")
def load_whole(cfg: DictConfig) -> Splits:
    """Load a dataset to be scored as a whole: its :data:`emotion.data.examples.ALL` counts, its splits mean nothing.

    Arguments and errors as for :func:`load`, but nothing is held out: a folder may have a ``test/`` alone, one image of
    an emotion, or none.
    """
    source = _source(cfg)
    splits: Splits = source.load_whole(cfg) if hasattr(source, "load_whole") else source.load(cfg)
    return splits


def _source(cfg: DictConfig) -> ModuleType:
    if cfg.name not in NAMES:
        raise UserError(f"dataset.name: '{cfg.name}' is not one of {', '.join(NAMES)}.{did_you_mean(cfg.name, NAMES)}")
    # Imported on demand: each source has its own dependencies and start-up time.
    return import_module(f"emotion.data.{cfg.name}")
