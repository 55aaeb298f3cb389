"""Folders that are in their place whole or not at all: written beside it, then moved there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emotion.base import files, locks
from emotion.base.errors import UserError


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
