"""The audit as ``audit.json``, as ``audit.md`` and in a terminal; none of these holds an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emotion.audit.examine import Report
from emotion.audit.finding import Finding, Group
from emotion.audit.pictures import Pictures
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
    text = markdown.render(
        Path(__file__).with_name("audit.md.jinja"),
        report=report,
        findings=[(f.title, number(f), f"{f.of:,}" if f.of else "", "yes" if f.met else "no") for f in report.findings],
        counts=[
            (split, *(f"{n:,}" for n in (*counts.values(), sum(counts.values()))))
            for split, counts in report.counts.items()
        ],
        lines={finding.name: list(_lines(report, finding)) for finding in report.findings},
        listed=_LISTED,
    )
    files.write_bytes(folder / "audit.md", text.encode("utf-8", "replace"))


def content(report: Report) -> dict[str, Any]:
    """What ``audit.json`` holds: every finding with all of its images, by name, split and label."""
    fingerprint = report.pictures.splits.fingerprint
    result: dict[str, Any] = files.as_json(
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
    return result


def _finding(report: Report, finding: Finding) -> dict[str, Any]:
    keys = ("title", "count", "of", "met", "meaning", "advice", "details")
    groups = [_group(report.pictures, group) for group in finding.groups]
    return {key: getattr(finding, key) for key in keys} | {"groups": groups}


def _group(pictures: Pictures, group: Group) -> dict[str, Any]:
    images = [
        {"name": pictures.name_of(i), "split": pictures.split_of(i), "label": pictures.label_of(i)}
        for i in group.pictures
    ]
    return {"pictures": images} | ({"caption": group.caption} if group.caption else {})


def _lines(report: Report, finding: Finding) -> Iterator[str]:
    for file in finding.details.get("files", ()):
        yield f"{file['name']}: {file['reason']}"
    pictures = report.pictures
    for group in finding.groups:
        names = ", ".join(
            f"{pictures.name_of(i)} ({pictures.split_of(i)}, {pictures.label_of(i)})" for i in group.pictures
        )
        yield f"{names}: {group.caption}" if group.caption else names


def number(finding: Finding) -> str:
    """A finding's count as text."""
    if finding.name == "imbalance":
        return f"{finding.count:.1f} : 1"
    if finding.name == "altered":
        return "yes" if finding.count else "no"
    return f"{int(finding.count):,}"


_PIPED_WIDTH = 100


def show(report: Report) -> None:
    """Print what was found, and what follows for live video and for the labels."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    splits = ", ".join(f"{sum(counts.values()):,} {split}" for split, counts in report.counts.items())
    console.print(Text(f"\n{report.dataset}: {len(report.pictures):,} images ({splits})", style="bold"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("finding", min_width=22)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("%", justify="right", no_wrap=True)
    table.add_column("what it means")
    for finding in report.findings:
        share = f"{100 * finding.count / finding.of:.1f}" if finding.of and finding.count else ""
        style = "bold red" if finding.name in report.failed else "yellow" if finding.met else "dim"
        meaning = finding.meaning if finding.count else ""
        table.add_row(Text(f"{finding.title}\n{finding.name}", style=style), number(finding), share, Text(meaning))
    console.print(table)
    lines = [report.framing.sentence(), report.contract]
    lines += [votes.sentence() for votes in (report.not_faces, report.contradicted) if votes is not None]
    for line in lines:
        console.print(Text(line))
