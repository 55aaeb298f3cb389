"""A pixel hash and the perceptual hashes of every image file; an index of them spares later starts the decoding."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
import simplejpeg

from emotion.base import files
from emotion.base.progress import progress
from emotion.base.words import listed
from emotion.data.fingerprint import hash_pixels
from emotion.data.similar import perceptual_hash
from emotion.faces.decoding import count_frames, decode
from emotion.faces.formats import UnreadableImageError, UnsupportedImageError

# The versions count, because decoders differ in single pixel values.
_VERSION = f"3 opencv {cv2.__version__} pillow {PIL.__version__} simplejpeg {simplejpeg.__version__}"
_BATCH = 256


def hash_files(
    root: Path, names: Sequence[str], cache_dir: Path | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], dict[int, str], tuple[str, ...]]:
    """Decode image files, named relative to ``root``, and hash their pixels and how they look.

    The index is kept in ``cache_dir``, if any. A file is decoded again when its size or time changes.

    Returns:
        ``S16`` ``[N]`` pixel hashes; uint64 ``[N, 2]`` perceptual hashes; why each unreadable file is so, by its
        position in ``names``; notes for the log.
    """
    key = hashlib.sha256(str(root.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    index_path = None if cache_dir is None else cache_dir / f"folder-{key}.json"
    index = _read_index(index_path)
    digests = np.zeros((len(names), 32), np.uint8)  # 16 bytes of pixel hash, 8 of pHash, 8 of dHash
    reasons: dict[int, str] = {}
    entries: dict[str, list[Any]] = {}
    several: list[str] = []
    todo: list[int] = []
    for i, name in enumerate(names):
        entry = index.get(name)
        if entry is not None and entry[:2] == _identity(root / name):
            entries[name] = entry
            _file_away(i, entry[2], entry[3], digests, reasons)
            several += [name] * (entry[4] > 1)
        else:
            todo.append(i)

    with progress(len(todo), "Decoding images") as advance, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(todo), _BATCH):  # in batches, so that pending results stay few
            batch = todo[start : start + _BATCH]
            for i, (identity, digest, reason, count, final) in zip(
                batch, pool.map(_examine, (root / names[i] for i in batch)), strict=True
            ):
                _file_away(i, digest, reason, digests, reasons)
                several += [names[i]] * (count > 1)
                if final:
                    entries[names[i]] = [*identity, digest, reason, count]
                advance(1)

    notes: tuple[str, ...] = ()
    if several:
        notes = (f"{root}: of several frames or pages only the first is taken: {listed(sorted(several))}.",)
    if index_path is not None and entries != index:
        try:
            with files.replacing_in_cache(index_path) as temporary:
                temporary.write_text(json.dumps({"version": _VERSION, "files": entries}))
        except OSError as error:
            notes += (f"{index_path.parent}: cannot be written ({error.strerror}), so the next start decodes again.",)
    hashes = np.ascontiguousarray(digests[:, :16]).view("S16").ravel()
    perceptual = np.ascontiguousarray(digests[:, 16:]).view(">u8").astype(np.uint64)
    return hashes, perceptual, reasons, notes


def _examine(path: Path) -> tuple[list[int], str | None, str | None, int, bool]:
    """Size and time, the hashes in hex or why there are none, frames, and whether that stays so for this file."""
    identity = _identity(path)
    try:
        data = path.read_bytes()
        image = decode(data)
        p, d = perceptual_hash(image)
        return identity, f"{hash_pixels(image).hex()}{p:016x}{d:016x}", None, count_frames(data), True
    except UnreadableImageError as error:
        return identity, None, str(error), 1, not isinstance(error, UnsupportedImageError)
    except OSError as error:  # rights and disks change without the file changing
        return identity, None, error.strerror or str(error), 1, False


def _identity(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return [-1, -1]
    return [status.st_size, status.st_mtime_ns]


def _file_away(i: int, digest: str | None, reason: str | None, digests: Any, reasons: dict[int, str]) -> None:
    if digest is None:
        reasons[i] = reason or "unreadable"
    else:
        digests[i] = np.frombuffer(bytes.fromhex(digest), np.uint8)


def _read_index(path: Path | None) -> dict[str, list[Any]]:
    """The index, or an empty one where it is missing, damaged or of another version: it is only a shortcut."""
    if path is None:
        return {}
    try:
        raw = json.loads(path.read_bytes())
        entries = raw["files"] if raw["version"] == _VERSION else {}
        return {str(k): v for k, v in entries.items() if _is_entry(v)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _is_entry(value: Any) -> bool:
    if (
        not isinstance(value, list)
        or len(value) != 5
        or not isinstance(value[3], str | None)
        or type(value[4]) is not int
    ):
        return False
    if value[2] is None:
        return value[3] is not None
    return isinstance(value[2], str) and len(value[2]) == 64 and not set(value[2]) - set("0123456789abcdef")
