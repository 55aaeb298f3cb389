"""What every source of pictures hands on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emotion.faces.images import Image


@dataclass(frozen=True)
class Candidate:
    """One picture that was found, before anything is decided about it.

    Attributes:
        key: Stable identity: the image URL; a file's path; ``<video>#<frame>``;
            ``<camera>@<start of the session>#<frame>@<time>``.
        emotion: What it was asked for as.
        source: A key of :data:`emotion.config.commands.LABEL_SOURCES`.
        path: The staged file, or one's own; None where there is an image or a failure.
        image: A frame, uint8 BGR ``[H, W, 3]``.
        failure: Why it could not be had, in a few stable words (``HTTP 404``, ``not a picture``, ``timed out``); None
            where it was had. Image search's words are listed in :mod:`emotion.collect.fetching`.
        query: The words that found it.
        page_url: The page that shows the picture.
        image_url: The picture itself.
        title: What the search engine calls it.
        licence: The licence filter that was asked for, which says nothing certain about the picture's licence.
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
