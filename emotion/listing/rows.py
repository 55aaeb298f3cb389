"""What a list of runs says of each, read from ``run.json`` and the model's name in ``config.yaml``."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emotion import runs
from emotion.base import guarded, words
from emotion.base.errors import UserError
from emotion.jobs.sweep_table import differing
from emotion.runs import RunRecord, swept

#: Keys that have a column of their own, or say where things are.
_SHOWN = ("dataset", "dataset.root", "model", "model._target_", "outputs")


@dataclass(frozen=True)
class Row:
    """A run in a list.

    Attributes:
        id, path: Its id and folder.
        status: Of :data:`emotion.runs.record.STATUSES`, or ``damaged``.
        data, model: Names of its dataset and model; empty where that is not known.
        differs: In what it differs from the others of its sweep or search; of any other run, what was set for it.
        epoch: Completed epochs.
        resumable: Whether training can be resumed.
        created: ISO 8601; empty where it is not known.
        seconds: Since then; None where it is not known.
        validation_macro_f1, test_accuracy, test_macro_f1: Fractions; None where it was not scored.
        reason: Why it failed, or is damaged.
        teachers: Ids or paths of the runs that taught it.
        trial: Whether it belongs to a search.
    """

    id: str
    path: Path
    status: str
    data: str = ""
    model: str = ""
    differs: str = ""
    epoch: int = 0
    resumable: bool = False
    created: str = ""
    seconds: float | None = None
    validation_macro_f1: float | None = None
    test_accuracy: float | None = None
    test_macro_f1: float | None = None
    reason: str = ""
    teachers: tuple[str, ...] = ()
    trial: bool = False

    @property
    def state(self) -> str:
        """Its status, with the epochs of one that is not done."""
        return (
            f"{self.status} ({self.epoch})" if self.epoch and self.status in ("running", "interrupted") else self.status
        )

    @property
    def age(self) -> str:
        return "" if self.seconds is None else _age(self.seconds)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"path": str(self.path)}


def _age(seconds: float) -> str:
    days = seconds / 86_400
    return f"{days:.0f} days" if days >= 2 else words.duration(max(0.0, seconds))


def read(outputs: Path) -> list[Row]:
    """All runs below a folder, the one that was made last first."""
    records: dict[str, RunRecord] = {}
    found: list[Row] = []
    for run in runs.listing(outputs):
        try:
            records[run.id] = run.record()
            found.append(_row(run, records[run.id]))
        except UserError as error:
            found.append(Row(run.id, run.path, "damaged", reason=str(error)))
    differences = _differences(records)
    found = [replace(row, differs=differences.get(row.id, "")) for row in found]
    return sorted(found, key=lambda row: (row.created, row.id), reverse=True)


def _row(run: runs.Run, record: RunRecord) -> Row:
    validation, test = (record.scores.get(split, {}) for split in ("validation", "test"))
    return Row(
        id=run.id,
        path=run.path,
        status=record.status,
        data=str(record.data.get("dataset") or _of_config(run, "dataset")),
        model=_of_config(run, "model"),
        epoch=record.epoch,
        resumable=run.has_state and record.status in ("failed", "interrupted"),
        created=record.created,
        seconds=_since(record.created),
        validation_macro_f1=validation.get("macro_f1"),
        test_accuracy=test.get("accuracy"),
        test_macro_f1=test.get("macro_f1"),
        reason=((record.error or "").strip().splitlines() or [""])[-1],
        teachers=tuple(str(teacher["run"]) for teacher in record.teachers),
        trial=bool(record.trial),
    )


def _of_config(run: runs.Run, group: str) -> str:
    """The ``name`` in a group of ``config.yaml``; reading the whole file for it would take most of the time."""
    try:
        text = guarded.content(run.path / "config.yaml").decode(errors="replace")
    except UserError:
        return ""
    match = re.search(rf"^{group}:\n(?:  .*\n)*?  name: (.+)$", text, re.MULTILINE)
    return match[1].strip("'\"") if match else ""


def _since(created: str) -> float | None:
    try:
        then = datetime.fromisoformat(created)
    except ValueError:
        return None
    return (datetime.now(UTC) - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()


def _differences(records: dict[str, RunRecord]) -> dict[str, str]:
    """For each run what its sweep or search gave it, or else what was set for it beside the others of its folder."""
    together: dict[str, list[str]] = defaultdict(list)
    result: dict[str, str] = {}
    for name, record in records.items():
        if given := record.swept or record.trial.get("values"):
            result[name] = swept.name({key: words.shortened(value) for key, value in given.items()})
        else:
            together[name.rpartition("/")[0]].append(name)
    for folder, names in together.items():
        settings = [_settings(records[name]) for name in names]
        if folder and len(names) > 1:
            result |= zip(names, differing(settings), strict=True)
        else:
            result |= {name: ", ".join(_without(own)) for name, own in zip(names, settings, strict=True)}
    return result


def _settings(record: RunRecord) -> list[str]:
    if record.adopted or record.published:
        return ["adopted" if record.adopted else "published"]
    try:
        return [
            word for word in shlex.split(record.command) if "=" in word and not word.startswith(("-", "PYTHONPATH="))
        ]
    except ValueError:  # edited by hand
        return []


def _without(settings: Iterable[str]) -> list[str]:
    return [setting for setting in settings if setting.partition("=")[0] not in _SHOWN]
