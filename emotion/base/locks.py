"""Locks on a run's folder. They end with the process that holds them, however it ends.

No library for it: filelock leaves a file beside what it locks, and does not lock folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emotion.base import guarded
from emotion.base.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: there a killed run keeps the status running
    fcntl = None  # type: ignore[assignment]


#: A run's lock, in its folder.
NAME = ".lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time into the block, per folder; not reentrant.

    Where folders cannot be locked (Windows, some network file systems) there is no waiting.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run while it is worked on.

    Raises:
        UserError: Another process holds it.
        OSError: Its lock cannot be opened, or is not a regular file.
    """
    handle = guarded.open_regular(folder / NAME, os.O_RDWR | os.O_CREAT)
    try:
        try:
            _lock(handle)
        except BlockingIOError:
            raise UserError(f"{folder}: another process is training this run; stop it first") from None
        yield
    finally:
        os.close(handle)


def is_held(folder: Path) -> bool:
    """Whether a process holds this run."""
    try:
        handle = guarded.open_regular(folder / NAME, os.O_RDWR)
    except OSError:  # no lock was ever made, or it is not ours to try
        return False
    try:
        _lock(handle)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _lock(handle: int) -> None:
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
