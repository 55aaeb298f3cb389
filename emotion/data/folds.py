"""Cross-validation: ``dataset.folds`` stratified folds of whole groups, of which ``dataset.fold`` is the test split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion.base.errors import UserError
from emotion.data import splits
from emotion.data.duplicates import group_hashes
from emotion.data.examples import Examples


def divide(
    parts: Mapping[str, Examples], cfg: DictConfig, testable: np.ndarray[Any, Any] | None
) -> tuple[dict[str, Examples], list[str]]:
    """Divide ``train`` into one fold for the test, and the rest; validation is held out from the rest afterwards.

    The folds depend on the images, ``dataset.folds`` and ``dataset.split_seed``, so that each image is in the test
    split of one fold.

    Args:
        parts: ``train`` alone.
        cfg: The dataset node, see ``conf/dataset/folder.yaml``.
        testable: bool ``[N]``, the images of ``train`` that may be tested on; None is all.

    Returns:
        ``train`` and ``test``, and sentences for the log.

    Raises:
        UserError: The dataset brings splits, holds labels that were not reviewed, or has fewer groups than folds.
    """
    if others := [split for split in parts if split != "train"]:
        raise UserError(
            f"dataset.folds: {cfg.root} brings its own {' and '.join(others)} split, and folds divide all images. "
            f"Leave dataset.folds out, or set dataset.root to a folder without splits"
        )
    train, count, number = parts["train"], int(cfg.folds), int(cfg.fold)
    if testable is not None and not testable.all():
        raise UserError(
            f"dataset.folds: {int((~testable).sum()):,} images carry the label of a search that has not been reviewed, "
            f"and each image is tested on in one fold. Review them (review-<emotion>.html, emotion.collect apply=...), "
            f"or set dataset.test_unreviewed=true"
        )
    groups = group_hashes(train)
    different = len(np.unique(groups))
    what = "images" if train.group is None else "groups"
    if different < count:
        raise UserError(
            f"dataset.folds: {count} folds of {different} {what} that do not look alike; set dataset.folds={different} "
            f"or less, or add images"
        )
    joined = len(np.unique(train.group)) - different if train.group is not None else 0
    notes = [f"Fold {number} of {count} is the test split, stratified, {different:,} {what} kept whole."]
    if joined > 0:
        notes.append(f"{joined:,} groups share images that look alike with another, and stay with it.")
    test = splits.folds(train.labels, groups, count, int(cfg.split_seed)) == number
    return {"train": train.take(np.flatnonzero(~test)), "test": train.take(np.flatnonzero(test))}, notes
