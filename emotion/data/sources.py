"""Loading a dataset by its name; each name is a module of this package with a function ``load``."""

from __future__ import annotations

from importlib import import_module

from omegaconf import DictConfig

from emotion.base.errors import UserError, did_you_mean
from emotion.data.examples import Splits

NAMES = ("synthetic", "fer2013", "ferplus", "folder")


def load(cfg: DictConfig) -> Splits:
    """Load and divide the dataset that a config node describes.

    Args:
        cfg: The composed ``dataset`` node, see ``conf/dataset/``.

    Raises:
        UserError: There is no such dataset, or its files are not what its config says.
    """
    if cfg.name not in NAMES:
        raise UserError(f"dataset.name: '{cfg.name}' is not one of {', '.join(NAMES)}.{did_you_mean(cfg.name, NAMES)}")
    # Imported on demand: each source has its own dependencies and start-up time.
    source = import_module(f"emotion.data.{cfg.name}")
    splits: Splits = source.load(cfg)
    return splits
