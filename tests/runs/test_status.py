"""What a run's record says when its process could not write any more."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.runs import resuming, status
from tests.conftest import compose


def test_a_run_that_fails_on_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.create(tmp_path / "run", tmp_path, compose("train"))
    full = os.strerror(errno.ENOSPC)

    def write(path: Path, content: Any) -> None:
        raise OSError(errno.ENOSPC, full, str(path))

    def fill() -> None:
        monkeypatch.setattr(files, "write_json", write)
        raise RuntimeError(f"events.out.tfevents: {full}")  # as TensorFlow says it

    with pytest.raises(UserError, match=f"{full}.*Make room"), status.recorded(run):
        fill()
    monkeypatch.undo()
    assert run.record().status == "failed"
    assert files.read_json(run.path / "run.json")["id"] == run.id


def test_a_done_run_that_cannot_be_resumed_stays_done(tmp_path: Path) -> None:
    run = runs.create(tmp_path / "run", tmp_path, compose("train"))
    runs.update(run, status="done", epoch=2)
    before = (run.path / "run.json").read_bytes()
    for added, said in ((0, "done"), (1, "failed")):

        def fail(epochs: int = added) -> None:
            runs.update(run, epoch=2 + epochs)
            raise UserError("its state is damaged")

        with pytest.raises(UserError, match="damaged"), status.recorded(run):
            fail()
        assert run.record().status == said
        assert ((run.path / "run.json").read_bytes() == before) == (added == 0)


@pytest.mark.slow
def test_what_a_failed_resume_changed_in_the_config_is_in_the_record_of_a_done_run(tmp_path: Path) -> None:
    run = runs.create(tmp_path / "run", tmp_path, compose("train", "trainer.epochs=2"))
    runs.update(run, status="done", epoch=2, command="python -m emotion.train trainer.epochs=2")

    def resume() -> None:
        resuming.take_over(run, compose("train", "trainer.epochs=9"))
        raise UserError("the disk has no room for a checkpoint")

    with pytest.raises(UserError, match="no room"), status.recorded(run):
        resume()
    record = run.record()
    assert (record.status, record.error, run.config().trainer.epochs) == ("done", None, 9)
    assert record.command == "python -m emotion.train trainer.epochs=9"
    assert record.changed == [{"after_epoch": 2, "settings": {"trainer.epochs": [2, 9]}}]
