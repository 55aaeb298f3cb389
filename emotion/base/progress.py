"""How far a long pass over the pictures is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

_FEW = 256
_SECONDS_BETWEEN_LINES = 15.0


@contextmanager
def progress(total: int, doing: str) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how many more pictures are done."""
    if sys.stderr.isatty() and total >= _FEW:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(doing, total=total)
            yield lambda number: bar.advance(task, number)
        return
    done, last = 0, time.monotonic()

    def advance(number: int) -> None:
        nonlocal done, last
        done += number
        if time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            log.info("%s: %s of %s", doing, f"{done:,}", f"{total:,}")

    yield advance
