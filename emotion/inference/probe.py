"""Opening a model first in a child process with limits: a damaged file can end its runtime, or keep it busy for ever.

LiteRT and ONNX Runtime check most of a file, not all: of 150 damaged LiteRT files one never came back.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress

from emotion.base import processes

#: Most seconds that opening a model and one step may take, and most memory.
SECONDS, MEMORY = 20.0, 4 << 30


def fault(work: Callable[[], object]) -> str | None:
    """What happened to a child process in which ``work`` was tried; None where it returned or raised.

    Where this process cannot be forked safely (Windows, other threads, TensorFlow) nothing is tried.
    """
    unsafe = threading.active_count() > 1 or "tensorflow" in sys.modules or not hasattr(os, "fork")
    if unsafe or sys.platform == "darwin":
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, about threads of native libraries
        child = os.fork()
    if child == 0:
        _try(work)
    try:
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                child = 0
                code = os.waitstatus_to_exitcode(status)
                return None if code == 0 else f"opening it ended a process with signal {-code}, it may be damaged"
            time.sleep(0.002)
        return f"opening it took more than {SECONDS:.0f} seconds"
    finally:
        if child:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _try(work: Callable[[], object]) -> None:
    """In the child: run it within the limits, and end without a word."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        processes.limit(SECONDS, MEMORY)
        work()
    except BaseException:
        pass  # said again, and in words, by the process itself
    finally:
        os._exit(0)
