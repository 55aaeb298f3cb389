"""The audit in a terminal: readable at 100 columns and in a pipe."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emotion.audit.documents import number
from emotion.audit.report import Report

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
    for found in report.findings:
        share = f"{100 * found.count / found.of:.1f}" if found.of and found.count else ""
        style = "bold red" if found.name in report.failed else "yellow" if found.met else "dim"
        meaning = found.meaning if found.count else ""
        table.add_row(Text(f"{found.title}\n{found.name}", style=style), number(found), share, Text(meaning))
    console.print(table)
    for line in sentences(report):
        console.print(Text(line))


def sentences(report: Report) -> list[str]:
    """What is said below the table."""
    lines = [report.framing.sentence(), report.contract]
    for comparison in (report.not_faces, report.contradicted):
        if comparison is not None:
            lines.append(comparison.sentence())
    return lines
