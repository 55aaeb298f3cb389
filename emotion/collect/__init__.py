"""Gather faces for a dataset: ``python -m emotion.collect root=data/faces per_emotion=300``.

Nothing here imports TensorFlow. Killed at any moment and started again, it continues where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from emotion.config import cli

if TYPE_CHECKING:
    from emotion.collect.counts import Outcome


def collect(cfg: DictConfig) -> Outcome:
    """Collect as a config says, or apply what the user decided on the review pages; print the table.

    Returns:
        How many images of each emotion there are afterwards.

    Raises:
        UserError: Another process collects there, a source that cannot be read, a decisions file that does not fit, a
            folder that cannot be written to.
        KeyboardInterrupt, emotion.base.interrupts.Interrupted: Stopped by a signal; everything is on disk.
    """
    from emotion.collect import command

    return command.collect(cfg)


def main() -> None:
    cli.main("collect", collect)
