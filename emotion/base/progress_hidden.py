"""Telling a person how long work goes: a bar in a terminal, now and then a line where output is not one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")

_SECONDS_BETWEEN_LINES = 15.0


def shown(what: str, items: Iterable[Item], total: int) -> Iterator[Item]:
    """Pass items on, and show on stderr how many of them are through.

    It still shows while stderr is hidden from C++ libraries (:func:`emotion.base.logs.quiet_stderr`). Begin it before.

    Args:
        what: What is done with them, such as ``calibrating``.
        items: What to go through.
        total: How many there are.
    """
    with os.fdopen(os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2), "w") as stream:
        if stream.isatty():
            columns = TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            with Progress(*columns, console=Console(file=stream), transient=True) as bar:
                yield from bar.track(items, total)
            return
        said = time.monotonic()
        for number, item in enumerate(items):
            if time.monotonic() - said > _SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                print(f"{what}: {number:,} of {total:,}", file=stream, flush=True)
            yield item
