"""An image from any source, before anything is decided about it; downloaded ones wait in a staging folder.

``<staging>/<24 hex of the address's SHA-256>.<suffix by content>`` is the image, ``.json`` beside it the facts. The
image is written first, both atomically: an image with its facts is complete, all else was left by a killed process.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from emotion.base import files
from emotion.base.errors import UserError
from emotion.config.commands import LABEL_SOURCES
from emotion.faces.images import Image
from emotion.faces.labels import EMOTIONS

_OURS = re.compile(r"(\.new-)?[0-9a-f]{24}\.[a-z]{3,4}(-.*)?")


@dataclass(frozen=True)
class Candidate:
    """One image that was found, or the failure to get it.

    Attributes:
        key: Stable identity: the image URL; a file's path; ``<video>#<frame>``;
            ``<camera>@<start of the session>#<frame>@<time>``.
        emotion: What it is collected for.
        source: A key of :data:`emotion.config.commands.LABEL_SOURCES`.
        path: The staged file, or the user's; None where there is an image or a failure.
        image: A frame, uint8 BGR ``[H, W, 3]``.
        failure: None, or one of a few stable reasons: those of :mod:`emotion.collect.fetching`, ``not an image``,
            ``too many pixels``.
        query: The words that found it.
        page_url: The page that shows the image.
        image_url: The image itself.
        title: What the search engine calls it.
        licence: The licence filter of the search, which does not prove the image's licence.
    """

    key: str
    emotion: str
    source: str
    path: Path | None
    image: Image | None = None
    failure: str | None = None
    query: str | None = None
    page_url: str | None = None
    image_url: str | None = None
    title: str | None = None
    licence: str | None = None


def stage(staging: Path, candidate: Candidate, data: bytes, extension: str) -> Candidate:
    """Write an image and its facts; return the candidate with its file. UserError where it cannot be written."""
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


def read_staged(staging: Path, key: str) -> Candidate | None:
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
    facts = [v for k, v in asdict(replace(candidate, image=None, path=None)).items() if k not in ("image", "path")]
    is_ours = candidate.emotion in EMOTIONS and candidate.source in LABEL_SOURCES and isinstance(candidate.key, str)
    is_ours = is_ours and all(isinstance(fact, str | None) for fact in facts)
    return candidate if is_ours and image.is_file() and not image.is_symlink() else None
