"""``run.json``: what a run is, how far it came, what it scored and where it is from. Read and written here alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from emotion.base import files, guarded, locks
from emotion.base.errors import UserError

NAME = "run.json"
#: Of the file. Files without a number are older than the number, and are migrated when they are read.
FORMAT = 1
STATUSES = ("running", "done", "failed", "interrupted")

#: Written even where they are null: an adopted network's seed is unknown, and so is the commit outside a checkout.
_ALWAYS = ("seed", "commit")

Object = dict[str, Any]
Number = float | None
Text = str | None

#: What the code reads of the objects in a record, and of each object in its lists.
_INNER: dict[str, dict[str, Any]] = {
    "data": {"dataset": Text, "recognised": Text, "pixels": Text, "pixels_by_split": dict[str, str] | None,
             "counts": dict[str, dict[str, int]] | None, "splits": dict[str, str] | None,
             "official": list[str] | None},
    "objective": {"name": Text, "value": Number, "epoch": int | None},
    "efficiency": {"multiply_adds": Number, "latency_ms": Number, "peak_memory_bytes": Number},
    "tflite": {"checkpoint": Text, "sha256": Text, "max_difference": Number, "compared_on": Text},
    "teachers": {"run": str, "checkpoint": Text},
    "changed": {"after_epoch": int, "settings": dict[str, list[Any]]},
    "trial": {"number": int, "execution": int, "values": Object, "from": Text, "objective": Object | None},
    "adopted": {"file": Text, "sha256": Text, "source": Text, "licence": Text},
    "published": {"run": Text, "created": Text, "half": Object | None},
}  # fmt: skip
_NEEDED = {"teachers": ("run",), "changed": ("after_epoch", "settings")}


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The content of ``run.json``; ``docs/architecture.md`` explains each key, ``unknown`` holds all others."""

    format: int = FORMAT
    id: str = ""
    status: str = ""
    created: str = ""
    seed: int | None = None
    command: str = ""
    commit: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    pid: int | None = None
    host: str | None = None
    started: str | None = None
    finished: str | None = None
    error: str | None = None
    epoch: int = 0
    best_epoch: int | None = None
    best: float | None = None
    data: Object = field(default_factory=dict)
    unreadable: list[Any] = field(default_factory=list)
    parameters: int | None = None
    training_seconds: float | None = None
    stopped_early: bool | None = None
    objective: Object = field(default_factory=dict)
    scores: dict[str, Object] = field(default_factory=dict)
    efficiency: Object = field(default_factory=dict)
    tflite: Object = field(default_factory=dict)
    teachers: list[Object] = field(default_factory=list)
    changed: list[Object] = field(default_factory=list)
    swept: Object = field(default_factory=dict)
    trial: Object = field(default_factory=dict)
    adopted: Object = field(default_factory=dict)
    published: Object = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> RunRecord:
        """Content of the file, of this format or an older one.

        A value of an unexpected type counts as missing and is written back unchanged; :func:`read` refuses it.
        """
        content: Object = {"format": FORMAT} | dict(written)
        if "teacher" in content:  # before a run could have several
            content = {"teachers": [content["teacher"]]} | content
            del content["teacher"]
        typed: Object = {key: value for key, value in content.items() if isinstance(value, _TYPES.get(key, ()))}
        return cls(**typed, unknown={key: value for key, value in content.items() if key not in typed})

    def to_json(self) -> Object:
        """What is written: every key that has a value."""
        values = {key: getattr(self, key) for key in _TYPES}
        return {k: v for k, v in values.items() if k in _ALWAYS or v not in (None, "", {}, [])} | dict(self.unknown)

    @property
    def pixels(self) -> str | None:
        """The fingerprint of its data; None where that is not known."""
        return self.data.get("pixels")

    @property
    def code(self) -> str:
        """The commit of the code that ran, or the version of the package."""
        return self.commit or (f"emotion {self.versions['emotion']}" if "emotion" in self.versions else "")

    @property
    def changes(self) -> str:
        """What resuming changed of its trainer, in words."""
        return "; ".join(
            f"after epoch {entry['after_epoch']}: "
            + ", ".join(
                f"{key} {' became '.join('null' if value is None else str(value) for value in values)}"
                for key, values in entry["settings"].items()
            )
            for entry in self.changed
        )


def _types(hint: Any) -> tuple[type, ...]:
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return tuple(get_origin(option) or option for option in options) + ((int,) if float in options else ())


_HINTS = get_type_hints(RunRecord)
_TYPES = {key.name: _types(_HINTS[key.name]) for key in fields(RunRecord) if key.name != "unknown"}


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's."""
    return (folder / NAME).is_file()


def around(folder: Path) -> Path | None:
    """The run's folder that this folder is, or is inside of; None where there is none."""
    absolute = folder.absolute()
    return next((path for path in (absolute, *absolute.parents) if is_run(path)), None)


def read(folder: Path) -> RunRecord:
    """Read a run's record as it was written: ``running`` may stem from a process that was killed.

    Raises:
        UserError: It is missing, damaged, or of a newer format.
    """
    path = folder / NAME
    content = files.read_json(path)
    if content.get("status") not in STATUSES:
        raise UserError(f"{path}: damaged, it gives no status; restore it or remove the run")
    version = content.get("format", FORMAT)
    if version != FORMAT:
        raise UserError(f"{path}: its format is {version}, this emotion reads up to {FORMAT}; update it")
    fault = _fault(content)
    if fault:
        raise UserError(f"{path}: damaged, its {fault}; restore it or remove the run")
    return RunRecord.from_json(content)


def _fault(content: Object) -> str | None:
    """The first value of another type than the code reads, in words; None where there is none."""
    found = guarded.misfit(content, {k: h for k, h in _HINTS.items() if k != "unknown"})
    for key, inner in _INNER.items():
        values = content.get(key)
        for value in values if isinstance(values, list) else [values]:
            if found is None and isinstance(value, dict):
                absent = next((name for name in _NEEDED.get(key, ()) if name not in value), None)
                found = guarded.misfit(value, inner, f"{key}.") or (absent and f"{key} lacks {absent}")
    for split, scores in (content.get("scores") or {}).items() if found is None else ():
        found = found or guarded.misfit(scores, dict.fromkeys(scores, Number), f"scores.{split}.")
    return found


def write(folder: Path, record: RunRecord) -> None:
    """Write a run's record atomically."""
    files.write_json(folder / NAME, record.to_json())


def update(folder: Path, **changes: Any) -> None:
    """Change fields of a run's record, atomically: two processes that change different fields both succeed."""
    with locks.alone(folder):
        write(folder, RunRecord.from_json(files.read_json(folder / NAME) | changes))


def mark_failed(folder: Path) -> None:
    """Turn ``running`` into ``failed`` in place, which needs no room where the disk is full."""
    running, failed = b'"status": "running"', b'"status": "failed" '
    with os.fdopen(guarded.open_regular(folder / NAME, os.O_RDWR), "rb+") as file:
        at = file.read().find(running)
        if at >= 0:
            file.seek(at)
            file.write(failed)
