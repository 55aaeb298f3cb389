"""``run.json``: what is read, what is written back, what older files become."""

from __future__ import annotations

from pathlib import Path

import pytest

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.runs import record
from emotion.runs.record import RunRecord

WRITTEN = {
    "format": 1,
    "id": "a",
    "status": "done",
    "created": "2026-01-01T00:00:00+00:00",
    "seed": 0,
    "command": "python -m emotion.train",
    "commit": None,
    "versions": {"emotion": "0.1.0"},
    "epoch": 3,
    "best": 0.5,
    "stopped_early": False,
    "scores": {"test": {"accuracy": 0.5}},
    "mood": ["green"],
}


def test_what_is_read_is_written_back_with_unknown_keys(tmp_path: Path) -> None:
    files.write_json(tmp_path / "run.json", WRITTEN)
    found = record.read(tmp_path)
    assert (found.epoch, found.scores["test"], found.unknown) == (
        3,
        {"accuracy": 0.5},
        {"mood": ["green"]},
    )
    runs.update(runs.Run(tmp_path, "a"), epoch=4)
    assert files.read_json(tmp_path / "run.json") == WRITTEN | {"epoch": 4}


def test_an_older_record_is_migrated_when_it_is_read_and_when_it_is_changed(tmp_path: Path) -> None:
    teacher = {"run": "b", "checkpoint": "0" * 64}
    old = {key: value for key, value in WRITTEN.items() if key != "format"} | {"teacher": teacher}
    files.write_json(tmp_path / "run.json", old)
    assert record.read(tmp_path) == RunRecord.from_json(WRITTEN | {"teachers": [teacher]})
    runs.update(runs.Run(tmp_path, "a"), epoch=3)
    assert files.read_json(tmp_path / "run.json") == WRITTEN | {"teachers": [teacher]}


def test_a_value_of_another_type_counts_as_missing_and_stays(tmp_path: Path) -> None:
    damaged = WRITTEN | {"efficiency": "fast", "epoch": "three", "finished": None}
    files.write_json(tmp_path / "run.json", damaged)
    found = record.read(tmp_path)
    assert (found.efficiency, found.epoch, found.finished) == ({}, 0, None)
    runs.update(runs.Run(tmp_path, "a"), best=1)
    assert files.read_json(tmp_path / "run.json") == WRITTEN | {"efficiency": "fast", "epoch": "three", "best": 1}


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    files.write_json(tmp_path / "run.json", WRITTEN | {"format": 2})
    with pytest.raises(UserError, match=r"run\.json: its format is 2.*update"):
        record.read(tmp_path)
