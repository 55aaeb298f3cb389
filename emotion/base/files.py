"""Files that are on disk whole or not at all: replacing them, JSON, digests."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emotion.base.guarded import read_json as read_json


def _numbering() -> str:
    """What tells this machine, and a container's own numbering of processes, from all others."""
    try:
        processes = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        processes = ""
    return hashlib.sha256(f"{socket.gethostname()} {processes}".encode()).hexdigest()[:8]


_HOST = _numbering()

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
    """Remove what killed processes left beside ``path``: at once where this machine knows that the process has ended,
    else where it was untouched for so many seconds."""
    _sweep(path.parent, f".new-{path.name[:40]}-", seconds)


def sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder, as :func:`remove_unfinished` does for one file."""
    _sweep(folder, ".new-", ABANDONED_SECONDS)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the machine's temporary files; those of this user's processes that were killed are removed first."""
    _sweep(Path(tempfile.gettempdir()), "emotion-", ABANDONED_SECONDS * 24)
    with tempfile.TemporaryDirectory(prefix=f"emotion-{_HOST}-{os.getpid()}-") as name:
        yield Path(name)


def _sweep(folder: Path, beginning: str, seconds: float) -> None:
    for file in folder.glob(f"{glob.escape(beginning)}*"):
        owner = re.search(r"-([0-9a-f]{8})-(\d{1,10})-", file.name)
        ended = owner is not None and owner[1] == _HOST and not _is_alive(int(owner[2]))
        with suppress(OSError):
            status = file.lstat()
            is_ours = not hasattr(os, "getuid") or status.st_uid == os.getuid()
            if is_ours and (ended or time.time() - status.st_mtime >= seconds):
                shutil.rmtree(file) if stat.S_ISDIR(status.st_mode) else file.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def prefix(path: Path) -> str:
    """How the names of unfinished files and folders beside a path begin; a long name leaves room for their ends."""
    return f".new-{path.name[:40]}-{_HOST}-{os.getpid()}-"


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


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def own_path(text: str) -> Path:
    """A path with the user's folder for ``~``, which stays where that is not known, as in containers."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - pathlib raises


def from_here(path: Path) -> str:
    """A path as it is typed in this folder: relative to it, where it is in it."""
    whole, here = path.absolute(), Path.cwd()
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else str(path)
