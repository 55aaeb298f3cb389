"""Stopping a run in every way, and going on with it as if it had never stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emotion import runs
from emotion.base import files
from emotion.config import cli
from emotion.runs import resuming, status
from emotion.runs.history import read_history
from emotion.train import main, state, train, work
from tests.conftest import TINY, answered, emotion
from tests.helpers.commands import interpreter
from tests.helpers.hold import Hold
from tests.helpers.once import made_once
from tests.helpers.tiers import rest_nightly

pytestmark = pytest.mark.slow

_OPTIONS = (*TINY, "trainer.epochs=6", "trainer.deterministic=true", "augmentation=strong", "trainer.ema=0.9",
            "trainer.patience=50", "model.dropout=0.3")  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(common: Path) -> Path:
    with made_once(common / "uninterrupted") as folder:
        if folder:
            emotion("train", *_OPTIONS, "hydra.run.dir=run", cwd=folder)
    return common / "uninterrupted" / "run"


def go_on(run: Path, *changes: str) -> None:
    """What ``python -m emotion.train resume=<run>`` does, in this process; see its ``main``."""
    asked = cli.request("train", [f"resume={run}", *changes])
    assert asked.cfg is not None
    found = runs.resolve(run, asked.cfg.outputs)
    work(resuming.config_of(found, asked.cfg, list(asked.overrides)), found, resume=True)


def stopped(folder: Path, how: signal.Signals, epoch: int = 2) -> tuple[Path, int, str]:
    """Start a training, stop it by a signal after an epoch; return its folder, exit code and last words."""
    hold = Hold(folder, epoch)
    line = [interpreter() if how is signal.SIGTERM else sys.executable, "-m", "emotion.train"]
    child = subprocess.Popen(
        [*line, *_OPTIONS, "hydra.run.dir=run"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=hold.environment({**os.environ, "PYTHONFAULTHANDLER": "1"}),  # a crash should say where
    )  # fmt: skip
    try:
        hold.until_held(child, "run")
        child.send_signal(how)
        _, words = child.communicate(timeout=120)
    finally:
        child.kill()
    return folder / "run", child.returncode, words


@pytest.mark.parametrize(
    ("how", "code"), rest_nightly([(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
)
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    how: signal.Signals, code: int, tmp_path: Path, uninterrupted: Path
) -> None:
    run, returned, words = stopped(tmp_path, how)
    assert returned == code, words
    assert runs.resolve(run, "outputs").record().status == "interrupted"
    saved = state.load(run / "checkpoints" / "state.npz").progress
    assert saved.epoch == 2
    assert "Traceback" not in words
    if how is not signal.SIGKILL:
        assert "resume=" in words
    if how is signal.SIGINT:
        emotion("train", f"resume={run}", cwd=tmp_path)
    else:
        go_on(run)
    drop = ("seconds",)
    went_on = [{k: v for k, v in row.items() if k not in drop} for row in read_history(run / "history.csv")]
    straight = [{k: v for k, v in row.items() if k not in drop} for row in read_history(uninterrupted / "history.csv")]
    assert went_on == straight
    assert files.read_json(run / "metrics.json")["test"] == files.read_json(uninterrupted / "metrics.json")["test"]
    record = files.read_json(run / "run.json")
    assert record["status"] == "done"
    assert record["best_epoch"] == files.read_json(uninterrupted / "run.json")["best_epoch"]


def test_more_epochs_go_on_from_the_last(uninterrupted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    emotion("train", f"resume={run}", "trainer.epochs=8", "trainer.patience=null", cwd=tmp_path)
    history = read_history(run / "history.csv")
    assert [row["epoch"] for row in history] == list(range(1, 9))
    assert history[:6] == read_history(uninterrupted / "history.csv")
    assert runs.resolve(run, "outputs").config().trainer.epochs == 8, "the config says what was trained"
    assert "changed" not in files.read_json(uninterrupted / "run.json")
    settings = {"trainer.epochs": [6, 8], "trainer.patience": [50, None]}
    assert files.read_json(run / "run.json")["changed"] == [{"after_epoch": 6, "settings": settings}]
    said = "after epoch 6: trainer.epochs 6 became 8, trainer.patience 50 became null"
    assert said in (run / "report.md").read_text(), "the command alone says 6"
    assert (run / ".hydra" / "overrides.yaml").read_text() == (uninterrupted / ".hydra" / "overrides.yaml").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model.dropout=0.1", "model.dropout: changing it from '0.3' to '0.1' would make run"),
        ("model=mobilenet_v2", "model: cannot be changed on resume"),
        ("experiment=quickstart", "experiment: cannot be changed on resume"),
        ("seed=4", "seed: changing it from '0' to '4'"),
        ("trainer.epochs=3", "is less than the 6"),
        ("trainer.epochs=6", "is done after 6 epochs"),
    ],
)
def test_what_would_make_it_another_run_is_refused(
    change: str, said: str, uninterrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answered(main, f"resume={uninterrupted}", change) == 2
    assert said in capsys.readouterr().err
    assert files.read_json(uninterrupted / "run.json")["status"] == "done"


def test_a_run_that_is_running_is_left_alone(
    uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    with status.recorded(runs.resolve(run, "outputs")):
        assert answered(main, f"resume={run}", "trainer.epochs=9") == 2
    assert "is running" in capsys.readouterr().err


def test_a_damaged_state_is_said(uninterrupted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    path = run / "checkpoints" / "state.npz"
    path.write_bytes(path.read_bytes()[:-200])
    done = emotion("train", f"resume={run}", "trainer.epochs=9", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "state.npz: damaged" in done.stderr


@pytest.mark.nightly
def test_phases_and_averages_resume_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head on a frozen backbone, then the whole: stopped at the boundary, and in the last phase."""
    own = tmp_path / "conf" / "model"
    own.mkdir(parents=True)
    (tmp_path / "my_models.py").write_text(_OWN_MODEL)
    (own / "mine.yaml").write_text(_OWN_CONFIG)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    options = ["--config-dir", str(own.parent), "model=mine", "trainer.epochs=3"]
    straight = _trained_straight(tmp_path / "straight", *options)
    assert straight == _stopped_and_resumed(tmp_path / "stopped-1", 1, *options)
    assert straight == _stopped_and_resumed(tmp_path / "stopped-2", 2, *options)


_PHASED = (*(o for o in TINY if not o.startswith(("model.", "trainer.epochs"))), "dataset.per_emotion=20",
           "trainer.ema=0.9", "trainer.deterministic=true")  # fmt: skip

# MobileNetV2's form (a nested backbone, convolutions with batch norm), which TensorFlow traces in a tenth of the time.
_OWN_MODEL = """
import keras
from emotion.models.blocks import head, normalised_input

def build(contract):
    inputs, x = normalised_input(contract)
    image = keras.Input((contract.height, contract.width, 1))
    y = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3, strides=4, use_bias=False)(image))
    y = keras.layers.BatchNormalization()(keras.layers.DepthwiseConv2D(3, use_bias=False)(keras.layers.ReLU()(y)))
    backbone = keras.Model(image, y, name="backbone")
    return keras.Model(inputs, head(keras.layers.GlobalAveragePooling2D()(backbone(x)), contract, 0.2))
"""
_OWN_CONFIG = """
_target_: my_models.build
name: mine
input_size: 32
frozen_epochs: 1
batch_norm_frozen_epochs: 2
fine_tune_scale: 0.1
"""


def _losses(run: Path) -> list[tuple[float, float]]:
    return [(row["loss"], row["val_loss"]) for row in read_history(run / "history.csv")]


def _trained_straight(folder: Path, *options: str) -> list[tuple[float, float]]:
    asked = cli.request("train", [*options, *_PHASED, f"outputs={folder.parent / 'outputs'}"])
    assert asked.cfg is not None
    train(asked.cfg, folder)
    return _losses(folder)


def _stopped_and_resumed(folder: Path, epoch: int, *options: str) -> list[tuple[float, float]]:
    folder.mkdir()
    killed = Hold(folder, epoch, kill=True).environment()
    done = emotion("train", *options, *_PHASED, "hydra.run.dir=run", cwd=folder, check=False, env=killed)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert state.load(folder / "run" / "checkpoints" / "state.npz").progress.epoch == epoch
    go_on(folder / "run")
    return _losses(folder / "run")


@pytest.mark.nightly
def test_early_stopping_is_not_undone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = cli.request("train", [*TINY, "trainer.epochs=8", "trainer.patience=1", "trainer.min_delta=0.9"])
    assert asked.cfg is not None
    train(asked.cfg, tmp_path / "run")
    assert answered(main, f"resume={tmp_path / 'run'}") == 2
    assert "stopped early" in capsys.readouterr().err
    go_on(tmp_path / "run", "trainer.patience=2")
    assert len(read_history(tmp_path / "run" / "history.csv")) == 3


def test_a_checkpoint_that_waited_when_the_process_was_killed_is_kept(uninterrupted: Path, tmp_path: Path) -> None:
    from emotion.train.callbacks import Keeper

    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    found = runs.resolve(run, "outputs")
    saved = state.load(run / "checkpoints" / "state.npz").progress
    (run / "checkpoints" / f".best-{saved.best_epoch}.keras").write_bytes(b"the best")
    (run / "checkpoints" / ".best-99.keras").write_bytes(b"of an epoch that the state does not know")
    (run / "checkpoints" / ".new-last.keras-half.keras").write_bytes(b"half a checkpoint")
    (run / "history.csv").write_text("")
    Keeper(found, found.config().trainer, saved, None, None)
    assert (run / "checkpoints" / "best.keras").read_bytes() == b"the best"
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["best.keras", "last.keras", "state.npz"]
    assert len(read_history(run / "history.csv")) == 6
