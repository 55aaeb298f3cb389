"""Published runs: their cards give the hashes of their files, so what is made of them later goes elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from emotion.base.errors import UserError
from emotion.runs import record

#: Below the outputs folder: figures, predictions and exports of published runs, a folder for each edition of a run.
RESULTS = "evaluations-of-published"


def edition(folder: Path) -> str | None:
    """A folder's name for a published run: the run it was, and which weights; None for another or a damaged run.

    A run may be published several times, such as with its weights rounded and as they are.
    """
    try:
        known = record.read(folder)
    except UserError:
        return None
    if not known.published:
        return None
    weights = str(known.tflite.get("checkpoint") or "")[:8]
    name = re.sub(r"[^\w.-]+", "_", f"{known.published.get('run') or folder.name}-{weights}", flags=re.ASCII)
    return name.strip("._-")[-100:] or folder.name
