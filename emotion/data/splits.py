"""Dividing images into splits: stratified, and with pixel-identical images on one side.

Where 5 % of the images are exact duplicates, as in FER2013, a plain random split puts copies of training images
into validation and test, and their scores come out too high.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion.base.errors import UserError
from emotion.data.duplicates import drop, group_hashes
from emotion.data.examples import SPLITS, Examples, Splits
from emotion.data.fingerprint import fingerprint, recognise_fer2013
from emotion.faces.labels import CONTEMPT, EMOTIONS

Rows = np.ndarray[Any, np.dtype[np.int64]]

#: StratifiedGroupKFold is slow, so in larger sets only duplicates go through it.
_GROUPED_ROWS = 1000


def hold_out(labels: Any, groups: Any, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Hold out a stratified part of some images without separating duplicates.

    Duplicates are divided by scikit-learn's StratifiedGroupKFold, in large sets all others by StratifiedKFold, which
    does the same for groups of one.

    Args:
        labels: int ``[N]``.
        groups: ``[N]`` pixel hashes; equal ones stay together.
        fraction: Share to hold out, 0 to 0.5.
        seed: Draws the part. The same images are drawn in whatever order they come, from a CSV or from folders.

    Returns:
        Sorted int64 row indices of the rest and of the held out part. Every emotion occurs in both.

    Raises:
        UserError: An emotion has too few different images to occur on both sides.
    """
    labels = np.asarray(labels, np.int64)
    groups = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    order = np.lexsort((labels, groups))
    labels, groups = labels[order], groups[order]
    pairs = np.unique(np.stack([labels, groups], 1), axis=0)
    different = np.bincount(pairs[:, 0])
    if not len(labels):
        raise UserError("no images to divide into splits")
    if (different == 1).any():
        raise _too_few(int(np.argmax(different == 1)), "only 1 different image")
    share = Fraction(fraction).limit_denominator(20) if fraction >= 0.05 else Fraction(1, round(1 / fraction))
    n_splits = min(share.denominator, int(different.max()))
    take = max(1, round(fraction * n_splits))
    rng = np.random.default_rng(seed)
    held = _assigned(labels, groups, n_splits, seed, rng) < take
    _repair(labels, groups, held, rng)
    return np.sort(order[~held]), np.sort(order[held])


def folds(labels: Any, groups: Any, count: int, seed: int) -> Rows:
    """Divide images into stratified folds without separating a group; see :func:`hold_out`.

    Returns:
        int64 ``[N]``, each image's fold, 0 to ``count`` - 1. An emotion of few groups may be absent from a fold.
    """
    labels = np.asarray(labels, np.int64)
    groups = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    order = np.lexsort((labels, groups))
    numbers: Rows = np.empty_like(labels)
    numbers[order] = _assigned(labels[order], groups[order], count, seed, np.random.default_rng(seed))
    return numbers


def _assigned(labels: Rows, groups: Rows, n_splits: int, seed: int, rng: np.random.Generator) -> Rows:
    """int64 ``[N]``, the stratified fold of each row, the rows of a group in one."""
    duplicated = np.bincount(groups)[groups] > 1
    single = rng.permutation(np.flatnonzero(~duplicated))
    # Both methods want more rows than folds: a few duplicates are joined by singles, a few singles join the duplicates.
    joined = max(0, _GROUPED_ROWS - int(duplicated.sum()))
    if len(single) - joined < _GROUPED_ROWS:
        joined = len(single)
    numbers = np.empty_like(labels)
    grouped = np.sort(np.concatenate([np.flatnonzero(duplicated), single[:joined]]))
    rest = np.sort(single[joined:])
    numbers[grouped] = _fold(grouped, labels, groups, n_splits, seed)
    numbers[rest] = _fold(rest, labels, None, n_splits, seed)
    return numbers


def complete(
    parts: Mapping[str, Examples],
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    *,
    alike: bool = False,
    testable: np.ndarray[Any, Any] | None = None,
) -> tuple[dict[str, Examples], tuple[str, ...]]:
    """Hold out what is missing from ``train``: first the test split, then validation from what is left.

    Args:
        parts: ``train``, and ``validation`` and ``test`` where the dataset brings them.
        validation_fraction, test_fraction: Shares of the images that ``train`` has after and before the test is taken.
        seed: Draws both.
        alike: Keep images that look alike together, not only those with equal pixels.
        testable: bool ``[N]``, the images of ``train`` that may be held out for the test; None is all.

    Returns:
        All three splits, and a note for each that was held out.
    """
    whole = dict(parts)
    notes = []
    for split, fraction in (("test", test_fraction), ("validation", validation_fraction)):
        if split in parts:
            continue
        train = whole["train"]
        groups = group_hashes(train) if alike else train.hashes
        if split == "test" and testable is not None and not testable.all():
            rest, held, note = _hold_out_testable(train.labels, groups, testable, fraction, seed)
            notes.append(note)
            if not len(held):
                whole[split] = train.take(held)
                continue
        else:
            rest, held = hold_out(train.labels, groups, fraction, seed)
        whole["train"], whole[split] = train.take(rest), train.take(held)
        alike_or_equal = "images that look alike" if alike else "duplicates"
        notes.append(held_out_note(split, len(held), len(train), fraction, seed, alike_or_equal))
    return whole, tuple(notes)


def held_out_note(split: str, held: int, total: int, fraction: float, seed: int, together: str = "duplicates") -> str:
    """A sentence for the log about a split that a dataset lacks."""
    return (
        f"No {split} split of its own: {held:,} of {total:,} images held out from train, stratified, "
        f"{together} kept together (dataset.{split}_fraction={fraction:g}, dataset.split_seed={seed})."
    )


def _hold_out_testable(
    labels: Any, groups: Any, testable: np.ndarray[Any, Any], fraction: float, seed: int
) -> tuple[Rows, Rows, str]:
    """Hold out images whose whole group may be tested on: as many as of all, and at most half of those."""
    inverse = np.unique(groups, return_inverse=True)[1]
    clean = np.bincount(inverse, ~testable)[inverse] == 0
    pairs = np.unique(np.stack([labels[clean], inverse[clean]], axis=1), axis=0)
    enough = np.bincount(pairs[:, 0], minlength=int(labels.max(initial=0)) + 1) > 1
    candidates = np.flatnonzero(clean & enough[labels])
    note = (
        f"{int((~testable).sum())} images carry the label of a search that has not been reviewed, and stay out of the "
        f"test split. Review them (review-<emotion>.html, emotion.collect apply=...), or set "
        f"dataset.test_unreviewed=true."
    )
    if not len(candidates):
        return np.arange(len(labels)), np.arange(0), note
    share = min(0.5, max(0.01, fraction * len(labels) / len(candidates)))
    _, held = hold_out(labels[candidates], groups[candidates], share, seed)
    return np.setdiff1d(np.arange(len(labels)), candidates[held]), candidates[held], note


def limit(examples: Examples, n: int, seed: int) -> Examples:
    """At most n examples, in their order, with each emotion's share kept and no emotion lost where n allows it.

    The same images are drawn in whatever order they come.
    """
    if len(examples) <= n:
        return examples
    counts = np.bincount(examples.labels)
    exact = counts * (n / len(examples))
    keep = np.floor(exact).astype(np.int64)
    if n >= np.count_nonzero(counts):
        keep = np.maximum(keep, counts > 0)
    while keep.sum() != n:  # largest remainder first; the emotion furthest above its share gives way
        surplus = exact - keep
        if keep.sum() < n:
            keep[np.argmax(np.where(keep < counts, surplus, -np.inf))] += 1
        else:
            keep[np.argmin(np.where(keep > 1, surplus, np.inf))] -= 1
    rng = np.random.default_rng(seed)
    by_hash = np.argsort(examples.hashes, kind="stable")
    rows = [rng.permutation(by_hash[examples.labels[by_hash] == label])[:k] for label, k in enumerate(keep)]
    return examples.take(np.sort(np.concatenate(rows)))


def assemble(
    name: str,
    parts: Mapping[str, Examples],
    cfg: DictConfig,
    *,
    notes: Sequence[str] = (),
    unreadable: tuple[tuple[str, str], ...] = (),
    labels: tuple[str, ...] = EMOTIONS,
    loss: str = "cross_entropy",
    recognised: str | None = None,
    origins: Mapping[str, str] | None = None,
) -> Splits:
    """Turn the three divided parts into :class:`Splits`: recognise, drop, limit, fingerprint and note what is unusual.

    Args:
        name: The dataset's name in the config.
        parts: ``train``, ``validation`` and ``test``.
        cfg: Gives ``drop_duplicates``, ``limit``, ``split_seed`` and ``cache_dir``; see ``conf/dataset/``.
        notes, unreadable, labels, loss: See :class:`Splits`.
        recognised: Where the source knows its images to be published; None looks for FER2013's.
        origins: What the source calls the splits that it brings; the others are drawn.
    """
    notes = list(notes)
    recognised = recognised or recognise_fer2013(parts)
    if recognised:
        notes.append(f"Recognised: {recognised}.")
    if unreadable:
        path, reason = unreadable[0]
        notes.append(f"Left out {len(unreadable)} unreadable files, the first of them {path}: {reason}.")
    splits, dropped = drop(parts, cfg)
    less = {split for split in SPLITS if len(splits[split]) < len(parts[split])}
    origins = {s: f"{name}, without duplicates" if s in less else name for s, name in (origins or {}).items()}
    notes += [*dropped, *_unusual(splits, labels)]
    if cfg.limit is not None:
        splits = {split: limit(examples, cfg.limit, cfg.split_seed) for split, examples in splits.items()}
        notes.append(f"Limited to {cfg.limit} images per split.")
    return Splits(
        splits["train"],
        splits["validation"],
        splits["test"],
        fingerprint=fingerprint(name, splits, recognised, labels) | _named(origins, recognised, cfg),
        unreadable=unreadable,
        notes=tuple(notes),
        labels=labels,
        loss=loss,
    )


def _named(origins: Mapping[str, str], recognised: str | None, cfg: DictConfig) -> dict[str, Any]:
    """What each held out split is, in words, and which are official: whole, of the published images."""
    names = {split: origins.get(split, f"random split, seed {cfg.split_seed}") for split in ("validation", "test")}
    known = recognised or ""
    published = any(words in known for words in _PUBLISHED) and "divided otherwise" not in known
    official = [split for split, name in names.items() if name in _OFFICIAL and published and cfg.limit is None]
    limited = "" if cfg.limit is None else f", of which {cfg.limit} images"
    return {"splits": {split: name + limited for split, name in names.items()}, "official": official}


_OFFICIAL = ("PublicTest", "PrivateTest")
_PUBLISHED = ("FER2013 as published", "FER2013's counts")


def _unusual(parts: Mapping[str, Examples], labels: Sequence[str]) -> Iterator[str]:
    """A note for labels that are absent from a split, and for copies of training images in the other splits."""
    for split in SPLITS:
        absent = [e for i, e in enumerate(labels) if not (parts[split].labels == i).any()]
        if absent and len(absent) < len(labels):
            yield f"No images of {', '.join(absent)} in {split}."
        copied = np.isin(parts[split].hashes, parts["train"].hashes)
        copies = int(copied.sum())
        others = int(np.isin(parts["test"].hashes, parts["validation"].hashes)[~copied].sum()) if split == "test" else 0
        if split != "train" and copies + others:
            more = f" and {others} more to a validation image" if others else ""
            whole = f": leak-free figures leave out all {copies + others}" if split == "test" else ""
            of = f"{copies} of {len(parts[split])} {split} images"
            yield f"{of} are pixel-identical to a training image{more}{whole}."


def _fold(rows: Rows, labels: Rows, groups: Rows | None, n_splits: int, seed: int) -> Rows:
    """The number of each row's fold among ``n_splits`` stratified ones."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if not len(rows):
        return rows
    method = StratifiedKFold if groups is None else StratifiedGroupKFold
    row_groups = None if groups is None else groups[rows]
    with warnings.catch_warnings():  # emotions with fewer images than folds are put right by _repair
        warnings.filterwarnings("ignore", message="The least populated class")
        numbers = np.empty_like(rows)
        divided = method(n_splits, shuffle=True, random_state=seed).split(rows, labels[rows], row_groups)
        for number, (_, held) in enumerate(divided):
            numbers[held] = number
        return numbers


def _repair(labels: Rows, groups: Rows, held: Any, rng: np.random.Generator) -> None:
    """Move whole groups until every emotion occurs on both sides; changes ``held``."""
    classes = np.unique(labels)
    for label in classes:
        for side in (True, False):
            if (held[labels == label] == side).any():
                continue
            for group in rng.permutation(np.unique(groups[labels == label])):
                moved = held.copy()
                moved[groups == group] = side
                # Emotions that were on the giving side must still be there.
                if np.array_equal(np.unique(labels[moved != side]), np.unique(labels[held != side])):
                    held[:] = moved
                    break
            else:
                raise _too_few(int(label))


def _too_few(label: int, count: str = "too few different images") -> UserError:
    return UserError(
        f"emotion '{(*EMOTIONS, CONTEMPT)[label]}' has {count} left to occur in training and in the part that is held "
        f"out from it. Add images of it, or leave its folder out with dataset.ignore"
    )
