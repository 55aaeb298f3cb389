"""Running our commands: in this process, forked from one that has TensorFlow imported, or in a process of their own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotion.base import locks

_HERE = Path(__file__).parent

#: The folder that all workers of a session share, once a test runs; see :func:`tests.conftest.common`.
session_folder: Path | None = None


def emotion(
    module: str, *arguments: str, cwd: Path, check: bool = True, real: bool = False, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run one of our commands as a user would.

    Args:
        module: The command, such as ``train``.
        arguments: Its arguments.
        cwd: The folder that it runs in.
        check: Whether it must end with exit code 0.
        real: Whether a new interpreter must start, since the process itself is what is tested.
        options: More for ``subprocess.run``.
    """
    line = [sys.executable if real else interpreter(), "-m", f"emotion.{module}", *arguments]
    done = subprocess.run(line, cwd=cwd, capture_output=True, text=True, timeout=500, check=False, **options)
    if check:
        assert done.returncode == 0, f"{shlex.join(line)}\n{done.stdout}\n{done.stderr}"
    return done


def answered(main: Callable[[], object], *arguments: str) -> int:
    """Give a command's ``main`` arguments that it answers before its work begins; return its exit code.

    In this process: starting one costs a second, which is worth it only where the process is what is tested.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["emotion", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def interpreter() -> str:
    """A program that acts as ``python``, for which ``-m emotion.<module>`` is forked; see :mod:`.forkserver`.

    One server serves all workers of a session and ends with it. Where a fork is unsafe, Python itself.
    """
    if session_folder is None or sys.platform != "linux" or shutil.which("nvidia-smi"):
        return sys.executable
    folder = session_folder / "forkserver"
    folder.mkdir(exist_ok=True)
    program, address = folder / "python", folder / "socket"
    with locks.alone(folder):
        if not address.exists():
            guarded = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
            with (folder / "log").open("ab") as log:
                line = [sys.executable, str(_HERE / "forkserver.py"), str(address), str(guarded)]
                variables = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
                subprocess.run(line, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
            settings = {"PYTHON": sys.executable, "FORKSERVER": str(address), "EXECUTABLE": str(program)}
            exported = " ".join(f"EMOTION_TEST_{key}={shlex.quote(value)}" for key, value in settings.items())
            start = shlex.join([sys.executable, "-I", "-S", str(_HERE / "forked_python.py")])
            program.write_text(f'#!/bin/sh\nexport {exported}\nexec {start} "$@"\n')
            program.chmod(0o755)
            deadline = time.monotonic() + 120
            while not address.exists():
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
    return str(program)
