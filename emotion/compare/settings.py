"""A run's config as settings that can be compared with another run's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

#: What does not change a run's result, given the same images; the seed changes it, and is what a group varies in.
IRRELEVANT = ("seed", "outputs", "resume", "dataset.root", "dataset.votes", "dataset.cache", "dataset.cache_dir",
              "dataset.crop_margin", "trainer.threads", "trainer.bootstrap", "compare")  # fmt: skip
#: Values that mean what was done before there was such a key.
_AS_BEFORE = {"dataset.drop_duplicates": "none", "dataset.test_unreviewed": False, "trainer.teacher": None}
#: Keys that mean nothing where there is no teacher.
_OF_TEACHERS = ("trainer.teacher_weight", "trainer.teacher_temperature")


def dotted(config: dict[str, Any]) -> dict[str, Any]:
    """A config as dotted keys, without :data:`IRRELEVANT` ones; a list of named operations by their names."""
    return _relevant(_dotted(config, ""))


def identity(config: dict[str, Any]) -> str:
    """A text that is equal for configs of the same training, but for its seed."""
    return json.dumps(_relevant(_dotted(config, "", by_name=False)), sort_keys=True, default=str)


def _relevant(settings: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    kept = {key: value for key, value in settings if key not in IRRELEVANT}
    if kept.get("trainer.teacher") is None:
        kept = {key: value for key, value in kept.items() if key not in _OF_TEACHERS}
    return {key: value for key, value in kept.items() if key not in _AS_BEFORE or value != _AS_BEFORE[key]}


def _dotted(value: Any, key: str, by_name: bool = True) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _dotted(inner, f"{key}.{name}" if key else str(name), by_name)
        return
    operations = (
        by_name and isinstance(value, list) and value and all(isinstance(v, dict) and len(v) == 1 for v in value)
    )
    names = [next(iter(v)) for v in value] if operations else []
    if names and len(set(names)) == len(names):
        for operation in value:
            yield from _dotted(operation, key, by_name)
    else:
        yield key, value
