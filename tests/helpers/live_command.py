"""``python -m emotion.live`` as a person runs it: a process of its own, in an empty folder that stays empty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.commands import interpreter

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 90.0  # seconds; other tests may have the cores


class Live:
    """A running command; what it prints goes to files, so that it never waits for a reader."""

    def __init__(self, line: list[str], folder: Path, prints: Path, environment: dict[str, str]) -> None:
        self._prints = prints
        with self._file("out").open("wb") as out, self._file("err").open("wb") as err:
            self.process = subprocess.Popen(
                line, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    def _file(self, ending: str) -> Path:
        return self._prints.with_suffix(f".{ending}")

    @property
    def out(self) -> str:
        return self._file("out").read_text(errors="surrogateescape")

    @property
    def err(self) -> str:
        return self._file("err").read_text(errors="surrogateescape")

    def check(self) -> None:
        """Raise if it has ended."""
        assert self.process.poll() is None, f"ended with {self.process.returncode}\n{self.out}\n{self.err}"

    def until(self, said: str = "", log: Path | None = None, lines: int = 1) -> None:
        """Wait until it has said something on stderr, and has so many lines in its log."""
        end = time.monotonic() + PATIENCE
        while said not in self.err or (log is not None and count(log) < lines):
            self.check()
            assert time.monotonic() < end, f"waited in vain for {said!r}, {lines} lines\n{self.out}\n{self.err}"
            time.sleep(0.02)

    def finish(self, code: int = 0) -> tuple[str, str]:
        """Wait for its end, and return what it printed: stdout and stderr."""
        self.process.wait(PATIENCE)
        assert self.process.returncode == code, f"{self.process.returncode}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.err, self.err
        return self.out, self.err


class Commands:
    """Starts commands; see :func:`commands`."""

    def __init__(self, folder: Path, outputs: Path, module: str, forked: bool) -> None:
        self._folder, self.outputs, self._module, self._forked = folder, outputs, module, forked
        self.cwd = folder / "empty"
        self.cwd.mkdir()
        self.started: list[Live] = []

    def __call__(self, *overrides: str, code: str | None = None, **more: str) -> Live:
        """Start one.

        Args:
            overrides: ``key=value``.
            code: Python instead of the command.
            more: Environment variables; there is no display unless they name one.
        """
        hidden = ("DISPLAY", "WAYLAND_DISPLAY", "HYDRA_FULL_ERROR")
        environment = {k: v for k, v in os.environ.items() if k not in hidden}
        environment |= {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"} | more
        program = ["-c", code] if code else ["-m", self._module]
        python = interpreter() if self._forked and not code and not more else sys.executable
        line = [python, *program, f"outputs={self.outputs}", *overrides]
        self.started.append(Live(line, self.cwd, self._folder / f"printed{len(self.started)}", environment))
        return self.started[-1]


@contextmanager
def commands(folder: Path, outputs: Path, module: str = "emotion.live", forked: bool = False) -> Iterator[Commands]:
    """Start commands in an empty folder inside this one, which must be empty at the end too; none outlives this.

    ``forked`` where the process and its variables are not what is tested; see :mod:`tests.helpers.commands`.
    """
    starting = Commands(folder, outputs, module, forked)
    try:
        yield starting
    finally:
        for live in starting.started:
            live.process.kill()
            live.process.wait()
    assert list(starting.cwd.iterdir()) == []


def count(log: Path) -> int:
    """How many whole lines a log has so far."""
    return log.read_bytes().count(b"\n") if log.exists() else 0


def records(log: Path) -> list[dict[str, Any]]:
    """A JSON Lines log, which must end with a whole line."""
    text = log.read_text()
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]
