"""Published runs: their cards give the hashes of their files, so what is made of them later goes elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from emotion.base import files
from emotion.base.errors import UserError

#: Below the outputs folder: figures, predictions and exports of published runs, a folder for each edition of a run.
RESULTS = "evaluations-of-published"


def edition(folder: Path) -> str | None:
    """A folder's name for a published run: the run it was, and which weights; None of any other run, or a damaged one.

    A run may be published several times, such as with its weights rounded and as they are.
    """
    try:
        record = files.read_json(folder / "run.json")
    except UserError:
        return None
    origin, tflite = record.get("published"), record.get("tflite")
    if not isinstance(origin, dict):
        return None
    weights = str(tflite.get("checkpoint") or "")[:8] if isinstance(tflite, dict) else ""
    name = re.sub(r"[^\w.-]+", "_", f"{origin.get('run') or folder.name}-{weights}", flags=re.ASCII)
    return name.strip("._-")[-100:] or folder.name
