"""A student fits its teacher's answers, asks for them once, and is not taught what it is judged by."""

from __future__ import annotations

import logging
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from emotion import runs, train
from emotion.base import files, progress
from emotion.base.errors import UserError
from emotion.data import cache, sources
from emotion.inference.classifier import predict
from emotion.inference.runtimes import Traced
from emotion.metrics import calibration
from emotion.runs import checkpoints, creating
from emotion.train import distillation
from tests.conftest import TINY, answered, compose

pytestmark = pytest.mark.slow


def config(teacher: runs.Run, folder: Path, *more: str) -> object:
    options = [f"trainer.teacher={teacher.path}", f"dataset.cache_dir={folder}", f"outputs={folder}"]
    return compose("train", *TINY, "trainer.epochs=1", *options, *more)


def test_targets_are_mixed_and_the_teacher_is_asked_once(
    trained: runs.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = config(trained, tmp_path, "trainer.teacher_weight=0.6", "trainer.teacher_temperature=3")
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", -1.0)
    with caplog.at_level(logging.INFO, logger="emotion"):
        train.train(cfg, tmp_path / "run")  # type: ignore[arg-type]
    record = files.read_json(tmp_path / "run" / "run.json")
    assert record["status"] == "done"
    assert [each["checkpoint"] for each in record["teachers"]] == [files.sha256(trained.checkpoint())]
    (kept,) = tmp_path.glob("teacher-*.npy")
    answers = np.load(kept)
    student = runs.Run(tmp_path / "run", "run")
    splits = sources.load(cfg.dataset)  # type: ignore[attr-defined]
    asked = 2 * len(splits.train)
    assert f"{trained.path.name}: {asked:,} of {asked:,}" in caplog.text
    own = np.eye(7)[splits.train.labels]
    np.save(kept, answers[::-1])  # what is there is taken, not asked for again
    taught = distillation.with_targets(cfg, splits, student)  # type: ignore[arg-type]
    expected = 0.4 * own + 0.6 * calibration.apply(answers[::-1], 3.0)
    np.testing.assert_allclose(taught.train.targets, expected, atol=1e-6)
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-5)
    assert taught.validation.targets is None
    pictures = np.stack([cache.prepared(splits.train, i, trained.contract()) for i in range(20)])
    teacher = Traced(checkpoints.load(trained.checkpoint()))
    both = [predict(teacher, each) for each in (pictures, pictures[:, :, ::-1])]
    np.testing.assert_allclose(answers[:20], np.mean(both, axis=0), atol=1e-5)


def test_of_several_teachers_the_mean_answer_counts(trained: runs.Run, tmp_path: Path) -> None:
    other = runs.Run(tmp_path / "20261122", "20261122")  # a name that reads as a number
    shutil.copytree(trained.path, other.path)
    model = checkpoints.load(other.checkpoint())
    model.weights[-1].assign(np.linspace(-1, 1, 7))
    model.save(other.checkpoint())
    cfg = config(trained, tmp_path, f"trainer.teacher=[{trained.path},20261122,20261122]", "trainer.teacher_weight=1")
    assert creating.with_absolute_paths(cfg).trainer.teacher == [str(trained.path), str(other.path)]  # type: ignore[arg-type]
    student = runs.Run(tmp_path / "student", "student")
    shutil.copytree(trained.path, student.path)
    cfg.trainer.teacher_temperature = 1.0  # type: ignore[attr-defined]
    splits = sources.load(cfg.dataset)  # type: ignore[attr-defined]
    taught = distillation.with_targets(cfg, splits, student)  # type: ignore[arg-type]
    kept = [np.load(path) for path in tmp_path.glob("teacher-*.npy")]
    assert len(kept) == 2
    assert np.abs(kept[0] - kept[1]).max() > 0.05
    np.testing.assert_allclose(taught.train.targets, np.mean(kept, axis=0), atol=1e-6)
    assert [each["checkpoint"] for each in student.record().teachers] == [
        files.sha256(each.checkpoint()) for each in (trained, other)
    ]


def test_fine_tuning_begins_with_the_teachers_weights(trained: runs.Run, tmp_path: Path) -> None:
    begin = ("trainer.initial_weights=teacher", "trainer.teacher_weight=0", "trainer.learning_rate=1e-10")
    train.train(config(trained, tmp_path, *begin), tmp_path / "tuned")  # type: ignore[arg-type]
    tuned = runs.Run(tmp_path / "tuned", "tuned")
    assert [each["checkpoint"] for each in tuned.record().teachers] == [files.sha256(trained.checkpoint())]
    assert not list(tmp_path.glob("teacher-*.npy")), "nothing was asked"
    began, ended = ({w.path: w.numpy() for w in checkpoints.load(r.checkpoint()).weights} for r in (trained, tuned))
    for name in began.keys() - {n for n in began if "moving_" in n}:  # batch norm's statistics follow the images
        np.testing.assert_allclose(ended[name], began[name], atol=1e-5, err_msg=name)


def test_fine_tuning_needs_the_same_network(
    trained: runs.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = config(trained, tmp_path, "trainer.initial_weights=teacher", "model.stages=[8,32]", "model.residual=true")
    with pytest.raises(UserError, match=r"has another network than this model") as caught:
        train.train(other, tmp_path / "other")  # type: ignore[arg-type]
    advised = shlex.split(str(caught.value).partition("with: ")[2])
    assert [word.partition("=")[0] for word in advised] == ["model.stages", "model.residual"]
    followed = compose("train", *TINY, "model.stages=[8,32]", "model.residual=true", *advised)
    assert followed.model == trained.config().model
    assert runs.Run(tmp_path / "other", "other").record().status == "failed"
    monkeypatch.chdir(tmp_path)
    assert answered(train.main, *TINY, "trainer.initial_weights=teacher") == 2
    assert "there is no teacher whose weights could be taken; set trainer.teacher=<run>" in capsys.readouterr().err


def test_who_cannot_teach(
    trained: runs.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = config(trained, tmp_path, "dataset.split_seed=5")
    with pytest.raises(UserError, match="another validation split"):
        distillation.with_targets(other, sources.load(other.dataset), trained)  # type: ignore[arg-type, attr-defined]
    adopted = runs.Run(tmp_path / "adopted", "adopted")
    shutil.copytree(trained.path, adopted.path)
    runs.update(adopted, adopted={"file": "theirs.h5"})
    theirs = config(adopted, tmp_path)
    with pytest.raises(UserError, match="was adopted, and which images it was trained on is not known"):
        distillation.with_targets(theirs, sources.load(theirs.dataset), trained)  # type: ignore[arg-type, attr-defined]
    monkeypatch.chdir(tmp_path)
    for named in ("nobody", f"[{trained.path},nobody]", "[]"):
        assert answered(train.main, *TINY, f"trainer.teacher={named}") == 2
        assert "trainer.teacher: " in capsys.readouterr().err
    assert not list(tmp_path.glob("outputs/*"))
