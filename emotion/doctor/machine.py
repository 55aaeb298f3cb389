"""Memory, cores, disk, and whether runs can be written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from emotion.base import devices, files
from emotion.base.words import counted, shortened, size
from emotion.doctor.finding import Finding

#: Bytes: a training of MobileNetV2 with FER2013 in memory takes 2.5 GB; a run with its checkpoints up to 0.1 GB.
LEAST_MEMORY, LITTLE_DISK, NO_DISK = 3 * 2**30, 5_000_000_000, 500_000_000


def resources() -> Iterator[Finding]:
    memory = devices.memory()
    found = f"{size(memory)} of memory, {counted(devices.cores(), 'core')}"
    if memory < LEAST_MEMORY:
        yield Finding("memory", "note", found, "Take small batches, and dataset.cache=none for large sets")
    else:
        yield Finding("memory", "ok", found)


def folders(outputs: Path) -> Iterator[Finding]:
    """Whether runs and caches can be written, and what room there is."""
    cache = files.own_path(os.environ.get("EMOTION_CACHE") or "~/.cache/emotion")
    for about, folder, key in (("outputs", outputs, "outputs=..."), ("cache", cache, "dataset.cache_dir=...")):
        try:
            existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
            fault = _fault(existing)
        except OSError as error:  # a name that is too long, a folder that may not be entered
            fault = str(error.strerror)
        if str(folder).startswith("~"):
            fault = "no home folder is known of that user"
        if fault:
            found = f"'{shortened(folder, 200)}' cannot be written ({fault})"
            yield Finding(about, "fault", found, f"Set {key} to another folder")
            continue
        free = shutil.disk_usage(existing).free
        found = f"'{folder}' can be written, {size(free)} free"
        if free < NO_DISK:
            yield Finding(about, "fault", found, f"Make room (emotion runs clean), or set {key} to another disk")
        elif free < LITTLE_DISK:
            yield Finding(about, "note", found, "Room for some tens of runs; emotion runs clean removes failed ones")
        else:
            yield Finding(about, "ok", found)


def _fault(folder: Path) -> str:
    """Why nothing can be written into a folder, by trying; an empty text where it can."""
    if not folder.is_dir():
        return f"{folder} is a file"
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        return str(error.strerror)
    return ""
