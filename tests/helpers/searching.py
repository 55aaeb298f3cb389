"""Searches as the tests of image search make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from emotion.collect import bing
from emotion.collect.candidates import Candidate
from emotion.collect.fetching import Settings
from tests.helpers.bing_server import Entry, drawn

#: No test waits for as long as this, in seconds.
HOURS = 10_000


def quick(**changes: Any) -> Settings:
    return Settings(
        **{"timeout": 20, "retries": 2, "back_off": 0.01, "min_interval": 0.0, "allow_private": True, **changes}
    )


def found(
    staging: Path,
    word: str = "happy",
    settings: Settings | None = None,
    known: tuple[str, ...] = (),
    stop: Callable[[], bool] = lambda: False,
    again: Callable[[str], None] = lambda url: None,
) -> Iterator[Candidate]:
    return bing.search(word, f"a {word} face", settings or quick(), staging, known, stop, again)


def some(count: int, name: str = "") -> list[Entry]:
    return [Entry(f"{name}{i}.jpg", drawn(i % 3), title=f"face {i}") for i in range(count)]
