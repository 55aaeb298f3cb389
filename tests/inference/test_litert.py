"""The export and its record; what live video does with them is in test_engines.py."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.faces.contract import Contract
from emotion.inference import convert, litert
from emotion.runs import checkpoints

pytestmark = pytest.mark.slow


@pytest.fixture
def run(trained: runs.Run, tmp_path: Path) -> runs.Run:
    """A copy of a trained run."""
    shutil.copytree(trained.path, tmp_path / "copy")
    return runs.Run(tmp_path / "copy", "copy")


def test_training_records_what_the_export_is_of(trained: runs.Run) -> None:
    made = trained.record().tflite
    assert made["checkpoint"] == files.sha256(trained.checkpoint())
    assert made["sha256"] == files.sha256(trained.tflite())
    assert not litert.is_stale(trained)
    assert litert.refresh(trained) is None


def test_what_makes_an_export_stale(run: runs.Run) -> None:
    path = run.path / "model.tflite"
    whole = path.read_bytes()
    path.write_bytes(whole + b"x")
    assert litert.is_stale(run)
    assert run.tflite_fault() == "is damaged, not the file that was exported"
    with pytest.raises(UserError, match=r"is damaged.*emotion\.evaluate"):
        run.tflite()
    path.write_bytes(whole)
    assert not litert.is_stale(run)
    run.checkpoint().write_bytes(run.checkpoint().read_bytes() + b"x")
    assert run.tflite_fault() == "is of an older checkpoint"
    path.unlink()
    assert run.tflite_fault() == "is not there yet"
    assert litert.is_stale(run)


def test_an_older_runs_damaged_export_is_stale_without_its_hash(run: runs.Run) -> None:
    recorded = run.record().tflite
    runs.update(run, tflite={k: recorded[k] for k in ("checkpoint", "max_difference")})
    assert not litert.is_stale(run)
    path = run.path / "model.tflite"
    path.write_bytes(path.read_bytes()[:5000])
    assert litert.is_stale(run)


def test_an_export_that_disagrees_with_the_contract_leaves_the_old_one(run: runs.Run) -> None:
    before = (run.path / "model.tflite").read_bytes(), (run.path / "run.json").read_text()
    model = checkpoints.load(run.checkpoint())
    Contract(48, 48, labels=("happy", "sad")).save(run.path / "contract.json")
    with pytest.raises(UserError) as caught:
        litert.export(run, model, np.zeros((2, 48, 48, 1), np.uint8), "black images")
    assert str(caught.value).startswith(f"{run.checkpoint()}: its output is float32 ['N', 7], but contract.json says")
    assert ((run.path / "model.tflite").read_bytes(), (run.path / "run.json").read_text()) == before
    assert not list(run.path.glob(".new-*"))


def test_an_export_to_another_file_leaves_the_run_as_it_is(run: runs.Run, tmp_path: Path) -> None:
    before = (run.path / "run.json").read_text()
    difference = litert.refresh(run, tmp_path / "mine.tflite")
    assert difference is not None
    assert difference <= litert.TOLERANCE
    assert (tmp_path / "mine.tflite").stat().st_size > 1000
    assert (run.path / "run.json").read_text() == before


def test_no_room_for_the_export_is_told(run: runs.Run, tmp_path: Path) -> None:
    with pytest.raises(convert.NoExportError, match="cannot be written"):
        litert.refresh(run, tmp_path / "nowhere" / "mine.tflite")


def test_the_command_explains_itself(tmp_path: Path) -> None:
    for arguments, message in (([], "<run folder>"), ([str(tmp_path)], "run.json: no such file")):
        command = [sys.executable, "-m", "emotion.inference.litert", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr
