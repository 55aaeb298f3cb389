"""Being asked to stop: as an exception (SIGTERM, as SIGINT is one), or as a flag to look at between two steps."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(BaseException):
    """The process was asked to stop (SIGTERM)."""


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM raise :class:`Interrupted`; outside the main thread, whoever started it handles signals."""

    def stop(signum: int, frame: Any) -> None:
        raise Interrupted

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def deferred() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block is done; a second one is let through at once.

    For imports of native code: an exception raised in the middle of one comes out as an ImportError, as if a package
    were missing. Outside the main thread, which alone may handle signals, nothing is held back.
    """
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            restore()
            signal.raise_signal(number)

    try:
        for number in before:
            signal.signal(number, hold)
        yield
    finally:
        restore()
        if came:  # also where the second was let through: what it raised may have come out as an ImportError
            signal.raise_signal(came[-1])


def end_at_once(code: int) -> NoReturn:
    """End this process, whose files are closed, without taking the interpreter down.

    For native threads that are still at work: Python would wait for them, or they would call a Python that is going
    away, where a crash gives the process another exit code.
    """
    logging.shutdown()
    with suppress(OSError):  # whoever read our output is gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


class Stop:
    """Whether to stop: SIGINT, SIGTERM or SIGHUP has come, or the loop has ended and its source need not wait any more.

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

    Outside the main thread, which alone may handle signals, the flag stays down.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.handle) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
