"""Starting a module of this package in a process of its own, and limits on such a process."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def module(
    name: str, *arguments: str | Path, environment: Mapping[str, str] | None = None, own_modules: bool = False
) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment of ``python -m <name>``, for :class:`subprocess.Popen`.

    The child takes this very package, whatever lies in the working directory. Other modules of the working directory,
    such as a user's own models, it finds if this process does, or with ``own_modules``. ``environment`` adds variables.
    """
    package, here = str(Path(__file__).resolve().parents[2]), os.getcwd()  # noqa: PTH109
    paths = [package, here if own_modules or {"", here} & set(sys.path) else "", os.environ.get("PYTHONPATH", "")]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **(environment or {})}
    return [sys.executable, "-P", "-m", name, *map(str, arguments)], variables


def end_with_parent() -> None:
    """Let this process get SIGTERM when the one that waits for it is killed; on Linux."""
    if sys.platform == "linux":
        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGTERM)


def limit(seconds: float, memory: int) -> None:
    """Let this process take so many seconds of CPU time and so many bytes more than it has; no core dumps.

    Where the system has such limits: not on Windows, and memory on Linux alone.
    """
    with suppress(ImportError):
        import resource

        most: tuple[tuple[int, int], ...] = ((resource.RLIMIT_CPU, int(seconds)), (resource.RLIMIT_CORE, 0))
        with suppress(FileNotFoundError):
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = (*most, (resource.RLIMIT_AS, pages * os.sysconf("SC_PAGE_SIZE") + memory))
        for what, value in most:
            with suppress(ValueError, OSError):  # a lower limit is in force
                resource.setrlimit(what, (value, value))
