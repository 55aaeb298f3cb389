"""Whole processes: how long one takes, and which heavy packages it imports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

_HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib")


def seconds(arguments: list[str], folder: Path | str, expected: int = 0) -> float:
    """Run Python with these arguments in a folder; return how long it took.

    Raises:
        RuntimeError: It ended with another exit code than expected.
    """
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=_environment(), capture_output=True, text=True)
    took = time.perf_counter() - began
    if done.returncode != expected:
        raise RuntimeError(f"{arguments} ended with {done.returncode}, not {expected}:\n{done.stderr[-2000:]}")
    return took


def imported(arguments: list[str], folder: Path | str) -> list[str]:
    """Which of the heavy packages a process imports."""
    line = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(line, cwd=folder, env=_environment(), capture_output=True, text=True)
    names = set(re.findall(r"^import time:.*\| *([\w.]+)$", done.stderr, flags=re.MULTILINE))
    if "encodings" not in names:
        raise RuntimeError(f"python -X importtime listed no imports:\n{done.stderr[-2000:]}")
    return [heavy for heavy in _HEAVY if heavy in names]


def _environment() -> dict[str, str]:
    """The repository on the path: the processes run in an empty folder, where they cannot leave anything behind."""
    repository = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(p for p in (repository, os.environ.get("PYTHONPATH")) if p)
    return os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
