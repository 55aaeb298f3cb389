"""What runs when: cases that a push need not repeat, and nightly tests whose night it is."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import pytest


def has_turn(item: pytest.Item, night: int) -> bool:
    """Whether a test runs in a night: each third where it is marked ``nightly``, each N-th with ``nights=N``.

    Which it is follows from the test's name, so that every worker says the same.
    """
    mark = item.get_closest_marker("nightly")
    nights = 1 if mark is None else mark.kwargs.get("nights", 3)
    return bool(zlib.crc32(item.nodeid.encode()) % nights == night % nights)


def rest_nightly(cases: Sequence[Any], push: int = 1) -> list[Any]:
    """Cases as ``parametrize`` takes them, of which only the first belong to the push tier."""
    return [*cases[:push], *(pytest.param(*_values(case), marks=pytest.mark.nightly) for case in cases[push:])]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)
