"""Every key of every command, given what it cannot take: the message names the key and can be read."""

from __future__ import annotations

import datetime
import os
import random
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import pytest

from emotion.base.errors import UserError
from emotion.base.exits import readable
from emotion.config import cli
from emotion.config.commands import COMMANDS
from emotion.config.schema import GROUPS

SEED = int(os.environ.get("EMOTION_FUZZ_SEED", datetime.date.today().toordinal()))
#: Of each key.
VALUES = 1

_NUMBERS = (
    "nan",
    "inf",
    "-inf",
    "1e400",
    "word",
    "[1]",
    "[]",
    "{a:1}",
    "1 2",
    "٣٣x",
    "0x1g",
    "'1",
    "9" * 290,
    "8" * 7000,
)
_WORDS = ("nopé", "\x1b[31m", "\u202eevil", "w" * 3000, "[x]", "{a:b}", "-", "${nope}", "$(touch PWNED)", "'x")
_TRUTHS = ("maybe", "[true]", "{a:true}", "nan", "\x07")


def _keys(schema: type, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Each key of a schema with values that it cannot take."""
    for field in fields(schema):
        key, limits = f"{prefix}{field.name}", field.metadata.get("range")
        inner = field.default_factory if field.default_factory is not MISSING else None
        if isinstance(inner, type) and is_dataclass(inner):
            yield from _keys(inner, f"{key}.")
        elif limits:
            low, high = limits
            beyond = [
                str(n)
                for n in (None if low is None else low - 1, None if high is None else 2 * high + 1)
                if n is not None
            ]
            yield key, [*beyond, *_NUMBERS]
        elif "choices" in field.metadata:
            yield key, list(_WORDS)
        elif field.type == "bool":
            yield key, list(_TRUTHS)


def _cases() -> Iterator[tuple[str, list[str], str, str]]:
    seen: set[str] = set()
    for schema in COMMANDS:
        for key, values in _keys(schema):
            yield from ((schema.__name__.lower(), [], key, value) for value in _some(schema.__name__, key, values))
    for group, options in GROUPS.items():
        for option, node in options.items() if "/" not in group else ():
            chosen = [] if group == "trainer" or option == "augmentation" else [f"{group}={option}"]
            chosen = ["tuner=random"] if option == "tuner" else chosen
            for name, values in _keys(node):
                key, command = f"{group}.{name}", "tune" if group == "tuner" else "train"
                if key not in seen:  # as most are those of the base class
                    seen.add(key)
                    yield from ((command, chosen, key, value) for value in _some(option, key, values))


def _some(of: str, key: str, values: list[str]) -> list[str]:
    return random.Random(f"{SEED}-{of}-{key}").sample(values, min(VALUES, len(values)))


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(6))
def test_what_a_key_cannot_take_is_refused_by_its_name(part: int) -> None:
    wrong: list[Any] = []
    for command, chosen, key, value in list(_cases())[part::6]:
        case = (f"EMOTION_FUZZ_SEED={SEED}", command, f"{key}={value[:50]!r}")
        try:
            cli.request(command, [*chosen, f"{key}={value}"])
        except UserError as error:
            shown = readable(str(error))
            if key not in shown or max(map(len, shown.splitlines())) > 410:
                wrong.append((*case, shown))
        except Exception as error:
            wrong.append((*case, repr(error)))
        else:
            wrong.append((*case, "accepted"))
    assert wrong == []
