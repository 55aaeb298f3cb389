"""Images that occur more than once: in a split, across splits, under different labels; and leaving them out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion.base import files
from emotion.base.errors import UserError
from emotion.data import similar
from emotion.data.examples import SPLITS, Examples

Ids = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

#: Part of the cache's key: raise it when the hashes change.
_VERSION = 1


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Which images of a dataset are the same, over all of its splits."""

    split: np.ndarray[Any, Any]  #: int8 ``[N]``, indices into :data:`emotion.data.examples.SPLITS`, ascending
    row: Ids  #: int64 ``[N]``, each image's row in its split
    labels: Ids  #: int64 ``[N]``
    exact: Ids  #: int64 ``[N]``, the smallest index of the images with the same pixels
    near: Ids  #: int64 ``[N]``, the smallest index of those linked by equal pixels or by looking alike, also indirectly

    def repeated(self, groups: Ids) -> Flags:
        """bool ``[N]``: images that share their group (``exact`` or ``near``) with another."""
        return np.bincount(groups, minlength=len(groups))[groups] > 1

    def conflicting(self, groups: Ids) -> Flags:
        """bool ``[N]``: images in whose group there is more than one label."""
        return several(groups, self.labels)

    def shared_with(self, groups: Ids, *splits: str) -> Flags:
        """bool ``[N]``: images in whose group there is one of these splits."""
        there = np.isin(self.split, [SPLITS.index(s) for s in splits])
        return np.asarray(np.bincount(groups[there], minlength=len(groups))[groups] > 0)

    def within(self, split: str) -> Flags:
        """bool ``[N]``: the images of a split."""
        return np.asarray(self.split == SPLITS.index(split))


def several(groups: Ids, kinds: Ids) -> Flags:
    """bool ``[N]``: images in whose group there is more than one kind."""
    pairs = np.unique(np.stack([groups, kinds], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=len(groups))[groups] > 1


def find(parts: Mapping[str, Examples], perceptual: Mapping[str, similar.Hashes] | None = None) -> Duplicates:
    """Find identical images and, with perceptual hashes, uint64 ``[N, 2]`` per split, nearly identical ones."""
    names = [s for s in SPLITS if s in parts]
    counts = [len(parts[s]) for s in names]
    total = sum(counts)
    hashes = np.concatenate([parts[s].hashes for s in names])
    _, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    exact = first[which].astype(np.int64)  # np.unique sorts stably: the first of its kind
    near = exact
    if perceptual is not None:
        alike = similar.near_duplicates(np.concatenate([perceptual[s].reshape(-1, 2) for s in names]))
        same = np.stack([exact, np.arange(total)], axis=1)
        near = similar.groups(total, np.concatenate([same, alike]))
    return Duplicates(
        split=np.repeat(np.array([SPLITS.index(s) for s in names], np.int8), counts),
        row=np.concatenate([np.arange(n, dtype=np.int64) for n in counts]),
        labels=np.concatenate([parts[s].labels for s in names]).astype(np.int64),
        exact=exact,
        near=near,
    )


def perceptual_hashes(examples: Examples, cache_dir: Path | None) -> similar.Hashes:
    """How each image looks: uint64 ``[N, 2]``, from the source, from the cache, or computed (0.1 ms a small image).

    Raises:
        emotion.faces.formats.UnreadableImageError: A file can no longer be read.
    """
    if examples.perceptual is not None:
        return examples.perceptual
    digest = hashlib.sha256(b"%d" % _VERSION + np.ascontiguousarray(examples.hashes, "S16").tobytes()).hexdigest()
    path = None if cache_dir is None else cache_dir / f"perceptual-{digest[:24]}.npy"
    if path is not None and path.is_file():
        with suppress(ValueError, OSError, EOFError):
            hashes: similar.Hashes = np.load(path, allow_pickle=False)
            if hashes.shape == (len(examples), 2) and hashes.dtype == np.uint64:
                return hashes
    hashes = np.zeros((len(examples), 2), np.uint64)
    for i in range(len(examples)):
        hashes[i] = similar.perceptual_hash(examples.image(i))
    if path is not None:
        with suppress(OSError), files.replacing_in_cache(path) as temporary, temporary.open("wb") as file:
            np.save(file, hashes)
    return hashes


def group_hashes(examples: Examples) -> np.ndarray[Any, Any]:
    """``S16`` ``[N]``: equal for images that must not be separated, whatever their order in ``examples``.

    Those with equal pixels; those that look alike, where the source keeps perceptual hashes; those of one origin or of
    one group.
    """
    known = [names for names in (examples.origin, examples.group) if names is not None]
    if examples.perceptual is None and not known:
        return examples.hashes
    duplicates = find({"train": examples}, None if examples.perceptual is None else {"train": examples.perceptual})
    groups = duplicates.near
    for names in known:
        groups = _joined(groups, names)
    order = np.lexsort((examples.hashes, groups))
    starts = np.flatnonzero(np.r_[True, np.diff(groups[order]) > 0])
    smallest = np.repeat(examples.hashes[order][starts], np.diff(np.r_[starts, len(order)]))
    grouped = np.empty_like(examples.hashes)
    grouped[order] = smallest
    return grouped


def _joined(groups: Ids, names: np.ndarray[Any, Any]) -> Ids:
    """Groups that also hold together what has one name."""
    named = np.flatnonzero(names != "")
    _, first, which = np.unique(names[named], return_index=True, return_inverse=True)
    rows = np.arange(len(groups))
    links = [np.stack([groups, rows], axis=1), np.stack([named[first[which]], named], axis=1)]
    return similar.groups(len(groups), np.concatenate(links))


def drop(parts: Mapping[str, Examples], cfg: DictConfig) -> tuple[dict[str, Examples], list[str]]:
    """Leave out duplicates and near-duplicates; the test split always stays as it is.

    Args:
        parts: All three splits.
        cfg: The dataset node. Its ``drop_duplicates`` is ``none``, or ``train_vs_test``: training images that are in
            validation or in the test, and validation images that are in the test. Or ``all``: besides, all but one of
            each group within training and within validation, and the whole group where its labels contradict each
            other. Perceptual hashes are kept in its ``cache_dir``.

    Returns:
        The splits, and sentences for the log.
    """
    mode = cfg.get("drop_duplicates", "none")  # runs from before there was such a key lack it
    if mode == "none":
        return dict(parts), []
    cache_dir = Path(cfg.cache_dir).expanduser()
    duplicates = find(parts, {split: perceptual_hashes(examples, cache_dir) for split, examples in parts.items()})
    train, validation = duplicates.within("train"), duplicates.within("validation")
    leaks = (train & duplicates.shared_with(duplicates.near, "validation", "test")) | (
        validation & duplicates.shared_with(duplicates.near, "test")
    )
    out = leaks.copy()
    if mode == "all":
        for inside in (train, validation):
            rest = np.flatnonzero(inside & ~leaks)
            first = np.zeros(len(out), bool)
            first[rest[np.unique(duplicates.near[rest], return_index=True)[1]]] = True
            out |= inside & (~first | duplicates.conflicting(duplicates.near))
    notes = []
    for split, inside in (("training", train), ("validation", validation)):
        repeats = int((out & inside & ~leaks).sum())
        more = f", and {repeats} that repeat or contradict others there" if mode == "all" else ""
        notes.append(
            f"Left out of {split}: {int((leaks & inside).sum())} images that are identical or nearly so to one that "
            f"is held out{more} (dataset.drop_duplicates={mode})."
        )
    remaining = {}
    for split, examples in parts.items():
        stays = duplicates.within(split) & ~out
        remaining[split] = examples.take(duplicates.row[stays])
        if len(examples) and not stays.any():
            raise UserError(
                f"dataset.drop_duplicates: {mode} would leave no image in {split}: all {len(examples):,} are "
                f"identical or nearly so to others. Set dataset.drop_duplicates=none, or use other data"
            )
    return remaining, notes
