"""Files that are on disk whole or not at all: replacing them, JSON, digests."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emotion.base.errors import UserError

#: An unfinished file or folder that was not written to for so long belongs to a process that was killed.
ABANDONED_SECONDS = 3600.0


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to be written; put that file in its place if nothing fails.

    Readers see the old content or the new, never a part, also after a power cut. Any number of processes may do this
    for one path at the same time: the last one's content stays. A link is replaced, not followed.

    Raises:
        OSError: The folder cannot be written to, or the disk is full. What was there stays, and nothing is left behind.
    """
    # Keras goes by a name's ending. Not a file of tempfile's, which none but its owner may read.
    temporary = path.parent / f"{prefix(path)}{secrets.token_hex(8)}{path.suffix}"
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # or the new name could be on disk before the content
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def replacing_in_cache(path: Path) -> Iterator[Path]:
    """Like :func:`replacing`, in a folder that is made where it is missing, and kept free of unfinished files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(path, ABANDONED_SECONDS)
    with replacing(path) as temporary:
        yield temporary


def remove_unfinished(path: Path, seconds: float = 0.0) -> None:
    """Remove what killed processes left beside ``path``, where it was untouched for so many seconds."""
    now = time.time()
    for file in path.parent.glob(f"{glob.escape(prefix(path))}*"):
        with suppress(OSError):
            if now - file.stat().st_mtime >= seconds:
                shutil.rmtree(file) if file.is_dir() else file.unlink()


def prefix(path: Path) -> str:
    """How the names of unfinished files and folders beside a path begin; a long name leaves room for their ends."""
    return f".new-{path.name[:40]}-"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; see :func:`replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; see :func:`replacing`."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON, see :func:`replacing`; ValueError for NaN and infinities, which are not JSON."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def as_json(value: Any) -> Any:
    """A value as what JSON can hold: NumPy's numbers as Python's, NaN and infinities as None, all else as text."""
    if isinstance(value, dict):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; UserError where the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {type(content).__name__}, expected an object")
    return content


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
