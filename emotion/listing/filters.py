"""Which runs are listed: ``status=failed,interrupted data=fer2013 older=7d last=10``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from emotion.base import files
from emotion.base.errors import UserError, did_you_mean
from emotion.listing.rows import Row
from emotion.runs import record

STATUSES = (*record.STATUSES, "damaged")
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_SORTS: dict[str, Callable[[Row], float | None]] = {
    "age": lambda row: None if row.seconds is None else -row.seconds,
    "macro_f1": lambda row: row.validation_macro_f1,
    "accuracy": lambda row: row.test_accuracy,
}
_NAMED = ("id", "status", "data", "model")
KEYS = (*_NAMED, "newer", "older", "last", "sort", "outputs")


@dataclass(frozen=True)
class Filters:
    """What a command line asks for; None and empty are no limit. Ages are in seconds."""

    patterns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    newer: float | None = None
    older: float | None = None
    last: int | None = None
    sort: str | None = None
    outputs: Path = Path("outputs")


def parse(words: Sequence[str]) -> Filters:
    """Read the filters of a command line; a word without ``=`` is an id.

    Raises:
        UserError: A filter or value that does not exist.
    """
    given = [(key, value) if mark else ("id", word) for word in words for key, mark, value in [word.partition("=")]]
    values = dict(given)
    for key, value in given:
        if key not in KEYS:
            raise UserError(f"{key}: no such filter.{did_you_mean(key, KEYS)} There are: {', '.join(KEYS)}")
        if not value.strip():
            raise UserError(f"{key}: nothing after the '='; is a shell variable not set?")
    patterns = {
        key: tuple(p for k, v in given if k == key for p in v.split(",") if p) for key in _NAMED if key in values
    }
    for status in patterns.get("status", ()):
        if status not in STATUSES:
            raise UserError(f"status: '{status}' is not one of {', '.join(STATUSES)}.{did_you_mean(status, STATUSES)}")
    sort = values.get("sort")
    if sort is not None and sort not in _SORTS:
        raise UserError(f"sort: '{sort}' is not one of {', '.join(_SORTS)}.{did_you_mean(sort, _SORTS)}")
    last = values.get("last")
    if last is not None and not (last.isascii() and last.isdigit() and int(last[:9]) > 0):
        raise UserError(f"last: '{last[:20]}' must be a whole number above 0")
    return Filters(
        patterns,
        _seconds("newer", values.get("newer")),
        _seconds("older", values.get("older")),
        None if last is None else int(last[:9]),
        sort,
        files.own_path(values.get("outputs", "outputs")),
    )


def _seconds(key: str, text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([mhdw])", text)
    if match is None:
        raise UserError(f"{key}: '{text[:20]}' is no age; write a number and m, h, d or w: 90m, 12h, 7d")
    return float(match[1]) * _UNITS[match[2]]


def chosen(rows: Sequence[Row], wanted: Filters) -> list[Row]:
    """The rows that fit, in the order that is asked for; else the newest first."""
    found = [row for row in rows if _fits(row, wanted)][: wanted.last]
    if wanted.sort is None:
        return found
    value = _SORTS[wanted.sort]
    return sorted(found, key=lambda row: (value(row) is None, -(value(row) or 0.0)))


def _fits(row: Row, wanted: Filters) -> bool:
    for key, patterns in wanted.patterns.items():
        value = str(getattr(row, key))
        if not any(fnmatchcase(value, p) or (key == "id" and value.startswith(p)) for p in patterns):
            return False
    if (wanted.newer is not None or wanted.older is not None) and row.seconds is None:
        return False
    seconds = row.seconds or 0.0
    return (wanted.newer is None or seconds <= wanted.newer) and (wanted.older is None or seconds >= wanted.older)
