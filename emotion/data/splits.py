"""Dividing pictures into splits: stratified, and with pixel-identical pictures on one side.

Where 5 % of the pictures are exact duplicates, as in FER2013, a plain random split puts copies of training pictures
into validation and test, and their scores come out too high.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
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

#: StratifiedGroupKFold takes 0.4 ms a group (11 s for FER2013), so from here on only duplicates go through it.
_GROUPED_ROWS = 1000


def hold_out(labels: Any, groups: Any, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Hold out a stratified part of some pictures without separating duplicates.

    Duplicates are dealt by scikit-learn's StratifiedGroupKFold; in sets of more than a thousand pictures those without
    a duplicate are dealt by StratifiedKFold, which does the same for groups of one and is a thousand times faster.

    Args:
        labels: int ``[N]``, indices into the dataset's labels.
        groups: ``[N]`` pixel hashes; equal ones stay together.
        fraction: Share to hold out, 0 to 0.5.
        seed: Draws the part. The same pictures are drawn in whatever order they come, from a CSV or from folders.

    Returns:
        Sorted int64 row indices of the rest and of the held out part. Every emotion occurs in both.

    Raises:
        UserError: An emotion has too few different pictures to occur on both sides.
    """
    labels = np.asarray(labels, np.int64)
    groups = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    order = np.lexsort((labels, groups))
    labels, groups = labels[order], groups[order]
    pairs = np.unique(np.stack([labels, groups], 1), axis=0)
    different = np.bincount(pairs[:, 0])
    if not len(labels) or (different == 1).any():
        _too_few(int(np.argmax(different == 1)) if len(labels) else None, different)
    share = Fraction(fraction).limit_denominator(20) if fraction >= 0.05 else Fraction(1, round(1 / fraction))
    n_splits = min(share.denominator, int(different.max()))
    take = max(1, round(fraction * n_splits))
    rng = np.random.default_rng(seed)

    duplicated = np.bincount(groups)[groups] > 1
    single = rng.permutation(np.flatnonzero(~duplicated))
    # Both methods want more rows than folds: a few duplicates are joined by singles, a few singles join the duplicates.
    joined = max(0, _GROUPED_ROWS - int(duplicated.sum()))
    if len(single) - joined < _GROUPED_ROWS:
        joined = len(single)
    held = np.zeros(len(labels), bool)
    grouped = np.sort(np.concatenate([np.flatnonzero(duplicated), single[:joined]]))
    held[_fold(grouped, labels, groups, n_splits, take, seed)] = True
    held[_fold(np.sort(single[joined:]), labels, None, n_splits, take, seed)] = True
    _repair(labels, groups, held, rng)
    return np.sort(order[~held]), np.sort(order[held])


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
        validation_fraction: Share of the training pictures.
        test_fraction: Share of the pictures that ``train`` has at first.
        seed: Draws both.
        alike: Keep pictures that look alike together, not only those with equal pixels.
        testable: bool ``[N]``, the pictures of ``train`` that may be held out for the test; None is all.

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
            rest, held, why = _hold_out_testable(train.labels, groups, testable, fraction, seed)
            notes.append(why)
            if not len(held):
                whole[split] = train.take(held)
                continue
        else:
            rest, held = hold_out(train.labels, groups, fraction, seed)
        whole["train"], whole[split] = train.take(rest), train.take(held)
        notes.append(
            f"No {split} split of its own: {len(held)} of {len(train)} pictures held out from train, stratified, "
            f"{'pictures that look alike' if alike else 'duplicates'} kept together "
            f"(dataset.{split}_fraction={fraction:g}, dataset.split_seed={seed})."
        )
    return whole, tuple(notes)


def _hold_out_testable(
    labels: Any, groups: Any, testable: np.ndarray[Any, Any], fraction: float, seed: int
) -> tuple[Rows, Rows, str]:
    """Hold out pictures whose whole group may be tested on: as many as of all, and at most half of those."""
    inverse = np.unique(groups, return_inverse=True)[1]
    clean = np.bincount(inverse, ~testable)[inverse] == 0
    pairs = np.unique(np.stack([labels[clean], inverse[clean]], axis=1), axis=0)
    enough = np.bincount(pairs[:, 0], minlength=int(labels.max(initial=0)) + 1) > 1
    candidates = np.flatnonzero(clean & enough[labels])
    why = (
        f"{int((~testable).sum())} pictures carry the label of a search that nobody has reviewed, and stay out of the "
        f"test split. Review them (review-<emotion>.html, emotion.collect apply=...), or set "
        f"dataset.test_unreviewed=true."
    )
    if not len(candidates):
        return np.arange(len(labels)), np.arange(0), why
    share = min(0.5, max(0.01, fraction * len(labels) / len(candidates)))
    _, held = hold_out(labels[candidates], groups[candidates], share, seed)
    return np.setdiff1d(np.arange(len(labels)), candidates[held]), candidates[held], why


def limit(examples: Examples, n: int, seed: int) -> Examples:
    """At most n examples, in their order, with each emotion's share kept and no emotion lost where n allows it.

    The same pictures are drawn in whatever order they come.
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
    notes: tuple[str, ...] = (),
    unreadable: tuple[tuple[str, str], ...] = (),
    labels: tuple[str, ...] = EMOTIONS,
    loss: str = "cross_entropy",
    recognised: str | None = None,
) -> Splits:
    """Turn the three divided parts into :class:`Splits`: recognise, drop, cap, fingerprint and note what is unusual.

    Args:
        name: The dataset's name in the config.
        parts: ``train``, ``validation`` and ``test``.
        cfg: Gives ``drop_duplicates``, ``limit``, ``split_seed`` and ``cache_dir``; see ``conf/dataset/``.
        notes: What the source has to say.
        unreadable: ``(path, reason)`` of each file that was left out.
        labels: The dataset's labels in order.
        loss: See :class:`Splits`.
        recognised: What the source knows about where its pictures are published; None looks for FER2013's.
    """
    said = list(notes)
    recognised = recognised or recognise_fer2013(parts)
    if recognised:
        said.append(f"Recognised: {recognised}.")
    if unreadable:
        path, reason = unreadable[0]
        said.append(f"Left out {len(unreadable)} unreadable files, the first of them {path}: {reason}.")
    parts, dropped = drop(parts, cfg)
    said += dropped
    for split in SPLITS:
        absent = [e for i, e in enumerate(labels) if not (parts[split].labels == i).any()]
        if absent and len(absent) < len(labels):
            said.append(f"No pictures of {', '.join(absent)} in {split}.")
        if split == "train":
            continue
        copies = int(np.isin(parts[split].hashes, parts["train"].hashes).sum())
        if copies:
            said.append(f"{copies} of {len(parts[split])} {split} pictures are pixel-identical to a training picture.")
    if cfg.limit is not None:
        parts = {split: limit(examples, cfg.limit, cfg.split_seed) for split, examples in parts.items()}
        said.append(f"Limited to {cfg.limit} pictures a split.")
    return Splits(
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        fingerprint=fingerprint(name, parts, recognised, labels),
        unreadable=unreadable,
        notes=tuple(said),
        labels=labels,
        loss=loss,
    )


def _fold(rows: Rows, labels: Rows, groups: Rows | None, n_splits: int, take: int, seed: int) -> Rows:
    """The rows in the first ``take`` of ``n_splits`` stratified folds."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if not len(rows):
        return rows
    method = StratifiedKFold if groups is None else StratifiedGroupKFold
    kept = None if groups is None else groups[rows]
    with warnings.catch_warnings():  # emotions with fewer pictures than folds are put right by _repair
        warnings.filterwarnings("ignore", message="The least populated class")
        folds = method(n_splits, shuffle=True, random_state=seed).split(rows, labels[rows], kept)
        return np.concatenate([rows[held] for _, (_, held) in zip(range(take), folds, strict=False)])


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
                _too_few(int(label), None)


def _too_few(label: int | None, different: Any) -> None:
    if label is None:
        raise UserError("no pictures to divide into splits")
    names = (*EMOTIONS, CONTEMPT)
    count = "too few different pictures" if different is None else "only 1 different picture"
    raise UserError(
        f"emotion '{names[label]}' has {count} left to occur in training and in the part that is held out from it. "
        f"Add pictures of it, or leave its folder out with dataset.ignore"
    )
