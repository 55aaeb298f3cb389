"""An image from any source, before anything is decided about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emotion.faces.images import Image


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
        failure: None, or one of a few stable reasons: those of :mod:`emotion.collect.fetching`, ``not a picture``,
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
