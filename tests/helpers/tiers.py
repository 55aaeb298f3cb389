"""Cases of a parametrized test that a push need not repeat: ``nightly`` runs them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def rest_nightly(cases: Sequence[Any], push: int = 1) -> list[Any]:
    """Cases as ``parametrize`` takes them, of which only the first belong to the push tier."""
    return [*cases[:push], *(pytest.param(*_values(case), marks=pytest.mark.nightly) for case in cases[push:])]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)
