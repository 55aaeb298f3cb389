"""Which cases of a parametrized test run when: those that a push need not repeat, those whose night it is."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from typing import Any, TypeVar

import pytest

Case = TypeVar("Case")


def tonight(cases: Sequence[Case], nights: int) -> Sequence[Case]:
    """Those of many cases whose turn it is, all of them in so many nights; ``EMOTION_EVERY_CASE=1`` runs all."""
    if os.environ.get("EMOTION_EVERY_CASE"):
        return cases
    return cases[datetime.date.today().toordinal() % nights :: nights]


def rest_nightly(cases: Sequence[Any], push: int = 1) -> list[Any]:
    """Cases as ``parametrize`` takes them, of which only the first belong to the push tier."""
    return [*cases[:push], *(pytest.param(*_values(case), marks=pytest.mark.nightly) for case in cases[push:])]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)
