"""Where a dataset's crops are stored, by what was decided about them."""

from __future__ import annotations

import os
from pathlib import Path

from emotion.data.manifest import KEPT, QUARANTINE, REJECTED, Manifest, now
from emotion.faces.labels import EMOTIONS


def place(root: Path, file: str, decision: str) -> Path:
    """A crop's path after this decision."""
    return root / file if decision == KEPT else root / QUARANTINE / file


def move(root: Path, file: str, decision: str) -> bool:
    """Move a crop to where its decision puts it; False: it is in neither place."""
    target = place(root, file, decision)
    source = place(root, file, REJECTED if decision == KEPT else KEPT)
    if source.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)  # noqa: PTH105
    return target.exists()


def reconcile(root: Path, manifest: Manifest) -> None:
    """Bring folder and manifest in line: after a kill, and after the user removed images.

    Removed images count as rejected by the user, and are not collected again.
    """
    for folder in (root, *(base / e for base in (root, root / QUARANTINE) for e in EMOTIONS)):
        for unfinished in folder.glob(".new-*"):
            unfinished.unlink(missing_ok=True)
    removed = [
        {"event": "review", "file": record["file"], "decision": REJECTED, "reason": "removed by hand", "time": now()}
        for record in manifest.records()
        if record.get("file") and not move(root, record["file"], record["decision"]) and record["decision"] == KEPT
    ]
    if removed:
        manifest.append(*removed)
