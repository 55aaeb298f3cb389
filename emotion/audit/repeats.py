"""Images that occur more than once: leakage between splits, duplicates, and labels that contradict each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from emotion.audit.finding import Finding, Group
from emotion.audit.pictures import Pictures
from emotion.base.words import counted
from emotion.data.duplicates import Duplicates, Flags, Ids, several
from emotion.data.examples import SPLITS

_DROP = "Train with dataset.drop_duplicates=train_vs_test"
#: Images of a group that are shown or listed together.
_TOGETHER = 8


def judge(pictures: Pictures, found: Duplicates) -> list[Finding]:
    """The five findings about repeated images; ``found`` says which of the dataset's images are the same."""
    return [
        _leakage(found),
        _near_leakage(found),
        _duplicates(pictures, found),
        _near_duplicates(pictures, found),
        _conflicts(pictures, found),
    ]


def crossing(found: Duplicates, groups: Ids) -> dict[str, Flags]:
    """bool ``[N]`` each: held out images whose group is in a split that comes before theirs."""
    inside = {split: found.within(split) for split in ("validation", "test")}
    return {
        "test_in_train": inside["test"] & found.shared_with(groups, "train"),
        "test_in_validation": inside["test"] & found.shared_with(groups, "validation"),
        "test_in_train_or_validation": inside["test"] & found.shared_with(groups, "train", "validation"),
        "validation_in_train": inside["validation"] & found.shared_with(groups, "train"),
    }


def _leakage(found: Duplicates) -> Finding:
    across = crossing(found, found.exact)
    details, leaks = _figures(across, found)
    return Finding(
        name="leakage",
        title="Identical across splits",
        count=int(leaks.sum()),
        of=_held_out(found),
        met=bool(leaks.any()),
        meaning=f"{details['test_in_train_or_validation']:,} of {counted(details['test'], 'test image')} are in "
        f"training or validation too, pixel for pixel, and {details['validation_in_train']:,} of "
        f"{counted(details['validation'], 'validation image')} in training: a model can memorise them.",
        advice=f"{_DROP}, and read the accuracy without these images, which every run reports too.",
        details=details,
        groups=_side_by_side(found, found.exact, leaks),
    )


def _near_leakage(found: Duplicates) -> Finding:
    near, exact = crossing(found, found.near), crossing(found, found.exact)
    details, leaks = _figures({name: flags & ~exact[name] for name, flags in near.items()}, found)
    return Finding(
        name="near_leakage",
        title="Nearly identical across splits",
        count=int(leaks.sum()),
        of=_held_out(found),
        met=bool(leaks.any()),
        meaning=f"{counted(details['test_in_train_or_validation'], 'more test image')} and "
        f"{counted(details['validation_in_train'], 'more validation image')} look like one in an earlier split, "
        f"scaled, compressed or brightened.",
        advice=f"{_DROP}, which leaves out near-duplicates as well.",
        details=details,
        groups=_side_by_side(found, found.near, leaks),
    )


def _duplicates(pictures: Pictures, found: Duplicates) -> Finding:
    repeated = found.repeated(found.exact)
    groups, count = len(np.unique(found.exact[repeated])), int(repeated.sum())
    within = _within(found, found.exact, repeated)
    return Finding(
        name="duplicates",
        title="Identical images",
        count=count,
        of=len(pictures),
        met=count > 0,
        meaning=f"{counted(count, 'image')} in {counted(groups, 'group')} of identical pixels, {count - groups:,} "
        f"more than needed: they count twice in training and make confidence intervals too narrow.",
        advice="Train with dataset.drop_duplicates=all to keep one of each.",
        details={"groups": groups, "pictures": count, "surplus": count - groups, "within": within},
        groups=_groups(found.exact, repeated),
    )


def _near_duplicates(pictures: Pictures, found: Duplicates) -> Finding:
    alike = several(found.near, found.exact)  # groups that hold different pixels
    groups, count = len(np.unique(found.near[alike])), int(alike.sum())
    return Finding(
        name="near_duplicates",
        title="Nearly identical images",
        count=count,
        of=len(pictures),
        met=count > 0,
        meaning=f"{counted(count, 'image')} in {counted(groups, 'group')} that look alike though their pixels "
        f"differ; a random split would put one into training and another into the test.",
        advice="dataset=folder keeps them together when it splits; dataset.drop_duplicates=all keeps one of each.",
        details={"groups": groups, "pictures": count, "within": _within(found, found.near, alike)},
        groups=_groups(found.near, alike, distinct=found.exact),
    )


def _conflicts(pictures: Pictures, found: Duplicates) -> Finding:
    same, alike = found.conflicting(found.exact), found.conflicting(found.near)
    alike &= ~np.isin(found.near, found.near[same])
    details = {
        "groups": len(np.unique(found.exact[same])),
        "pictures": int(same.sum()),
        "near_groups": len(np.unique(found.near[alike])),
        "near_pictures": int(alike.sum()),
    }
    return Finding(
        name="conflicts",
        title="Contradicting labels",
        count=details["pictures"],
        of=len(pictures),
        met=bool(same.any()),
        meaning=f"{counted(details['groups'], 'group')} of identical pixels carry more than one label "
        f"({counted(details['pictures'], 'image')}); so do {counted(details['near_groups'], 'further group')} of "
        f"near-duplicates ({counted(details['near_pictures'], 'image')}): no model can be right on all of them.",
        advice="Look at them and keep the right label, or leave them out with dataset.drop_duplicates=all.",
        details=details,
        groups=_groups(found.exact, same, distinct=found.labels)
        + _groups(found.near, alike, "look alike", distinct=found.labels),
    )


# -------------------------------------------------------------------------------------------------------- counting


def _figures(across: dict[str, Flags], found: Duplicates) -> tuple[dict[str, Any], Flags]:
    """JSON-ready counts, and which held out images are in an earlier split."""
    counts = {name: int(flags.sum()) for name, flags in across.items()}
    counts |= {split: int(found.within(split).sum()) for split in ("validation", "test")}
    return counts, across["test_in_train_or_validation"] | across["validation_in_train"]


def _held_out(found: Duplicates) -> int:
    return int((found.within("validation") | found.within("test")).sum())


def _within(found: Duplicates, groups: Ids, flags: Flags) -> dict[str, int]:
    """Of each split, how many of the flagged images occur again in the same split."""
    counts = {}
    for split in SPLITS:
        inside = groups[found.within(split) & flags]
        counts[split] = int((np.bincount(inside, minlength=1)[inside] > 1).sum()) if len(inside) else 0
    return counts


# --------------------------------------------------------------------------------------------------------- showing


def _groups(groups: Ids, flags: Flags, caption: str = "", distinct: Ids | None = None) -> tuple[Group, ...]:
    """The flagged images by group, the largest first; with ``distinct`` one of each kind comes first."""
    rows = np.flatnonzero(flags)
    rows = rows[np.argsort(groups[rows], kind="stable")]
    parts = np.split(rows, np.flatnonzero(np.diff(groups[rows])) + 1) if len(rows) else []
    if distinct is not None:
        parts = [_one_of_each_first(part, distinct) for part in parts]
    parts.sort(key=len, reverse=True)
    return tuple(Group(tuple(part.tolist()), caption) for part in parts)


def _one_of_each_first(part: Any, distinct: Ids) -> Any:
    first = np.zeros(len(part), bool)
    first[np.unique(distinct[part], return_index=True)[1]] = True
    return np.concatenate([part[first], part[~first]])


def _side_by_side(found: Duplicates, groups: Ids, leaks: Flags) -> tuple[Group, ...]:
    """Each held out image followed by its copies in earlier splits, test images first."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], groups[leaks])
    ends = np.searchsorted(groups[order], groups[leaks], side="right")
    shown = []
    for number, start, end in zip(np.flatnonzero(leaks), starts, ends, strict=True):
        others = [int(i) for i in order[start:end] if found.split[i] < found.split[number]]
        shown.append(Group((int(number), *others[: _TOGETHER - 1])))
    shown.sort(key=lambda group: -int(found.split[group.pictures[0]]))
    return tuple(shown)
