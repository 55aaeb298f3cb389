"""Files that are on disk whole or not at all: replacing them, JSON, digests."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emotion.base.errors import UserError

#: A cache's unfinished file that nobody has written to for so long belongs to a process that was killed.
_ABANDONED_SECONDS = 3600.0
_UMASK = os.umask(0)  # it can only be read by setting it
os.umask(_UMASK)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to be written; put that file in its place if nothing fails.

    Readers see the old content or the new, never a part, and so does whoever comes after a power cut. Any number of
    processes may do this for one path at the same time: the last one's content stays. A link is replaced, not followed.

    Raises:
        OSError: The folder cannot be written to, or the disk is full. What was there stays, and nothing is left behind.
    """
    # Keras goes by a name's ending. A long name cut short leaves room for what is added.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # or the new name could be on disk before the content
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def replacing_in_cache(path: Path) -> Iterator[Path]:
    """Like :func:`replacing`, in a folder that is made where it is missing, and kept free of unfinished files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(path, _ABANDONED_SECONDS)
    with replacing(path) as temporary:
        yield temporary


def remove_unfinished(path: Path, seconds: float = 0.0) -> None:
    """Remove what killed processes left of ``path`` in :func:`replacing`, where it is untouched for some seconds."""
    now = time.time()
    for file in path.parent.glob(f"{glob.escape(_prefix(path))}*"):
        with suppress(OSError):
            if now - file.stat().st_mtime >= seconds:
                file.unlink()


def _prefix(path: Path) -> str:
    return f".new-{path.name[:40]}-"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; see :func:`replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; see :func:`replacing`."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON; see :func:`replacing`.

    Raises:
        ValueError: NaN or an infinity, which are not JSON.
    """
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
    """Read a JSON object.

    Raises:
        UserError: The file is missing or damaged.
    """
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
