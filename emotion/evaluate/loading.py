"""The images that a run is scored on, and what it has seen of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emotion import runs
from emotion.base.errors import UserError
from emotion.data import seen
from emotion.data.examples import ALL, Splits
from emotion.inference import held_out

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    """What is scored.

    Attributes:
        splits: The dataset.
        split: Which of its images: a split, or all.
        own: Whether it is the data that the run was made with.
    """

    splits: Splits
    split: str
    own: bool


def dataset_of(run: runs.Run, named: DictConfig | None) -> DictConfig:
    """The dataset config to score on, known to exist before anything takes time."""
    dataset: DictConfig | None = run.config().dataset if named is None else named
    if dataset is None:
        raise UserError(f"run {run.id} was adopted without data. Say what to score it on: dataset=... dataset.root=...")
    root = OmegaConf.select(dataset, "root")
    if named is None and root is not None and not Path(str(root)).expanduser().exists():
        raise UserError(
            f"dataset.root: no such file or folder '{root}', where run {run.id} says its data is. Say where it is now: "
            f"dataset={dataset.name} dataset.root=..."
        )
    return dataset


def load(run: runs.Run, dataset: DictConfig, split: str | None, named: bool) -> Data:
    """Load a dataset to score a run on.

    Args:
        run: The run.
        dataset: Its own dataset config, or another one.
        split: Which images; None is the test split of the run's own data, and all of other data.
        named: Whether the user named the dataset. A run's own must else still be what it was made with.

    Raises:
        UserError: It cannot be loaded, or is not what the run was made with.
    """
    from emotion.data import sources

    pixels = run.record().pixels
    if named and split in (None, ALL):
        whole = sources.load_whole(dataset)
        own = _divided(run, dataset, whole) if split is None else None
        data = Data(whole, ALL, False) if own is None else Data(own, "test", True)
    else:
        splits = sources.load(dataset)
        data = Data(splits, split or "test", not named or splits.fingerprint["pixels"] == pixels)
    current = data.splits.fingerprint["pixels"]
    if not named and pixels not in (None, current):
        raise UserError(
            f"run {run.id} was made with other data than '{dataset.root or dataset.name}' holds now "
            f"(fingerprint {pixels[:12]}, now {current[:12]}). Name the data you mean with dataset=... dataset.root=..."
        )
    for note in data.splits.notes:
        log.info("%s", note)
    return data


def owner(some: Sequence[runs.Run], dataset: DictConfig) -> runs.Run | None:
    """The first of some runs that was made with a dataset."""
    from emotion.data import sources

    whole = sources.load_whole(dataset)
    return next((run for run in some if _divided(run, dataset, whole) is not None), None)


def _divided(run: runs.Run, dataset: DictConfig, whole: Splits) -> Splits | None:
    """A dataset with the splits of training where it is what the run was made with, by its counts and pixels."""
    from emotion.data import sources

    record = run.record()
    counts = record.data.get("counts") or {}
    recorded = [sum(by.get(name, 0) for by in counts.values()) for name in whole.labels]
    if record.pixels is None or recorded != np.bincount(whole[ALL].labels, minlength=len(whole.labels)).tolist():
        return None
    try:
        splits = sources.load(dataset) if len(whole.train) == 0 else whole
    except UserError:  # too few images to divide, so it was never trained on
        return None
    return splits if splits.fingerprint["pixels"] == record.pixels else None


def seen_by(run: runs.Run, data: Data) -> seen.Compact | None:
    """The images that a run has seen in training or validation; None where that is not known.

    Raises:
        UserError: The run's record of them is damaged.
    """
    recorded = seen.load(run.path)  # with what its teachers have seen
    if recorded is not None:
        return recorded
    if data.own:
        return seen.of(data.splits)
    splits = training_data(run)
    return None if splits is None else seen.of(splits)


def training_data(run: runs.Run) -> Splits | None:
    """The data that a run was trained on, or None where it is not known, gone, unreadable, or other data by now."""
    try:
        return held_out.of_run(run)
    except (UserError, OmegaConfBaseException) as error:
        log.warning("run %s: the training data is not available: %s", run.id, error)
        return None
