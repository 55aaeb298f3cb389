"""Where a published run goes: an empty place, or that of an older edition of the same run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from emotion.base.errors import UserError
from emotion.runs import record


def checker(origin: dict[str, Any], overwrite: bool) -> Callable[[Path], None]:
    """What refuses a place that is taken.

    Args:
        origin: What says which run it is; see :func:`emotion.publish.source.origin`.
        overwrite: Whether another published run there may be replaced.

    Returns:
        A function of the place that raises UserError where something else is there, and does nothing otherwise.
    """

    def check(place: Path) -> None:
        if not place.exists() and not place.is_symlink():
            return
        if place.is_symlink() or not place.is_dir():
            raise UserError(f"folder: '{place}' is there and is no folder; name another with folder=...")
        if not any(place.iterdir()):
            return
        theirs = _published(place)
        if theirs is None:
            raise UserError(
                f"folder: '{place}' is there and holds something other than a published run; name another with "
                f"folder=..."
            )
        if not overwrite and any(theirs.get(key) != value for key, value in origin.items()):
            raise UserError(
                f"folder: '{place}' holds another run, {theirs.get('run')}, made {theirs.get('created')}. Name another "
                f"folder, or replace it with overwrite=true"
            )

    return check


def _published(place: Path) -> dict[str, Any] | None:
    """What a published run's record says of where it is from; None of any other folder."""
    try:
        return record.read(place).published or None
    except UserError:
        return None
