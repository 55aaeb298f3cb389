"""Where a dataset's crops lie, by what was decided about them."""

from __future__ import annotations

import os
from pathlib import Path

from emotion.data.manifest import KEPT, QUARANTINE, REJECTED, Manifest, now
from emotion.faces.labels import EMOTIONS


def place(root: Path, file: str, decision: str) -> Path:
    """Where a crop lies, by what was decided about it."""
    return root / file if decision == KEPT else root / QUARANTINE / file


def move(root: Path, file: str, decision: str) -> bool:
    """Put a crop where its decision has it; False: it is in neither place."""
    target = place(root, file, decision)
    source = place(root, file, REJECTED if decision == KEPT else KEPT)
    if source.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)  # noqa: PTH105
    return target.exists()


def reconcile(root: Path, manifest: Manifest) -> int:
    """Bring the folder in line with the manifest after a kill; return how many kept pictures somebody has removed.

    Removed pictures count as rejected by a person, and are not collected again.
    """
    for folder in (root, *(base / e for base in (root, root / QUARANTINE) for e in EMOTIONS)):
        for unfinished in folder.glob(".new-*"):
            unfinished.unlink(missing_ok=True)
    removed = [
        record["file"]
        for record in manifest.records()
        if record.get("file") and not move(root, record["file"], record["decision"]) and record["decision"] == KEPT
    ]
    reason = "removed by hand"
    events = [{"event": "review", "file": f, "decision": REJECTED, "reason": reason, "time": now()} for f in removed]
    if events:
        manifest.append(*events)
    return len(removed)
