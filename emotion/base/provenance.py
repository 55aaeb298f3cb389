"""What a run records of its origin: time, code, packages and process."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("emotion", "tensorflow", "tensorflow-cpu", "keras", "numpy", "opencv-python", "opencv-python-headless")


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def commit() -> str | None:
    """The commit of the code, with a `+` where it was changed since; None outside a checkout."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    line = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(line, cwd=here, capture_output=True, text=True).stdout.strip() or None
    except OSError:
        return None


def versions() -> dict[str, str]:
    """Python's version, and those of the packages that decide what a run scores, where they are installed."""
    numbers = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            numbers[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return numbers


def process() -> dict[str, Any]:
    """``pid`` and ``host`` of this process."""
    return {"pid": os.getpid(), "host": socket.gethostname()}
