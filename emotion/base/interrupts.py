"""Signals that ask the process to stop: as an exception, or as a flag to look at between two steps."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import FrameType
from typing import NoReturn

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(BaseException):
    """The process was asked to stop (SIGTERM)."""


@contextmanager
def handled(handler: Callable[[int, FrameType | None], object], numbers: Iterable[int]) -> Iterator[None]:
    """Let a function handle signals; outside the main thread, which alone may handle them, they stay as they are."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def sigterm_raises() -> AbstractContextManager[None]:
    """Let SIGTERM raise :class:`Interrupted`; outside the main thread nothing changes."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    return handled(stop, (signal.SIGTERM,))


@contextmanager
def deferred() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block is done; a second one is let through at once.

    For imports of native code: an exception raised in the middle of one comes out as an ImportError, as if a package
    were missing. Outside the main thread nothing is held back.
    """
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            for held, handler in before.items():
                signal.signal(held, handler)
            signal.raise_signal(number)

    try:
        with handled(hold, before):
            yield
    finally:
        if came:  # also where the second was let through: what it raised may have come out as an ImportError
            signal.raise_signal(came[-1])


def end_at_once(code: int) -> NoReturn:
    """End this process, whose files are closed, without taking the interpreter down.

    For native threads that are still at work: Python would wait for them, or they would call a Python that is going
    away, where a crash gives the process another exit code.
    """
    logging.shutdown()
    with suppress(OSError, ValueError):  # the reader of the output is gone, or the stream is closed
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


class Stop:
    """Whether to stop: SIGINT, SIGTERM or SIGHUP has come, or the loop has ended and its source need not wait longer.

    Attributes:
        signal: The number of the signal that has come. A second one raises KeyboardInterrupt at once.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._ended = False

    def __call__(self) -> bool:
        return self._ended or self.signal is not None

    def end(self) -> None:
        self._ended = True

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def interruption() -> Iterator[Stop]:
    """Turn SIGINT, SIGTERM and SIGHUP into a flag, so that the loop ends between two frames and files are whole.

    Outside the main thread the flag stays down.
    """
    stop = Stop()
    with handled(stop.handle, _SIGNALS):
        yield stop
