"""TensorBoard as its users start it, and what it says of the runs that it found."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Served:
    """A TensorBoard that is running.

    Attributes:
        address: Such as ``http://localhost:6006/``.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, path: str, body: object = None) -> Any:
        """The JSON that it answers with; with a body it is a POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def runs(self, number: int) -> list[str]:
        """The names of its runs, once there are so many."""
        for _ in range(120):
            if len(found := self.ask("data/runs")) >= number:
                break
            time.sleep(0.5)
        return list(found)


@contextmanager
def served(command: str) -> Iterator[Served]:
    """Start TensorBoard by a command that was printed."""
    program, *options = shlex.split(command)
    assert program.rpartition("/")[2] == "tensorboard"
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *options, "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        yield Served(
            "http://" + next(line for line in process.stderr if "http://" in line).split("http://")[1].split()[0]
        )
    finally:
        process.terminate()
        process.communicate()
