"""Folders that are in their place whole or not at all: written beside it, then moved there."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emotion.base import files, locks
from emotion.base.errors import UserError
from emotion.base.words import shortened


def named(text: str, example: str) -> Path:
    """The folder that ``folder=`` names; UserError where it is no name for a new folder."""
    try:
        place = Path(os.path.normpath(Path(text).expanduser()))
    except RuntimeError:
        raise UserError(
            f"folder: '{text}' begins with ~, but there is no such user here; write the whole path"
        ) from None
    if place.name in ("", "..") or place.absolute() == Path.cwd():
        raise UserError(f"folder: '{text}' is no name for a new folder; give one, such as folder={example}")
    return place


def check_writable(folder: Path, key: str = "folder") -> None:
    """Refuse a folder for results, the value of a key, that cannot be made or written to, before any work for it.

    Raises:
        UserError: Says why.
    """
    why = ""
    for place in (folder, *folder.absolute().parents):
        try:
            is_folder = stat.S_ISDIR(place.stat().st_mode)
        except FileNotFoundError:
            if not place.is_symlink():
                continue
            why = "a link that leads nowhere"
        except OSError as error:  # a name that is too long, a loop of links, a file in the place of a folder
            why = error.strerror or str(error)
        else:
            why = "Not a directory" if not is_folder else "" if os.access(place, os.W_OK) else "Permission denied"
        break
    if why:
        raise UserError(f"{key}: cannot write to '{shortened(folder, 200)}' ({why}); set {key}=... to another")


@contextmanager
def staging(place: Path, what: str) -> Iterator[Path]:
    """A temporary folder beside a place; gone at the end, with what is left in it.

    ``what`` is made there, such as ``the export``; for the message.

    Raises:
        UserError: There is no room, or no permission to write there.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        files.remove_unfinished(place, files.ABANDONED_SECONDS)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=files.prefix(place)) as name:
            yield Path(name)
    except OSError as error:
        raise UserError(
            f"{error.filename or place}: {error.strerror or error}; {what} cannot be written. Make room, or name "
            f"another folder with folder=..."
        ) from None


def put(folder: Path, place: Path, staging: Path, check: Callable[[Path], None]) -> None:
    """Move a finished folder to its place; an older one there goes with the staging folder.

    ``check`` is called at the last moment, and raises where what is in the place must stay.
    """
    with locks.alone(place.parent):
        check(place)  # much may have happened since
        older = staging / "older"
        if place.is_dir():
            place.rename(older)
        try:
            folder.rename(place)
        except OSError:
            if older.is_dir():
                older.rename(place)
            raise
