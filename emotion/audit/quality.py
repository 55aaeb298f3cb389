"""Pictures that are of no use, and a dataset that is lopsided or not what it says it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emotion.audit.finding import Finding, Group
from emotion.audit.measuring import Measured
from emotion.audit.pictures import Pictures
from emotion.base.words import counted
from emotion.data.examples import SPLITS

#: Standard deviation of the grey levels below which a picture is blank. In FER2013 14 pictures are below 5, all of them
#: without a face; the next, at 9, shows a dark one.
_CONTRAST = 5.0
#: Share of a picture's pixels within one grey level of the commonest one above which it is blank too, if no face is
#: found: in FER2013 51 pictures, messages and icons in place of a photo, of which FER+ calls all not a face.
_FLAT = 0.6

#: Ratio of the largest class to the smallest that is not worth a warning.
_EVEN = 1.5


@dataclass(frozen=True)
class Limits:
    """From where on a finding counts.

    Attributes:
        min_side: Shorter side in pixels below which a picture is tiny.
        no_face: Share of pictures without a face that is borne.
        imbalance: Ratio of the largest to the smallest class that is borne.
        label_noise: Share of wrong labels that is borne.
    """

    min_side: int
    no_face: float
    imbalance: float
    label_noise: float


Flags = np.ndarray[Any, np.dtype[np.bool_]]


def blank(measured: Measured) -> Flags:
    """bool ``[N]``: next to no contrast, or almost all of one grey and no face."""
    records = measured.records
    flat = (records["flat"] > _FLAT) & ~records["face"]
    return measured.readable & ((records["contrast"] < _CONTRAST) | flat)


def no_face(measured: Measured) -> Flags:
    """bool ``[N]``: the cascades find no face."""
    return measured.readable & ~measured.records["face"]


def judge(pictures: Pictures, measured: Measured, limits: Limits) -> list[Finding]:
    """The findings about single pictures and about the whole."""
    return [
        _unreadable(pictures, measured),
        _blank(pictures, measured),
        _tiny(pictures, measured, limits.min_side),
        _no_face(pictures, measured, limits.no_face),
        _imbalance(pictures, limits.imbalance),
        _altered(pictures),
    ]


def _unreadable(pictures: Pictures, measured: Measured) -> Finding:
    files = [{"name": path, "reason": reason} for path, reason in pictures.splits.unreadable]
    files += [{"name": pictures.name_of(i), "reason": reason} for i, reason in sorted(measured.faults.items())]
    return Finding(
        name="unreadable",
        title="Unreadable files",
        count=len(files),
        of=len(pictures) + len(pictures.splits.unreadable),
        met=bool(files),
        meaning=f"{counted(len(files), 'file')} cannot be decoded whole and {'is' if len(files) == 1 else 'are'} left "
        f"out of training.",
        advice="Copy or download them again, or remove them.",
        details={"files": files},
    )


def _blank(pictures: Pictures, measured: Measured) -> Finding:
    flags = blank(measured)
    count = int(flags.sum())
    return Finding(
        name="blank",
        title="Blank pictures",
        count=count,
        of=len(pictures),
        met=count > 0,
        meaning=f"{counted(count, 'picture')} with a contrast below {_CONTRAST:g} grey levels, or with "
        f"{100 * _FLAT:.0f} % in one grey and no face: black pictures, messages, icons. Their labels mean nothing.",
        advice="Remove them.",
        groups=_alone(pictures, flags, measured.records["contrast"]),
    )


def _tiny(pictures: Pictures, measured: Measured, least: int) -> Finding:
    shorter = np.minimum(measured.records["width"], measured.records["height"])
    flags = measured.readable & (shorter < least)
    count = int(flags.sum())
    return Finding(
        name="tiny",
        title="Tiny pictures",
        count=count,
        of=len(pictures),
        met=count > 0,
        meaning=f"{counted(count, 'picture')} with a side below {least} pixels (min_side): a model sees them blurred.",
        advice="Replace them by larger ones, or remove them.",
        details={"min_side": least},
        groups=_alone(pictures, flags, shorter),
    )


def _no_face(pictures: Pictures, measured: Measured, allowed: float) -> Finding:
    flags = no_face(measured)
    count = int(flags.sum())
    share = count / max(1, len(pictures))
    return Finding(
        name="no_face",
        title="No face found",
        count=count,
        of=len(pictures),
        met=share > allowed,
        meaning=f"The Haar cascades find no face in {counted(count, 'picture')}: there is none, or it is turned, "
        f"covered or drawn, and live video would not find it either.",
        advice=f"Look through them; remove what is no face. Up to {100 * allowed:g} % are borne (limits.no_face).",
        details={"share": share, "allowed": allowed},
        groups=_alone(pictures, flags, blank(measured) - measured.records["flat"]),  # what is blank comes last
    )


def _imbalance(pictures: Pictures, allowed: float) -> Finding:
    labels = pictures.splits.labels
    counts = np.bincount(pictures.labels, minlength=len(labels))
    present = np.flatnonzero(counts)
    most, least = int(counts.argmax()), int(present[counts[present].argmin()]) if len(present) else 0
    ratio = float(counts[most] / max(1, counts[least]))
    absent = [name for name, n in zip(labels, counts, strict=True) if not n]
    without = f" There are no pictures of {', '.join(absent)}." if absent else ""
    even = "All classes are of about the same size." if ratio < _EVEN and not absent else ""
    return Finding(
        name="imbalance",
        title="Imbalance",
        count=round(ratio, 2),
        of=0,
        met=ratio > allowed or bool(absent),
        meaning=even
        or f"{labels[most]} has {ratio:.1f} times as many pictures as {labels[least]} ({counts[most]:,} and "
        f"{counts[least]:,}): accuracy hides what happens to the small class.{without}",
        advice=f"Train with trainer.class_weight=sqrt and read macro-F1, or gather more of {labels[least]}. Up to "
        f"{allowed:g} to 1 is borne (limits.imbalance).",
        details={"ratio": ratio, "allowed": allowed, "largest": labels[most], "smallest": labels[least]},
    )


def _altered(pictures: Pictures) -> Finding:
    recognised = pictures.splits.fingerprint.get("recognised")
    altered = "altered pixels" in (recognised or "")
    return Finding(
        name="altered",
        title="Altered pixels",
        count=int(altered),
        of=0,
        met=altered,
        meaning=f"{recognised[0].upper()}{recognised[1:]}." if recognised else "This is no published set that we know.",
        advice="Get the published file: scores on altered pixels compare with nobody's."
        if altered
        else "Nothing to do.",
        details={"recognised": recognised},
    )


def class_counts(pictures: Pictures) -> dict[str, dict[str, int]]:
    """Pictures of each label, by split."""
    labels = pictures.splits.labels
    counted_by = {}
    for number, split in enumerate(SPLITS):
        counts = np.bincount(pictures.labels[pictures.split == number], minlength=len(labels))
        counted_by[split] = dict(zip(labels, map(int, counts), strict=True))
    return counted_by


def _alone(pictures: Pictures, flags: Flags, order: Any) -> tuple[Group, ...]:
    """The flagged pictures, the lowest in ``order`` first, those with the same pixels together."""
    rows = np.flatnonzero(flags)
    rows = rows[np.argsort(order[rows], kind="stable")]
    together: dict[bytes, list[int]] = {}
    for i in rows.tolist():
        together.setdefault(bytes(pictures.hashes[i]), []).append(i)
    return tuple(Group(tuple(same)) for same in together.values())
