"""A training that waits after one of its epochs, so that a signal finds it exactly there."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HOOK = Path(__file__).parent / "holding"
#: Seconds after which a training that does not come to its epoch is a failure of the test.
_PATIENCE = 300.0


@dataclass(frozen=True)
class Hold:
    """Where trainings wait.

    Attributes:
        folder: A folder for marks, which must exist.
        epoch: The epoch after which they wait.
        run: The name of the only run's folder that waits; None is every run.
        kill: Whether a training kills its own process there instead of waiting.
    """

    folder: Path
    epoch: int
    run: str | None = None
    kill: bool = False

    def environment(self, others: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Variables that make a command's trainings wait, added to others."""
        path = os.pathsep.join(filter(None, [str(_HOOK), others.get("PYTHONPATH")]))
        asked = {"epoch": self.epoch, "run": self.run, "folder": str(self.folder), "kill": self.kill}
        return {**others, "PYTHONPATH": path, "EMOTION_TEST_HOLD": json.dumps(asked)}

    def until_held(self, process: subprocess.Popen[Any], *names: str) -> None:
        """Wait until the runs of these names are there; AssertionError if the process ends before."""
        end = time.monotonic() + _PATIENCE
        while not all((self.folder / f"{name}.held").exists() for name in names):
            assert process.poll() is None, f"ended with {process.returncode} before epoch {self.epoch}"
            assert time.monotonic() < end, f"{names} did not come to epoch {self.epoch}"
            time.sleep(0.01)

    def release(self, name: str) -> None:
        (self.folder / f"{name}.go").touch()
