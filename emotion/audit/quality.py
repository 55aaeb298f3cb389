"""Images that are of no use, and a dataset that is imbalanced or not what it claims to be."""

from __future__ import annotations

from typing import Any

import numpy as np

from emotion.audit.finding import Finding, Group
from emotion.audit.pictures import Pictures
from emotion.base.words import counted
from emotion.config.commands import AuditLimits
from emotion.data.measuring import Measured

#: Standard deviation of the grey levels below which an image is blank; see ``docs/decisions/audit.md``.
_CONTRAST = 5.0
#: Share of the pixels within one grey level of the commonest above which an image without a face is blank too.
_FLAT = 0.6
#: Ratio of the largest class to the smallest that is not worth a warning.
_EVEN = 1.5


Flags = np.ndarray[Any, np.dtype[np.bool_]]


def blank(measured: Measured) -> Flags:
    """bool ``[N]``: next to no contrast, or almost all of one grey and no face."""
    records = measured.records
    flat = (records["flat"] > _FLAT) & ~records["face"]
    return np.asarray(measured.readable & ((records["contrast"] < _CONTRAST) | flat))


def no_face(measured: Measured) -> Flags:
    """bool ``[N]``: the cascades find no face."""
    return np.asarray(measured.readable & ~measured.records["face"])


def judge(pictures: Pictures, measured: Measured, min_side: int, limits: AuditLimits) -> list[Finding]:
    """The findings about single images and about the whole dataset; an image with a side below ``min_side`` is tiny."""
    records = measured.records
    shorter = np.minimum(records["width"], records["height"])
    return [
        _unreadable(pictures, measured),
        _flagged(
            "blank",
            "Blank images",
            pictures,
            blank(measured),
            records["contrast"],
            f"with a contrast below {_CONTRAST:g} grey levels, or with {100 * _FLAT:.0f} % in one grey and no face: "
            f"black images, messages, icons. Their labels mean nothing.",
            "Remove them.",
        ),
        _flagged(
            "tiny",
            "Tiny images",
            pictures,
            measured.readable & (shorter < min_side),
            shorter,
            f"with a side below {min_side} pixels (min_side): a model sees them blurred.",
            "Replace them by larger ones, or remove them.",
            details={"min_side": min_side},
        ),
        _flagged(
            "no_face",
            "No face found",
            pictures,
            no_face(measured),
            blank(measured) - records["flat"],  # blank images come last
            "in which the Haar cascades find no face: there is none, or it is turned, covered or drawn, and live video "
            "would not find it either.",
            f"Look through them; remove what is no face. Up to {100 * limits.no_face:g} % is tolerated "
            f"(limits.no_face).",
            limits.no_face,
        ),
        _imbalance(pictures, limits.imbalance),
        _altered(pictures),
    ]


def _flagged(
    name: str,
    title: str,
    pictures: Pictures,
    flags: Flags,
    order: Any,
    meaning: str,
    advice: str,
    allowed: float | None = None,
    details: dict[str, Any] | None = None,
) -> Finding:
    """A finding about images of which a share may be tolerated, the lowest in ``order`` first."""
    count = int(flags.sum())
    share = count / max(1, len(pictures))
    return Finding(
        name=name,
        title=title,
        count=count,
        of=len(pictures),
        met=share > (allowed or 0.0),
        meaning=f"{counted(count, 'image')} {meaning}",
        advice=advice,
        details=details or ({} if allowed is None else {"share": share, "allowed": allowed}),
        groups=_groups(pictures, flags, order),
    )


def _groups(pictures: Pictures, flags: Flags, order: Any) -> tuple[Group, ...]:
    """The flagged images, those with the same pixels together."""
    rows = np.flatnonzero(flags)
    together: dict[bytes, list[int]] = {}
    for i in rows[np.argsort(order[rows], kind="stable")].tolist():
        together.setdefault(bytes(pictures.hashes[i]), []).append(i)
    return tuple(Group(tuple(same)) for same in together.values())


def _unreadable(pictures: Pictures, measured: Measured) -> Finding:
    files = [{"name": path, "reason": reason} for path, reason in pictures.splits.unreadable]
    files += [{"name": pictures.name_of(i), "reason": reason} for i, reason in sorted(measured.faults.items())]
    return Finding(
        name="unreadable",
        title="Unreadable files",
        count=len(files),
        of=len(pictures) + len(pictures.splits.unreadable),
        met=bool(files),
        meaning=f"{counted(len(files), 'file')} cannot be decoded completely and {'is' if len(files) == 1 else 'are'} "
        f"excluded from training.",
        advice="Copy or download them again, or remove them.",
        details={"files": files},
    )


def _imbalance(pictures: Pictures, allowed: float) -> Finding:
    labels = pictures.splits.labels
    counts = np.bincount(pictures.labels, minlength=len(labels))
    present = np.flatnonzero(counts)
    most, least = int(counts.argmax()), int(present[counts[present].argmin()]) if len(present) else 0
    ratio = float(counts[most] / max(1, counts[least]))
    absent = [name for name, n in zip(labels, counts, strict=True) if not n]
    without = f" There are no images of {', '.join(absent)}." if absent else ""
    even = "All classes are of about the same size." if ratio < _EVEN and not absent else ""
    return Finding(
        name="imbalance",
        title="Imbalance",
        count=round(ratio, 2),
        of=0,
        met=ratio > allowed or bool(absent),
        meaning=even
        or f"{labels[most]} has {ratio:.1f} times as many images as {labels[least]} ({counts[most]:,} and "
        f"{counts[least]:,}): accuracy hides what happens to the small class.{without}",
        advice=f"Train with trainer.class_weight=sqrt and read macro-F1, or collect more of {labels[least]}. Up to "
        f"{allowed:g} to 1 is tolerated (limits.imbalance).",
        details={"ratio": ratio, "allowed": allowed, "largest": labels[most], "smallest": labels[least]},
    )


def _altered(pictures: Pictures) -> Finding:
    recognised = pictures.splits.fingerprint.get("recognised")
    altered = "altered pixels" in (recognised or "")
    advice = "Get the published file: scores on altered pixels cannot be compared with published ones."
    return Finding(
        name="altered",
        title="Altered pixels",
        count=int(altered),
        of=0,
        met=altered,
        meaning=f"{recognised[0].upper()}{recognised[1:]}." if recognised else "This is no known published dataset.",
        advice=advice if altered else "Nothing to do.",
        details={"recognised": recognised},
    )
