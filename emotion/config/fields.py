"""Dataclass fields that say which values a config key may take; :mod:`emotion.config.checks` reads what they say."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from typing import Any, TypeVar

from omegaconf import MISSING

from emotion.base.errors import did_you_mean
from emotion.base.words import shortened

T = TypeVar("T")

#: No key needs more, and a float cannot count further.
_LARGEST = 2**53

#: Largest seed that NumPy, Python and TensorFlow all take.
LARGEST_SEED = 2**31 - 1


def choice(choices: Collection[str], default: T = MISSING) -> T:
    """A key that takes one of these words."""
    result: T = field(default=default, metadata={"choices": tuple(choices)})
    return result


def number(low: float | None, high: float | None, default: T = MISSING, *, unit: str = "") -> T:
    """A key that takes a number in the closed interval [low, high]; None leaves an end open, "" is a plain number."""
    result: T = field(default=default, metadata={"range": (low, high), "unit": unit})
    return result


def problems(key: str, value: Any, metadata: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with a key's value, given its field's metadata."""
    choices = metadata.get("choices")
    if choices and value not in choices:
        yield f"{key}: '{shortened(value)}' is not one of {', '.join(choices)}.{did_you_mean(value, choices)}"
    low, high = metadata.get("range", (None, None))
    if low is None and high is None:
        return
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or value in (math.inf, -math.inf)
        or value != value
    ):
        yield f"{key}: '{shortened(value)}' is not a number"
        return
    top = _LARGEST if high is None else high
    if (low is not None and value < low) or value > top:
        limits = f"at least {low:g}" if high is None and value < top else f"from {low or 0:g} to {top:g}"
        yield f"{key}: {shortened(value)} is out of range, must be {limits}"
