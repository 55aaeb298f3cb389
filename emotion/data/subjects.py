"""Who is in an image, so that a person is on one side of every split: ``dataset.group``.

A network that has seen a person knows the face as well as the emotion; a small set that was divided by images says
nothing about strangers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np
from omegaconf import DictConfig

from emotion.base.errors import UserError, did_you_mean
from emotion.data import metadata
from emotion.data.examples import Examples
from emotion.data.metadata import Texts

_SHOWN = 5


def with_groups(cfg: DictConfig, root: Path, parts: Mapping[str, Examples]) -> tuple[dict[str, Examples], list[str]]:
    """The same images with :attr:`Examples.group`, where ``dataset.group`` says what it is.

    Args:
        cfg: The dataset node, see ``conf/dataset/folder.yaml``.
        root: The dataset's folder.
        parts: The images of each split that has a folder.

    Returns:
        The images, and sentences for the log.

    Raises:
        UserError: The column is missing, the pattern fits not every file, or there is only one group.
    """
    path, wanted = metadata.path_of(cfg), cfg.get("group")
    if path is None and wanted is None:
        return dict(parts), []
    files = np.concatenate([examples.paths for examples in parts.values()])
    columns = {} if path is None else metadata.read(path, root, files)
    if wanted is None:
        return dict(parts), []
    groups = _of_column(str(wanted), columns, path) if wanted in columns else _of_names(str(wanted), files, columns)
    count = len(set(groups.tolist()))
    if count < 2:
        raise UserError(
            f"dataset.group: '{wanted}' gives one group, '{groups[0]}', for all {len(files):,} images, which cannot be "
            f"divided. Give what differs from person to person, such as '^(S\\d+)_'"
        )
    ends = np.cumsum([len(examples) for examples in parts.values()])[:-1]
    by_split = dict(zip(parts, np.split(groups, ends), strict=True))
    notes = [f"{count:,} groups of images by dataset.group={wanted}; a group is on one side of every split."]
    for split in by_split.keys() - {"train"}:
        shared = len(set(by_split[split].tolist()) & set(by_split["train"].tolist()))
        if shared:
            notes.append(
                f"{shared:,} of these groups are in train and in the {split} split that the dataset brings, which "
                f"dataset.group does not change: its scores are not those of strangers."
            )
    return {split: replace(examples, group=by_split[split]) for split, examples in parts.items()}, notes


def _of_column(name: str, columns: Mapping[str, Texts], path: Path | None) -> Texts:
    groups = columns[name]
    empty = int((groups == "").sum())
    if empty:
        raise UserError(
            f"dataset.group: column '{name}' of {path} is empty for {empty:,} of {len(groups):,} images; fill it in"
        )
    return groups


def _of_names(pattern: str, files: Texts, columns: Mapping[str, Texts]) -> Texts:
    """What a regular expression finds in each file's name: its first group, or all that it matches."""
    near = did_you_mean(pattern, columns)
    known = f" Columns of dataset.metadata: {', '.join(columns)}.{near}" if columns else ""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"dataset.group: '{pattern}' is no regular expression ({error}).{known}") from None
    names = [PurePath(str(file)).name for file in files]
    matches = [expression.search(name) for name in names]
    without = [name for name, match in zip(names, matches, strict=True) if not _found(match)]
    if without:
        shown = ", ".join(without[:_SHOWN]) + (", ..." if len(without) > _SHOWN else "")
        missing = " nor a column of dataset.metadata" if columns else ""
        raise UserError(
            f"dataset.group: '{pattern}' finds nothing in {len(without):,} of {len(names):,} file names ({shown})"
            f"{missing}.{known} Give a regular expression that finds the person in every file's name, such as "
            f"'^(S\\d+)_', or a column of dataset.metadata=<faces.csv>"
        )
    return np.array([_found(match) for match in matches], np.str_)


def _found(match: re.Match[str] | None) -> str:
    if match is None:
        return ""
    return next((part for part in match.groups() if part), "") if match.re.groups else match.group()
