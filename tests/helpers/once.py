"""What is dear to make, made once in a session, whatever the number of its workers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emotion.base import locks


@contextmanager
def made_once(place: Path) -> Iterator[Path | None]:
    """An empty folder to fill, which then becomes ``place``; None where it is there already.

    Other workers wait until it is whole, and make it if that fails.
    """
    waiting = place.with_name(f"{place.name}.lock")
    waiting.mkdir(exist_ok=True)
    with locks.alone(waiting):
        if place.exists():
            yield None
            return
        try:
            place.mkdir()
            yield place
        except BaseException:
            shutil.rmtree(place)
            raise
