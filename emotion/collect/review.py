"""The contact sheet of an emotion: one HTML file that opens offline, in which the user clicks away what does not fit.

What it saves, ``decisions-<emotion>.json``, is applied by :mod:`emotion.collect.decisions`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from emotion.base.errors import UserError
from emotion.collect.storage import place
from emotion.config.typed import as_typed
from emotion.data.manifest import KEPT, QUARANTINED, REJECTED, Record
from emotion.faces import decoding, images
from emotion.faces.formats import UnreadableImageError
from emotion.faces.labels import EMOTIONS
from emotion.reports import html

_LARGEST = 128  # pixels per side: the page holds hundreds
_QUALITY = 90  # of JPEG; the dataset's own files are lossless
_LONGEST_TITLE = 120
_FILE = re.compile(r"/[0-9a-f]{32}\.png")  # tells the user nothing


def name(emotion: str) -> str:
    """The file name of an emotion's page."""
    return f"review-{emotion}.html"


def write(root: Path, records: Sequence[Record], only_missing: bool = False) -> list[Path]:
    """Write the pages of the emotions that have images (or only the missing ones); remove those of emotions without.

    Raises:
        UserError: The folder cannot be written to.
    """
    written = []
    for emotion in EMOTIONS:
        path = root / name(emotion)
        of_emotion = [r for r in records if r.get("file") and r["emotion"] == emotion]
        try:
            if not of_emotion:
                path.unlink(missing_ok=True)
            elif not (only_missing and path.exists()):
                html.write(path, Path(__file__).with_name("review.html"), **_values(root, emotion, of_emotion))
                written.append(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return written


def _values(root: Path, emotion: str, records: Sequence[Record]) -> dict[str, Any]:
    """What the template shows."""
    saved = f"'apply=<where you saved it>/decisions-{emotion}.json'"
    cards = {
        decision: [card for r in records if r["decision"] == decision and (card := _card(root, r)) is not None]
        for decision in (KEPT, QUARANTINED, REJECTED)
    }
    return {
        "title": f"Review: {emotion}",
        "emotion": emotion,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m emotion.collect {as_typed('root', root)} {saved}",
        "count": sum(map(len, cards.values())),
        "cards": cards,
    }


def _card(root: Path, record: Record) -> dict[str, Any] | None:
    """An image that can be clicked; None where its file cannot be read."""
    try:
        image = decoding.read(place(root, record["file"], record["decision"]))
    except UnreadableImageError:
        return None
    side = min(_LARGEST, max(image.shape[:2]))
    return {
        "file": record["file"],
        "about": _about(record),
        "side": side,
        "src": html.data_uri(images.resize(image, side, side, "area"), side, _QUALITY),
        "reviewed": record.get("reviewed") == "accepted",
        "note": _FILE.sub("", record["reason"] or "") if record["decision"] != KEPT else "",
    }


def _about(record: Record) -> str:
    """What a user may want to know about an image: its title, the host of its page, the search query."""
    title = (record.get("title") or Path(record["key"]).name)[:_LONGEST_TITLE]
    query = f"searched for “{record['query']}”" if record.get("query") else f"label by {record['label_source']}"
    return " · ".join(part for part in (title, _host(record), query, record.get("reason")) if part)


def _host(record: Record) -> str | None:
    try:
        return urlsplit(record.get("page_url") or record.get("image_url") or "").hostname
    except ValueError:
        return None
