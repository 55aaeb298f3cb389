"""Where a dataset's crops are stored, by what was decided about them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from emotion.base.errors import UserError
from emotion.data.manifest import KEPT, QUARANTINE, REJECTED, Manifest, now
from emotion.faces.labels import EMOTIONS


def place(root: Path, file: str, decision: str) -> Path:
    """A crop's path after this decision."""
    return root / file if decision == KEPT else root / QUARANTINE / file


def prepared(root: Path, file: str, decision: str) -> Path:
    """A crop's path after this decision, in a folder that is there.

    Raises:
        UserError: A link leads out of the dataset's folder.
    """
    target = place(root, file, decision)
    _check_inside(root, target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _check_inside(root: Path, folder: Path) -> None:
    if not folder.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{folder}: leads out of '{root}'; images are moved inside it alone. Put a real folder there")


def move(root: Path, file: str, decision: str) -> bool:
    """Move a crop to where its decision puts it; False: it is in neither place."""
    target = place(root, file, decision)
    source = place(root, file, REJECTED if decision == KEPT else KEPT)
    if source.exists() and not target.exists():
        _check_inside(root, source.parent)
        os.replace(source, prepared(root, file, decision))  # noqa: PTH105
    return target.exists()


def reconcile(root: Path, manifest: Manifest) -> None:
    """Bring folder and manifest in line: after a kill, and after the user removed images.

    Removed images count as rejected by the user, and are not collected again.
    """
    for folder in (root, *(base / e for base in (root, root / QUARANTINE) for e in EMOTIONS)):
        for unfinished in [] if folder.is_symlink() else folder.glob(".new-*"):
            with suppress(OSError):
                unfinished.unlink()
    removed = [
        {"event": "review", "file": record["file"], "decision": REJECTED, "reason": "removed by hand", "time": now()}
        for record in manifest.records()
        if record.get("file") and not move(root, record["file"], record["decision"]) and record["decision"] == KEPT
    ]
    if removed:
        manifest.append(*removed)
