"""Progress of long work: a bar in a terminal, a line now and then where output is not one."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

log = logging.getLogger(__name__)

Item = TypeVar("Item")

_SECONDS_BETWEEN_LINES = 15.0
#: What takes longer than this is named.
_SECONDS_IN_SILENCE = 1.5


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
def working(doing: str) -> Iterator[None]:
    """Say on stderr what is being done, in a line, where it takes longer than a moment.

    The line comes also while stderr is hidden from C++ libraries. It decorates functions too.

    Args:
        doing: What is done, such as ``loading TensorFlow``.
    """
    with ExitStack() as stack:
        stream = stack.enter_context(_kept_stderr())

        def say() -> None:
            with suppress(OSError, ValueError):  # nobody listens any more
                print(f"{doing} ...", file=stream, flush=True)

        timer = threading.Timer(_SECONDS_IN_SILENCE, say)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # else it might write to a stream that is closed


@contextmanager
def _kept_stderr() -> Iterator[TextIO]:
    """Stderr as it is now, whatever becomes of its descriptor."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # a program's own stream, or none
        yield sys.stderr
        return
    with os.fdopen(descriptor, "w") as stream:
        yield stream


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
            stream = stack.enter_context(_kept_stderr())
        display = stack.enter_context(bars(stream))
        if display is not None:
            task = display.add_task(doing, total=total, info="")
            yield lambda number: display.advance(task, number)
            return
        stack.enter_context(working(doing))
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
