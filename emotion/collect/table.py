"""What was collected, as a table: per emotion, what is kept, in quarantine and rejected, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emotion.data.manifest import KEPT, QUARANTINED, Record
from emotion.faces.labels import EMOTIONS

_PIPED_WIDTH = 100


@dataclass(frozen=True)
class Row:
    """An emotion's images.

    Attributes:
        kept: In the dataset.
        quarantined: To be decided by the user.
        rejected: By reason.
        unreviewed: Those of the kept ones whose label comes from the search query alone.
    """

    emotion: str
    kept: int
    quarantined: int
    rejected: Counter[str] = field(default_factory=Counter)
    unreviewed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a dataset's folder holds after collecting."""

    rows: tuple[Row, ...]

    def __getitem__(self, emotion: str) -> Row:
        return next(row for row in self.rows if row.emotion == emotion)


def count(records: Iterable[Record]) -> Outcome:
    """Count a manifest's records."""
    by_emotion: dict[str, list[Record]] = {e: [] for e in EMOTIONS}
    for record in records:
        by_emotion[record["emotion"]].append(record)
    return Outcome(tuple(_row(*item) for item in by_emotion.items()))


def _row(emotion: str, records: Sequence[Record]) -> Row:
    by = Counter(record["decision"] for record in records)
    kept = [r for r in records if r["decision"] == KEPT]
    rejected = Counter(kind(r["reason"]) for r in records if r["decision"] not in (KEPT, QUARANTINED))
    unreviewed = sum(r["label_source"] == "query" and "reviewed" not in r for r in kept)
    return Row(emotion, by[KEPT], by[QUARANTINED], rejected, unreviewed)


def kind(reason: str | None) -> str:
    """A reason without an image's own details, for counting: ``blurred (12)`` is ``blurred``."""
    return re.split(r" of | with |: | \(", reason or "rejected by a person", maxsplit=1)[0]


def show(outcome: Outcome) -> None:
    """Print the table."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    rows = outcome.rows
    everything: Counter[str] = sum((row.rejected for row in rows), Counter())
    sums = (sum(r.kept for r in rows), sum(r.quarantined for r in rows), everything.total())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_footer=True)
    table.add_column("", footer="all")
    for name, total in zip(("kept", "quarantined", "rejected"), sums, strict=True):
        table.add_column(name, justify="right", footer=f"{total:,}")
    table.add_column("rejected because", footer=Text(_reasons(everything)), overflow="fold")
    for row in rows:
        numbers = (f"{n:,}" for n in (row.kept, row.quarantined, row.rejected.total()))
        table.add_row(row.emotion, *numbers, Text(_reasons(row.rejected)))
    console.print(table)


def _reasons(counts: Counter[str]) -> str:
    return ", ".join(f"{reason} {n:,}" for reason, n in counts.most_common())
