"""The audit as ``audit.json`` for programs and ``audit.md`` for people; neither holds a picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotion.audit.finding import Finding, Group
from emotion.audit.report import Report, plain
from emotion.base import files, provenance

#: Raised when a key of ``audit.json`` changes its meaning.
FORMAT = 1
_LISTED = 10


def write(folder: Path, report: Report) -> None:
    """Write ``audit.json`` and ``audit.md``.

    Raises:
        OSError: The folder cannot be written to.
    """
    files.write_json(folder / "audit.json", content(report))
    files.write_bytes(folder / "audit.md", ("\n".join(_markdown(report)) + "\n").encode("utf-8", "replace"))


# ------------------------------------------------------------------------------------------------------------ JSON


def content(report: Report) -> dict[str, Any]:
    """What ``audit.json`` holds: every finding with all of its pictures, by name, split and label."""
    fingerprint = report.pictures.splits.fingerprint
    whole: dict[str, Any] = {
        "format": FORMAT,
        "created": provenance.now(),
        "dataset": report.dataset,
        "root": report.root,
        "pixels": fingerprint.get("pixels"),
        "recognised": fingerprint.get("recognised"),
        "counts": report.counts,
        "failed": list(report.failed),
        "findings": {f.name: _finding(report, f) for f in report.findings},
        "framing": asdict(report.framing) | {"contract": report.contract},
        "distributions": {
            d.name: {"edges": d.edges, "shares": d.shares, "percentiles": d.percentiles} for d in report.distributions
        },
        "ferplus": None
        if report.not_faces is None
        else {
            "not_faces": asdict(report.not_faces),
            "labels": None if report.contradicted is None else asdict(report.contradicted),
        },
        "notes": list(report.pictures.splits.notes),
    }
    return plain(whole)


def _finding(report: Report, found: Finding) -> dict[str, Any]:
    return {
        "title": found.title,
        "count": found.count,
        "of": found.of,
        "met": found.met,
        "meaning": found.meaning,
        "advice": found.advice,
        "details": found.details,
        "groups": [_group(report, group) for group in found.groups],
    }


def _group(report: Report, group: Group) -> dict[str, Any]:
    pictures = report.pictures
    listed = [
        {"name": pictures.name_of(i), "split": pictures.split_of(i), "label": pictures.label_of(i)}
        for i in group.pictures
    ]
    return {"pictures": listed} | ({"caption": group.caption} if group.caption else {})


# -------------------------------------------------------------------------------------------------------- Markdown


def _markdown(report: Report) -> Iterator[str]:
    yield f"# Audit of {escaped(report.dataset)}"
    yield ""
    if report.root:
        yield f"`{report.root}`: {len(report.pictures):,} pictures."
        yield ""
    if report.failed:
        yield f"**Failed: {', '.join(report.failed)}.**"
        yield ""
    yield from _row(["finding", "count", "of", "met"])
    yield from _row(["---", "---:", "---:", "---"])
    for found in report.findings:
        yield from _row([found.title, number(found), f"{found.of:,}" if found.of else "", "yes" if found.met else "no"])
    yield ""
    yield "## Pictures"
    yield ""
    labels = report.pictures.splits.labels
    yield from _row(["", *labels, "all"])
    yield from _row(["---", *(["---:"] * (len(labels) + 1))])
    for split, counts in report.counts.items():
        yield from _row([split, *(f"{n:,}" for n in counts.values()), f"{sum(counts.values()):,}"])
    for found in report.findings:
        yield from _section(report, found)
    yield ""
    yield "## Framing"
    yield ""
    yield escaped(f"{report.framing.sentence()} {report.contract}")
    if report.not_faces is not None:
        yield ""
        yield "## FER+"
        yield ""
        yield escaped(report.not_faces.sentence())
        if report.contradicted is not None:
            yield ""
            yield escaped(report.contradicted.sentence())
    yield ""
    yield "## Notes"
    yield ""
    for note in report.pictures.splits.notes:
        yield f"- {escaped(note)}"


def _section(report: Report, found: Finding) -> Iterator[str]:
    if not found.count:
        return
    yield ""
    yield f"## {found.title}"
    yield ""
    yield escaped(f"{found.meaning} {found.advice}")
    lines = list(_lines(report, found))
    if lines:
        yield ""
        yield from (f"- {line}" for line in lines[:_LISTED])
    if len(lines) > _LISTED:
        yield f"- and {len(lines) - _LISTED:,} more, all of them in audit.json"


def _lines(report: Report, found: Finding) -> Iterator[str]:
    for file in found.details.get("files", ()):
        yield escaped(f"{file['name']}: {file['reason']}")
    pictures = report.pictures
    for group in found.groups:
        named = ", ".join(
            f"{pictures.name_of(i)} ({pictures.split_of(i)}, {pictures.label_of(i)})" for i in group.pictures
        )
        yield escaped(f"{named}: {group.caption}" if group.caption else named)


def number(found: Finding) -> str:
    """A finding's count, for people."""
    if found.name == "imbalance":
        return f"{found.count:.1f} : 1"
    if found.name == "altered":
        return "yes" if found.count else "no"
    return f"{int(found.count):,}"


def _row(texts: Sequence[str]) -> Iterator[str]:
    yield "| " + " | ".join(escaped(text) for text in texts) + " |"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: a file's name may hold any character."""
    return re.sub(r"([\\|*`\[\]]|<(?=\S)|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split()))
