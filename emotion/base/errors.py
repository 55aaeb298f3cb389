"""The exception for a user's mistakes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """An error that the user can correct.

    The message says what was wrong, with which value, where, and what to do next. Commands print it
    without a traceback and exit with code 2.
    """


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest allowed word, or an empty string."""
    near = difflib.get_close_matches(str(word), [str(a) for a in allowed], n=1, cutoff=0.5)
    return f" Did you mean '{near[0]}'?" if near else ""
