"""How many images of each emotion: while collecting, as bars or lines; and afterwards, with the reasons, as a table."""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from emotion.base.progress import Pace, bars
from emotion.data.manifest import KEPT, QUARANTINED, Record
from emotion.faces.labels import EMOTIONS

log = logging.getLogger(__name__)

_PIPED_WIDTH = 100


class Counts:
    """How many candidates of each emotion were found, kept and rejected; several threads may add to it.

    ``total`` is how many are to be kept, by emotion, or None where that is not known; ``kept`` how many of an emotion
    are kept now. Without a display lines are logged.
    """

    def __init__(
        self, total: Mapping[str, int | None], kept: Callable[[str], int], display: Progress | None = None
    ) -> None:
        self._total, self._kept, self._display = total, kept, display
        self._found: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._lock, self._pace = threading.Lock(), Pace()
        if display is not None:
            self._tasks = {e: display.add_task(e, total=n, completed=kept(e), info="") for e, n in total.items()}

    def add(self, records: Sequence[Record]) -> None:
        """Count what was decided about a candidate."""
        with self._lock:
            for record in records:
                emotion = record["emotion"]
                self._found[emotion] += 1
                self._rejected[emotion] += record["decision"] != KEPT
                if self._display is not None:
                    info = f"{self._found[emotion]:,} found, {self._rejected[emotion]:,} not kept"
                    self._display.update(self._tasks[emotion], completed=self._kept(emotion), info=info)
            if self._display is None and self._pace.due():
                log.info("kept %s", ", ".join(self._line(emotion) for emotion in self._total))

    def _line(self, emotion: str) -> str:
        total = self._total[emotion]
        return f"{emotion} {self._kept(emotion):,}" + (f" of {total:,}" if total else "")


@contextmanager
def progress(total: Mapping[str, int | None], kept: Callable[[str], int]) -> Iterator[Counts]:
    """Show the counts on stderr while the block lasts; see :class:`Counts`."""
    with bars() as display:
        yield Counts(total, kept, display)


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
