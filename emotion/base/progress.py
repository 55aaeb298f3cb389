"""Progress of long work: a bar in a terminal, a line now and then where output is not one."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

log = logging.getLogger(__name__)

Item = TypeVar("Item")

_SECONDS_BETWEEN_LINES = 15.0


class Pace:
    """Says when the next line is due: not more than one per so many seconds."""

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last <= (_SECONDS_BETWEEN_LINES if self._seconds is None else self._seconds):
            return False
        self._last = now
        return True


@contextmanager
def bars(stream: TextIO | None = None) -> Iterator[Progress | None]:
    """A display whose tasks are bars with a text field ``info``; None where the stream is not a terminal.

    Args:
        stream: Where to draw; None is stderr.
    """
    stream = stream or sys.stderr
    if not stream.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[info]}"),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as display:
        yield display


@contextmanager
def progress(total: int, doing: str, *, hidden: bool = False) -> Iterator[Callable[[int], None]]:
    """Show how much of some work is done; yields a function to call with the number of further steps done.

    Args:
        total: Steps in all.
        doing: What is done, such as ``Decoding images``.
        hidden: Keep showing while stderr is hidden from C++ libraries (:func:`emotion.base.logs.quiet_stderr`), which
            has to begin after this.
    """
    with ExitStack() as stack:
        stream = None
        if hidden:
            stderr = sys.__stderr__.fileno() if sys.__stderr__ else 2
            stream = stack.enter_context(os.fdopen(os.dup(stderr), "w"))
        display = stack.enter_context(bars(stream))
        if display is not None:
            task = display.add_task(doing, total=total, info="")
            yield lambda number: display.advance(task, number)
            return
        done, pace = 0, Pace()

        def advance(number: int) -> None:
            nonlocal done
            done += number
            if not pace.due():
                return
            if stream is None:
                log.info("%s: %s of %s", doing, f"{done:,}", f"{total:,}")
            else:
                print(f"{doing}: {done:,} of {total:,}", file=stream, flush=True)

        yield advance


def tracked(items: Iterable[Item], total: int, doing: str, *, hidden: bool = False) -> Iterator[Item]:
    """Pass items on and show how many of them are done; see :func:`progress`."""
    with progress(total, doing, hidden=hidden) as advance:
        for item in items:
            yield item
            advance(1)


def duration(seconds: float) -> str:
    """A time in words, such as ``3 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
