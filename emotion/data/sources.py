"""Where a dataset's name leads: the one door through which examples come in."""

from __future__ import annotations

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
    # Imported when asked for: each source has its own dependencies and start-up time.
    if cfg.name == "synthetic":
        from emotion.data import synthetic

        return synthetic.load(cfg)
    if cfg.name == "fer2013":
        from emotion.data import fer2013

        return fer2013.load(cfg)
    if cfg.name == "ferplus":
        from emotion.data import ferplus

        return ferplus.load(cfg)
    if cfg.name == "folder":
        from emotion.data import folder

        return folder.load(cfg)
    raise UserError(f"dataset.name: '{cfg.name}' is not one of {', '.join(NAMES)}.{did_you_mean(cfg.name, NAMES)}")
