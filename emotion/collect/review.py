"""The contact sheet of an emotion: one HTML file that opens offline, in which a person clicks away what does not fit.

What it saves, ``decisions-<emotion>.json``, is applied by :mod:`emotion.collect.decisions`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import cv2

from emotion.base import files
from emotion.base.errors import UserError
from emotion.collect.shell import typed
from emotion.collect.storage import place
from emotion.data.manifest import KEPT, QUARANTINED, REJECTED, Record
from emotion.faces import images
from emotion.faces.labels import EMOTIONS

_HERE = Path(__file__).parent
_LARGEST = 128  # pixels a side: the page holds hundreds
_QUALITY = 90  # of JPEG; the dataset's own files are lossless
_LONGEST_TITLE = 120
_FILE = re.compile(r"/[0-9a-f]{32}\.png")  # says nothing to a person


def name(emotion: str) -> str:
    """The file name of an emotion's page."""
    return f"review-{emotion}.html"


def write(root: Path, records: Sequence[Record], only_missing: bool = False) -> list[Path]:
    """Write the pages of the emotions that have pictures; take away those that have none any more.

    Args:
        root: The dataset's folder.
        records: From :meth:`emotion.data.manifest.Manifest.records`.
        only_missing: Leave the pages that are there.

    Raises:
        UserError: The folder cannot be written to.
    """
    written = []
    for emotion in EMOTIONS:
        path = root / name(emotion)
        mine = [r for r in records if r.get("file") and r["emotion"] == emotion]
        try:
            if not mine:
                path.unlink(missing_ok=True)
            elif not (only_missing and path.exists()):
                files.write_bytes(path, _page(root, emotion, mine).encode("utf-8", "replace"))
                written.append(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return written


def _page(root: Path, emotion: str, records: Sequence[Record]) -> str:
    script = (_HERE / "review.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    style = resources.files("emotion.reports").joinpath("page.css").read_text(encoding="utf-8")
    style += (_HERE / "review.css").read_text(encoding="utf-8")
    sections, count = [], 0
    for decision, heading, hint in _SECTIONS:
        cards = [card for r in records if r["decision"] == decision and (card := _card(root, r))]
        count += len(cards)
        if cards:
            sections.append(
                f'<section class="{decision}"><h2>{heading.format(emotion=emotion)}: {len(cards):,}</h2>'
                f'<p class="faint">{hint.format(emotion=emotion)}</p><ul class="sheet">{"".join(cards)}</ul></section>'
            )
    saved = f"'apply=<where you saved it>/decisions-{emotion}.json'"
    command = f"python -m emotion.collect {typed('root', root)} {saved}"
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="robots" content="noindex">\n<title>Review: {emotion}</title>\n<style>\n{style}</style>\n</head>\n'
        f'<body data-emotion="{emotion}" data-made="{made}">\n<header>\n<h1>Do these faces look {emotion}?</h1>\n'
        f"<p>Their labels are what was searched for, or what their folder or somebody said. Click those that do not "
        f"look {emotion}, are no face, or should not be used. Then save, and apply what was saved:</p>\n"
        f"<pre>{escape(command)}</pre>\n"
        f'<p class="care">This page holds {count:,} pictures of people. Do not share it.</p>\n</header>\n'
        f'<div class="bar" role="toolbar" aria-label="Decisions">'
        f'<button type="button" id="save">Save decisions</button>'
        f'<label class="load">Load saved ones<input type="file" id="load" accept=".json"></label>'
        f'<output id="tally"></output><span id="about"></span></div>\n<main>\n'
        + "\n".join(sections)
        + "\n</main>\n<footer>Arrow keys go from picture to picture, space or x changes one, s saves.</footer>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


_SECTIONS = (
    (KEPT, "In the dataset", "Click to reject. What you leave counts as reviewed."),
    (QUARANTINED, "In quarantine", "Not in the dataset, for the reason that each says. Click to accept as {emotion}."),
    (REJECTED, "Rejected before", "Not in the dataset. Click to take one back as {emotion}."),
)


def _card(root: Path, record: Record) -> str:
    """One picture that can be clicked; nothing where its file cannot be read."""
    try:
        image = images.read(place(root, record["file"], record["decision"]))
    except images.UnreadableImageError:
        return ""
    side = min(_LARGEST, max(image.shape[:2]))
    done, data = cv2.imencode(".jpg", images.resize(image, side, side, "area"), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    about = escape(_about(record), quote=True)
    picture = base64.b64encode(data.tobytes()).decode()
    reviewed = " ✓" if record.get("reviewed") == "accepted" else ""
    note = escape(_FILE.sub("", record["reason"] or "")) if record["decision"] != KEPT else ""
    return (
        f'<li><button type="button" aria-pressed="false" data-file="{escape(record["file"], quote=True)}" '
        f'data-shown="{record["decision"]}" title="{about}"><img alt="{about}" width="{side}" height="{side}" '
        f'src="data:image/jpeg;base64,{picture}"><small>{note}{reviewed}</small></button></li>'
    )


def _about(record: Record) -> str:
    """What a person may want to know of a picture: its title, whose page it is from, what was searched for."""
    title = (record.get("title") or Path(record["key"]).name)[:_LONGEST_TITLE]
    query = f"searched for “{record['query']}”" if record.get("query") else f"label by {record['label_source']}"
    return " · ".join(part for part in (title, _host(record), query, record.get("reason")) if part)


def _host(record: Record) -> str | None:
    try:
        return urlsplit(record.get("page_url") or record.get("image_url") or "").hostname
    except ValueError:
        return None
