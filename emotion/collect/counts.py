"""How many images of each emotion were found and kept: a bar per emotion in a terminal, lines elsewhere."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from emotion.base.progress import Pace, bars
from emotion.data.manifest import KEPT, Record

if TYPE_CHECKING:
    from rich.progress import Progress

log = logging.getLogger(__name__)


class Counts:
    """How many candidates of each emotion were found, kept and rejected; several threads may add to it.

    Args:
        total: How many are to be kept, by emotion; None where that is not known.
        kept: How many of an emotion are kept now.
        display: Where to draw; None logs lines.
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
def shown(total: Mapping[str, int | None], kept: Callable[[str], int]) -> Iterator[Counts]:
    """Show the counts on stderr while the block lasts; arguments as for :class:`Counts`."""
    with bars() as display:
        yield Counts(total, kept, display)
