"""A shell in a terminal of its own, in which keys are pressed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time
from pathlib import Path

#: A shell answers in a fraction of a second; the machine may be busy.
PATIENCE = 120


class Terminal:
    """A program in a terminal.

    Args:
        line: Its command line.
        cwd, environment: Where and with which variables it runs.
    """

    def __init__(self, line: list[str], cwd: Path, environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            line, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)
        self.shown = ""

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until something is shown since the last call; asserts that it comes."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = re.search(pattern, self.shown)
            if found:
                self.shown = self.shown[found.end() :]
                return found
            assert time.monotonic() < deadline, f"not shown: {pattern!r} in {self.shown!r}"
            if select.select([self._master], [], [], 1.0)[0]:
                try:
                    text = os.read(self._master, 65536).decode(errors="replace")
                except OSError:  # it has ended
                    text = ""
                assert text, f"it ended before {pattern!r}: {self.shown!r}"
                self.shown += re.sub(r"\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[\[(][0-9;?>=]*[a-zA-Z]|\x1b[=>]", "", text)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)
