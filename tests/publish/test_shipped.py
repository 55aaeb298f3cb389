"""The run that ships: it is found by name, works with every command, and its folder stays as it is."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest

from emotion import compare, evaluate, runs
from emotion.base.errors import UserError
from emotion.data import synthetic
from emotion.inference import engines
from emotion.runs import exports, published
from emotion.train import main as train
from tests.conftest import answered, compose
from tests.helpers.trainings import tree


def _put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "run.json").write_text('{"status": "done"}')
        (folder / name / "model.tflite").write_bytes(b"only looked for here")


def test_the_name_finds_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "FOLDER", tmp_path / "pretrained")
    _put(tmp_path / "pretrained", "cnn")
    for name in ("pretrained", "pretrained/cnn", "pretrained/c", "pretrained/"):
        run = runs.resolve(name, tmp_path / "out")
        assert (run.path, run.id, run.reference) == (
            tmp_path / "pretrained" / "cnn",
            "pretrained/cnn",
            "pretrained/cnn",
        )
        assert run.results == tmp_path / "out" / "evaluations-of-pretrained" / "cnn"
    assert runs.resolve(tmp_path / "pretrained" / "cnn", tmp_path / "out") == run, "by its path too"
    with pytest.raises(UserError, match=r"no run 'pretrained/cmn' ships .* Did you mean 'pretrained/cnn'"):
        runs.resolve("pretrained/cmn", tmp_path / "out")
    with pytest.raises(UserError, match=r"there are no runs .* run=pretrained"):
        runs.resolve("pretraned", tmp_path / "out")
    _put(tmp_path / "out", "20261122_cnn")
    with pytest.raises(UserError, match=r"Nearest: pretrained.*; also: latest, best, pretrained"):
        runs.resolve("pretraned", tmp_path / "out")
    assert runs.resolve("latest", tmp_path / "out").id == "20261122_cnn", "it is not one of the runs under outputs"
    assert runs.resolve("latest", tmp_path / "out").results == tmp_path / "out" / "20261122_cnn"


def test_of_several_one_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "FOLDER", tmp_path)
    _put(tmp_path, "cnn", "cnn_small")
    with pytest.raises(UserError, match=r"fits 2 runs .* pretrained/cnn, pretrained/cnn_small"):
        runs.resolve("pretrained", "outputs")
    assert runs.resolve("pretrained/cnn", "outputs").path == tmp_path / "cnn"


def test_none_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "FOLDER", tmp_path / "pretrained")
    with pytest.raises(UserError, match=r"this installation has none in .* python -m emotion.train, .* run=latest"):
        runs.resolve("pretrained", "outputs")
    with pytest.raises(UserError, match=r"Train one first: python -m emotion\.train$"):
        runs.resolve("latest", tmp_path)


def test_live_takes_it_unless_a_run_is_named() -> None:
    assert compose("live").run == "pretrained"


@pytest.mark.slow
def test_nothing_is_written_into_its_folder(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = tree(installed)
    evaluate.evaluate(compose("evaluate", "run=pretrained", "bootstrap=50"))
    made = tmp_path / "outputs" / "evaluations-of-pretrained" / "drawn"
    assert {"metrics.json", "predictions.npz", "report.md"} <= {p.name for p in made.iterdir()}
    other = ("dataset=synthetic", "dataset.per_emotion=10", "dataset.split_seed=9", "dataset.image_size=48")
    evaluate.evaluate(compose("evaluate", "run=pretrained", "bootstrap=50", *other))
    assert len(list((made / "evaluations").iterdir())) == 1
    compare.compare(compose("compare", "runs=[pretrained]", "resamples=100", "latency=recorded"))
    assert "pretrained/drawn" in capsys.readouterr().out
    with pytest.raises(UserError, match="run pretrained/drawn has no export 'litert-int8'"):
        exports.find("pretrained/exports/litert-int8", "outputs")
    assert answered(train, "resume=pretrained") == 2
    assert "pretrained/drawn was published without its optimizer state" in capsys.readouterr().err
    assert tree(installed) == before


@pytest.mark.slow
def test_live_says_which_model_it_takes_and_writes_nothing(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "clip.mp4"
    synthetic.video(video, seconds=0.5, fps=12.0)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    before = tree(installed)
    live = importlib.import_module("emotion.live.__main__")
    summary = live.run(compose("live", f"source='{video}'", "display=none"))
    assert summary["run"] == "pretrained/drawn"
    assert summary["processed"] == 6
    said = "run pretrained/drawn, the model that ships with emotion (run=<id> takes another), on "
    assert capsys.readouterr().out.startswith(said)
    assert tree(installed) == before
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.slow
def test_a_damaged_installation_is_named(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(installed, tmp_path / "pretrained" / "drawn")
    monkeypatch.setattr(published, "FOLDER", tmp_path / "pretrained")
    run = runs.resolve("pretrained", tmp_path / "out")
    (run.path / "model.tflite").write_bytes(b"")
    with pytest.raises(UserError, match="install emotion again"):
        run.tflite()
    before = tree(run.path)

    def into(_: runs.Run, destination: Path) -> None:  # a process of 8 s, which tests/live starts
        shutil.copyfile(installed / "model.tflite", destination)

    monkeypatch.setattr(engines, "_export", into)
    assert engines.load(run).engine == "litert", "from a temporary file"
    assert tree(run.path) == before
