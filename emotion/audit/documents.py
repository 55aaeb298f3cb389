"""The audit as ``audit.json`` for programs and ``audit.md`` for people; neither holds a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotion.audit.finding import Finding, Group
from emotion.audit.report import Report
from emotion.base import files, provenance
from emotion.reports import markdown

#: Raised when a key of ``audit.json`` changes its meaning.
FORMAT = 1
_LISTED = 10


def write(folder: Path, report: Report) -> None:
    """Write ``audit.json`` and ``audit.md``.

    Raises:
        OSError: The folder cannot be written to.
    """
    files.write_json(folder / "audit.json", content(report))
    files.write_bytes(folder / "audit.md", ("\n\n".join(_markdown(report)) + "\n").encode("utf-8", "replace"))


# ------------------------------------------------------------------------------------------------------------ JSON


def content(report: Report) -> dict[str, Any]:
    """What ``audit.json`` holds: every finding with all of its pictures, by name, split and label."""
    fingerprint = report.pictures.splits.fingerprint
    return files.as_json(
        {
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
                d.name: {"edges": d.edges, "shares": d.shares, "percentiles": d.percentiles}
                for d in report.distributions
            },
            "ferplus": None
            if report.not_faces is None
            else {
                "not_faces": asdict(report.not_faces),
                "labels": None if report.contradicted is None else asdict(report.contradicted),
            },
            "notes": list(report.pictures.splits.notes),
        }
    )


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
    """The parts of ``audit.md``, between which there are empty lines."""
    yield f"# Audit of {_line(report.dataset)}"
    if report.root:
        yield f"`{report.root}`: {len(report.pictures):,} images."
    if report.failed:
        yield f"**Failed: {', '.join(report.failed)}.**"
    rows = [
        {"finding": _line(f.title), "count": number(f), "of": f"{f.of:,}" if f.of else "", "exceeded": _yes(f.met)}
        for f in report.findings
    ]
    yield markdown.table(rows, ["finding", "count", "of", "exceeded"])
    yield "## Images"
    table = [
        {"": split, **{name: f"{n:,}" for name, n in counts.items()}, "all": f"{sum(counts.values()):,}"}
        for split, counts in report.counts.items()
    ]
    yield markdown.table(table, ["", *report.pictures.splits.labels, "all"])
    for found in report.findings:
        yield from _section(report, found)
    yield "## Framing"
    yield _line(f"{report.framing.sentence()} {report.contract}")
    if report.not_faces is not None:
        yield "## FER+"
        yield _line(report.not_faces.sentence())
        if report.contradicted is not None:
            yield _line(report.contradicted.sentence())
    yield "## Notes"
    if report.pictures.splits.notes:
        yield "\n".join(f"- {_line(note)}" for note in report.pictures.splits.notes)


def _section(report: Report, found: Finding) -> Iterator[str]:
    if not found.count:
        return
    yield f"## {found.title}"
    yield _line(f"{found.meaning} {found.advice}")
    lines = [f"- {_line(line)}" for line in _lines(report, found)]
    more = [f"- and {len(lines) - _LISTED:,} more, all of them in audit.json"] if len(lines) > _LISTED else []
    if lines:
        yield "\n".join([*lines[:_LISTED], *more])


def _lines(report: Report, found: Finding) -> Iterator[str]:
    for file in found.details.get("files", ()):
        yield f"{file['name']}: {file['reason']}"
    pictures = report.pictures
    for group in found.groups:
        names = ", ".join(
            f"{pictures.name_of(i)} ({pictures.split_of(i)}, {pictures.label_of(i)})" for i in group.pictures
        )
        yield f"{names}: {group.caption}" if group.caption else names


def number(found: Finding) -> str:
    """A finding's count as text."""
    if found.name == "imbalance":
        return f"{found.count:.1f} : 1"
    if found.name == "altered":
        return _yes(bool(found.count))
    return f"{int(found.count):,}"


def _yes(condition: bool) -> str:
    return "yes" if condition else "no"


def _line(text: str) -> str:
    """Text on one line: a file's name may hold any character."""
    return markdown.plain(" ".join(text.split()))
