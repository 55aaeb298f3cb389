"""What a line of a dataset's manifest may say; one from elsewhere may say anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from emotion.config.commands import LABEL_SOURCES
from emotion.faces.labels import EMOTIONS

#: What can be decided about a candidate, and by a person about an image.
KEPT, REJECTED, QUARANTINED = "kept", "rejected", "quarantined"
ACCEPTED = "accepted"
#: The event of a candidate that was found for another emotion before anything was decided about it.
FOUND_AGAIN = "found again"

Record = dict[str, Any]


def is_place(file: object) -> bool:
    """Whether a crop may be called this: ``<emotion>/<name>``, which leads nowhere else, on any system."""
    emotion, _, name = file.partition("/") if isinstance(file, str) else ("", "", "")
    return emotion in EMOTIONS and bool(name) and name[0] != "." and not set(name) & set("/\\:\0")


def _is(*types: type) -> Callable[[object], bool]:
    return lambda value: value is None or (isinstance(value, types) and not isinstance(value, bool))


def _hex(digits: int) -> Callable[[object], bool]:
    return lambda value: (
        value is None or (isinstance(value, str) and bool(re.fullmatch(rf"[0-9a-f]{{{digits}}}", value)))
    )


#: What each key of a line may hold, where it is there; other keys are not read.
_ALLOWED: dict[str, Callable[[object], bool]] = {
    "key": lambda value: isinstance(value, str),
    "file": lambda value: value is None or is_place(value),
    "duplicate_of": lambda value: value is None or is_place(value),
    "emotion": lambda value: value in EMOTIONS,
    "decision": lambda value: value in (KEPT, REJECTED, QUARANTINED, ACCEPTED),
    "label_source": lambda value: value in LABEL_SOURCES.values(),
    "face": lambda value: type(value) is int and 0 <= value < 10_000,
    "of": lambda value: type(value) is int and 0 <= value < 10_000,
    "crop": _is(dict),
    "pixels": _hex(32),
    "perceptual_hash": _hex(32),
} | dict.fromkeys(("reason", "source", "query", "page_url", "image_url", "title", "path", "sha256"), _is(str))
_NEEDED = {"review": ("file", "decision"), "quarantine": ("file",), FOUND_AGAIN: ("key", "emotion")}


def fault(record: Record) -> str | None:
    """What is wrong with a line's values; None where nothing is."""
    event = record.get("event")
    needed = _NEEDED.get(str(event), ()) if "event" in record else ("key", "decision")
    if record.get("decision") in (KEPT, QUARANTINED):
        needed += ("file",)
    absent = [key for key in needed if record.get(key) is None]
    if absent:
        return f"it has no {absent[0]}"
    wrong = next((key for key, is_right in _ALLOWED.items() if key in record and not is_right(record[key])), None)
    if wrong == "file":
        return f"its file is {str(record['file'])[:100]!r}, not <emotion>/<name> in this folder"
    return f"its {wrong} is {str(record[wrong])[:100]!r}" if wrong else None
