"""Numbers and lists as short texts for users: counts, sizes, durations, percentages."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

#: What a terminal would obey instead of show: control characters, and marks that turn the direction of text.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str) -> str:
    """Text with what a terminal would obey as escapes, ``\\x1b`` for one; tabs and ends of lines stay."""
    return _OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def shortened(value: object, most: int = 60) -> str:
    """A value as text of at most so many characters, its middle left out where it is longer."""
    text = str(value)
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]} … {text[-half:]}"


def cell(value: object) -> object:
    """A value for a CSV file: text that a spreadsheet would run as a formula gets an apostrophe in front.

    ``EMOTION_RAW_CSV=1`` in the environment leaves it as it is, for programs that read names.
    """
    is_formula = isinstance(value, str) and value.startswith(_FORMULAS)
    return f"'{value}" if is_formula and os.environ.get("EMOTION_RAW_CSV", "0") == "0" else value


def counted(n: int, one: str, more: str | None = None) -> str:
    """A count and its noun: ``1 image``, ``1,234 images``."""
    return f"{n:,} {one if n == 1 else more or one + 's'}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names and how many follow: ``a, b and 3 more``."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def three_digits(number: float | None) -> str:
    """A whole number in three digits, such as ``1.09 M``; a dash for None."""
    if number is None:
        return "–"
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * factor:
            value = number / factor
            return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f} {unit}"
    return f"{number:.0f}"


def size(bytes_: float | None) -> str:
    """A number of bytes in three digits and decimal units, such as ``4.36 MB``; a dash for None."""
    if bytes_ is None:
        return "–"
    return f"{three_digits(bytes_)}B" if bytes_ >= 1000 else f"{bytes_:.0f} B"


def duration(seconds: float | None) -> str:
    """A time in its own unit: ``45 s``, ``14.3 min``, ``2.1 h``; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def percent(fraction: float) -> str:
    """A fraction in whole percent without the sign; ``<1`` and ``>99`` where rounding would give 0 or 100."""
    return "<1" if 0 < fraction < 0.005 else ">99" if 0.995 <= fraction < 1 else f"{100 * fraction:.0f}"
