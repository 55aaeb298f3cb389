"""``run.json``: what a run is, how far it came, what it scored and where it is from. Read and written here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from emotion.base import files, locks
from emotion.base.errors import UserError

NAME = "run.json"
#: Of the file. Files without a number are older than the number, and are migrated when they are read.
FORMAT = 1
STATUSES = ("running", "done", "failed", "interrupted")

#: Written even where they are null: an adopted network's seed is unknown, and so is the commit outside a checkout.
_ALWAYS = ("seed", "commit")

Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The content of ``run.json``; ``docs/architecture.md`` explains each key, ``unknown`` holds all others.

    A value of an unexpected type counts as missing and is written back unchanged.
    """

    format: int = FORMAT
    id: str = ""
    status: str = ""
    created: str = ""
    seed: int | None = None
    command: str = ""
    commit: str | None = None
    versions: Object = field(default_factory=dict)
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
    scores: Object = field(default_factory=dict)
    efficiency: Object = field(default_factory=dict)
    tflite: Object = field(default_factory=dict)
    teachers: list[Object] = field(default_factory=list)
    changed: list[Object] = field(default_factory=list)
    trial: Object = field(default_factory=dict)
    adopted: Object = field(default_factory=dict)
    published: Object = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> RunRecord:
        """Content of the file, of this format or an older one."""
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
    return RunRecord.from_json(content)


def write(folder: Path, record: RunRecord) -> None:
    """Write a run's record atomically."""
    files.write_json(folder / NAME, record.to_json())


def update(folder: Path, **changes: Any) -> None:
    """Change fields of a run's record, atomically: two processes that change different fields both succeed."""
    with locks.alone(folder):
        write(folder, RunRecord.from_json(files.read_json(folder / NAME) | changes))
