"""Stops a training after one of its epochs: put this folder on PYTHONPATH; :mod:`tests.helpers.hold` says how.

``EMOTION_TEST_HOLD`` is JSON: the ``epoch``, the ``run`` that is meant (its folder's name; null: any), and the
``folder`` for marks, where ``<run>.held`` appears once that epoch is on disk. Then the training waits for
``<run>.go``; with ``kill`` it kills itself instead.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from emotion import runs


def _holding() -> None:
    asked = json.loads(os.environ["EMOTION_TEST_HOLD"])
    update = runs.update

    def updated(run: runs.Run, **fields: Any) -> None:
        update(run, **fields)
        name = run.path.name
        if fields.get("epoch") != asked["epoch"] or asked["run"] not in (None, name):
            return
        if asked["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        marks = Path(asked["folder"])
        (marks / f"{name}.held").touch()
        end = time.monotonic() + 600  # the test that asked for it may have been killed
        while not (marks / f"{name}.go").exists():
            assert time.monotonic() < end, "nobody let it go"
            time.sleep(0.01)

    runs.update = updated


if "EMOTION_TEST_HOLD" in os.environ:
    _holding()
