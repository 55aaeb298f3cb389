"""Downloaded images that nothing is decided about yet: a file each, and beside it the facts as JSON.

``<staging>/<24 hex of the address's SHA-256>.<suffix by content>`` and ``.json``. The image is written first, both
atomically: an image with its facts is complete, all else was left by a process that was killed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from emotion.base import files
from emotion.base.errors import UserError
from emotion.collect.candidates import Candidate

_OURS = re.compile(r"(\.new-)?[0-9a-f]{24}\.[a-z]{3,4}(-.*)?")


def write(staging: Path, candidate: Candidate, data: bytes, extension: str) -> Candidate:
    """Write an image and its facts; return the candidate with its file.

    Raises:
        UserError: The folder cannot be written to, or the disk is full.
    """
    path = staging / f"{_stem(candidate.key)}.{extension}"
    content = {**asdict(candidate), "path": path.name}
    del content["image"]
    try:
        staging.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, data)
        files.write_json(path.with_suffix(".json"), content)
    except OSError as error:
        raise UserError(f"{staging}: cannot be written to ({error.strerror}). Make room, or set root=...") from None
    return replace(candidate, path=path)


def read(staging: Path, key: str) -> Candidate | None:
    """The candidate of this address, if it is complete on disk."""
    return _read(staging / f"{_stem(key)}.json")


def staged(staging: Path) -> Iterator[Candidate]:
    """What is complete on disk, in the order of its names; what killed processes left unfinished is removed.

    Call it before any search writes to this folder: an image that is being written looks unfinished.
    """
    candidates = [c for path in sorted(staging.glob("*.json")) if (c := _read(path)) and path.stem == _stem(c.key)]
    complete = {path for c in candidates if c.path for path in (c.path, c.path.with_suffix(".json"))}
    for path in set(staging.glob("*")) - complete:
        if _OURS.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()
    yield from candidates


def discard(candidate: Candidate) -> None:
    """Remove a staged image and its facts, if they are there."""
    if candidate.path is not None:
        candidate.path.with_suffix(".json").unlink(missing_ok=True)
        candidate.path.unlink(missing_ok=True)


def _stem(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:24]


def _read(path: Path) -> Candidate | None:
    try:
        content: dict[str, Any] = files.read_json(path)
        image = path.parent / Path(content.pop("path")).name
        candidate = Candidate(path=image, **content)
    except (UserError, KeyError, TypeError):
        return None
    return candidate if image.is_file() else None
