"""Teachers of other splits: what they have seen is counted, and too much of the test is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from emotion.base.errors import UserError
from emotion.data import seen
from emotion.data.examples import Examples, Splits
from emotion.runs import Run
from emotion.train import distillation
from tests.conftest import compose


def examples(start: int, count: int) -> Examples:
    hashes = np.array([f"{i:08d}" * 2 for i in range(start, start + count)], "S16")
    return Examples(np.arange(count) % 7, hashes, images=np.zeros((count, 8, 8), np.uint8))


@pytest.fixture
def splits() -> Splits:
    return Splits(examples(0, 100), examples(100, 40), examples(200, 60), fingerprint={})


def teacher(folder: Path, hashes: np.ndarray) -> Run:
    folder.mkdir(exist_ok=True)
    seen.save(folder, seen.compact(hashes))
    return Run(folder, folder.name)


def test_what_a_teacher_has_seen_is_said(splits: Splits, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    known = teacher(tmp_path / "t", np.concatenate([splits.validation.hashes[:30], splits.test.hashes[:6]]))
    with caplog.at_level(logging.WARNING):
        distillation._count(known, splits)
    assert "t has seen 30 of 40 validation images" in caplog.text
    assert "6 of 60 test images" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="emotion"):
        distillation._count(teacher(tmp_path / "other", splits.train.hashes), splits)
    assert caplog.messages == ["run other has seen none of the validation and test images"]


def test_one_that_has_seen_more_than_a_tenth_of_the_test_is_refused(splits: Splits, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has seen 7 of 60 test images"):
        distillation._count(teacher(tmp_path / "t", splits.test.hashes[:7]), splits)


def test_one_that_does_not_record_it_is_refused(splits: Splits, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    with pytest.raises(UserError, match="does not record which images it was trained on"):
        distillation._count(Run(tmp_path / "t", "t"), splits)


@pytest.mark.slow
def test_what_its_teachers_have_seen_a_run_has_seen(trained: Run) -> None:
    cfg = compose("train", f"trainer.teacher={trained.path}")
    (images,) = distillation.seen_by_teachers(cfg)
    np.testing.assert_array_equal(images, seen.load(trained.path))
    both = seen.union(images, seen.compact(examples(0, 3).hashes))
    assert len(both) == len(images) + 3
