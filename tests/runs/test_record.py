"""``run.json``: what is read, what is written back, what older files become."""

from __future__ import annotations

import re
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


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ({"epoch": "three"}, "epoch is 'three', expected a whole number"),
        ({"efficiency": "fast"}, "efficiency is 'fast', expected an object"),
        ({"scores": {"test": {"accuracy": "high"}}}, "scores.test.accuracy is 'high', expected a number"),
        ({"scores": {"test": 5}}, "scores is"),
        ({"data": {"pixels": 5}}, "data.pixels is '5', expected text"),
        ({"data": {"splits": ["test"]}}, "data.splits is \"['test']\", expected an object"),
        ({"data": {"official": 3}}, "data.official is '3', expected a list"),
        ({"data": {"official": [["test"]]}}, "data.official is"),
        ({"teachers": [{"checkpoint": "x"}]}, "teachers lacks run"),
        ({"changed": [5]}, "changed is"),
        ({"stopped_early": 1}, "stopped_early is '1', expected true or false"),
    ],
)
def test_a_value_of_another_type_is_damage_that_is_named_and_stays(
    tmp_path: Path, damage: dict[str, object], named: str
) -> None:
    files.write_json(tmp_path / "run.json", WRITTEN | damage)
    with pytest.raises(UserError, match=rf"run\.json: damaged, its {re.escape(named)}"):
        record.read(tmp_path)
    runs.update(runs.Run(tmp_path, "a"), best=1)
    assert files.read_json(tmp_path / "run.json") == WRITTEN | damage | {"best": 1}


def test_null_stands_for_a_value_that_is_missing(tmp_path: Path) -> None:
    files.write_json(tmp_path / "run.json", WRITTEN | {"data": None, "finished": None, "epoch": None})
    found = record.read(tmp_path)
    assert (found.data, found.finished, found.epoch) == ({}, None, 0)


def test_a_damaged_run_is_left_out_of_best_and_latest_with_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scores = {"validation": {"macro_f1": 0.5}}
    for name, damage in (("a", {}), ("b", {"scores": 5, "created": "2027"}), ("c", {"created": 5})):
        (tmp_path / name).mkdir()
        files.write_json(tmp_path / name / "run.json", WRITTEN | {"scores": scores} | damage)
        (tmp_path / name / "model.tflite").write_bytes(b"only looked for here")
    for name in ("best", "latest"):
        caplog.clear()
        assert runs.resolve(name, tmp_path).path.name == "a"
        assert sum(line.endswith("; left out") for line in caplog.messages) == 2
        assert "b/run.json: damaged, its scores is '5'" in caplog.text
        assert "c/run.json: damaged, its created is '5'" in caplog.text


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    files.write_json(tmp_path / "run.json", WRITTEN | {"format": 2})
    with pytest.raises(UserError, match=r"run\.json: its format is 2.*update"):
        record.read(tmp_path)
