"""Dataclass fields that say which values a config key may take; :mod:`emotion.config.checks` reads what they say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from typing import Any, TypeVar

from omegaconf import MISSING

from emotion.base.errors import did_you_mean

T = TypeVar("T")

#: Largest seed that NumPy, Python and TensorFlow all take.
LARGEST_SEED = 2**31 - 1


def choice(choices: Collection[str], default: T = MISSING) -> T:
    """A key that takes one of these words."""
    result: T = field(default=default, metadata={"choices": tuple(choices)})
    return result


def number(low: float | None, high: float | None, default: T = MISSING) -> T:
    """A key that takes a number in the closed interval [low, high]; None leaves an end open."""
    result: T = field(default=default, metadata={"range": (low, high)})
    return result


def problems(key: str, value: Any, metadata: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with a key's value, given its field's metadata."""
    choices = metadata.get("choices")
    if choices and value not in choices:
        yield f"{key}: '{value}' is not one of {', '.join(choices)}.{did_you_mean(value, choices)}"
    low, high = metadata.get("range", (None, None))
    if low is None and high is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        yield f"{key}: '{value}' is not a number"
    elif (low is not None and value < low) or (high is not None and value > high):
        limits = f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"
        yield f"{key}: {value} is out of range, must be {limits}"
