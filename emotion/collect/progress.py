"""Telling a person how far collecting is: a bar an emotion in a terminal, now and then a line where output is none."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from emotion.data.manifest import KEPT, Record

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 15.0


@dataclass
class Bars:
    """How many candidates of each emotion were found, kept and not; several threads may tell it.

    Attributes:
        total: How many are to be kept, by emotion; None where all that there are.
        kept: How many of an emotion are kept now.
    """

    total: Mapping[str, int | None]
    kept: Callable[[str], int]
    found: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    _bar: Progress | None = None
    _tasks: dict[str, TaskID] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _said: float = field(default_factory=time.monotonic)

    def add(self, records: Sequence[Record]) -> None:
        """Hear what was decided about a candidate."""
        with self._lock:
            for record in records:
                emotion = record["emotion"]
                self.found[emotion] += 1
                self.others[emotion] += record["decision"] != KEPT
                if self._bar is not None:
                    info = f"{self.found[emotion]:,} found, {self.others[emotion]:,} not kept"
                    self._bar.update(self._tasks[emotion], completed=self.kept(emotion), info=info)
            if self._bar is None and time.monotonic() - self._said > _SECONDS_BETWEEN_LINES:
                self._said = time.monotonic()
                log.info("kept %s", ", ".join(self._line(emotion) for emotion in self.total))

    def _line(self, emotion: str) -> str:
        total = self.total[emotion]
        return f"{emotion} {self.kept(emotion):,}" + (f" of {total:,}" if total else "")


@contextmanager
def shown(total: Mapping[str, int | None], kept: Callable[[str], int]) -> Iterator[Bars]:
    """Show progress on stderr while the block lasts.

    Args:
        total: How many are to be kept, by emotion; None where nobody knows.
        kept: How many of an emotion are kept now.
    """
    bars = Bars(total, kept)
    if not sys.stderr.isatty():
        yield bars
        return
    columns = TextColumn("{task.description:<9}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[info]}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bars._tasks = {e: bar.add_task(e, total=n, completed=kept(e), info="") for e, n in total.items()}
        bars._bar = bar
        yield bars
