"""Sweeps from the command line: every job a run, failures told, done jobs skipped."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from emotion import runs
from emotion.base import files
from emotion.config import cli
from emotion.runs import swept
from emotion.train import sweep as sweep_of_train
from tests.conftest import TINY, emotion
from tests.helpers.hold import Hold
from tests.helpers.once import made_once
from tests.helpers.trainings import HEAVY

pytestmark = pytest.mark.slow


_DONE = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def sweep(common: Path) -> tuple[Path, _DONE]:
    """A sweep of four jobs, two of which fail; do not change it."""
    with made_once(common / "sweep") as folder:
        if folder:
            done = emotion(
                "train", "-m", *TINY, f"trainer.class_weight={HEAVY},sqrt", "seed=range(2)", "hydra.sweep.dir=mine",
                "trainer.deterministic=true", "compare=true", cwd=folder, check=False,
            )  # fmt: skip
            (folder / "done.pickle").write_bytes(pickle.dumps(done))
    return common / "sweep", pickle.loads((common / "sweep" / "done.pickle").read_bytes())


def test_a_failing_job_stops_no_other_and_is_told(sweep: tuple[Path, _DONE]) -> None:
    folder, done = sweep
    assert done.returncode == 1
    statuses = {r.path.name: r.record().status for r in runs.listing(folder / "mine")}
    assert statuses == {"0": "failed", "1": "failed", "2": "done", "3": "done"}
    log = (folder / "mine" / "0" / "train.log").read_text()
    assert "Traceback" in log
    assert "the loss became" in log
    assert "the loss became" in files.read_json(folder / "mine" / "0" / "run.json")["error"]
    table = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert len([line for line in table if "done" in line]) == 2
    assert len([line for line in table if "failed" in line]) == 2
    assert "seed=1" in done.stdout
    assert "dataset.per_emotion" not in "".join(table), "only what was swept is in the table"
    assert "tensorboard --logdir mine/tb-jobs\n" in done.stdout
    assert "train what is not done: python -m emotion.train -m" in done.stdout
    assert "hydra.sweep.dir=mine resume=true" in done.stdout
    assert ", 1 of 4\n" in done.stderr, "where the sweep stands"
    assert re.search(r"job 3 \(.*seed=1\), 4 of 4, about .* left", done.stderr)
    jobs = {run.path.name: run for run in runs.listing(folder / "mine")}
    assert jobs["3"].record().swept == {"trainer.class_weight": "sqrt", "seed": "1"}
    assert swept.board(jobs["3"]) == folder / "mine" / "tb-jobs" / "class_weight=sqrt, seed=1"
    assert list(swept.board(jobs["3"]).glob("events.*"))
    assert not (jobs["3"].path / "tb").exists(), "one run a job"
    assert len(list((folder / "mine" / "tb-jobs").iterdir())) == 4
    comparison = files.read_json(folder / "mine" / "comparison" / "comparison.json")
    (entry,) = comparison["boards"][0]["entries"]
    assert entry["seeds"] == [0, 1], "the runs that are done are compared, those that failed are not"


def test_a_job_knows_what_it_was_given_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep_of_train, "in_child", lambda run: None)
    for changes in ("false", "true"):
        arguments = ["-m", "seed=0,1", f"hydra.job.chdir={changes}", "hydra.sweep.subdir=jobs/${hydra.job.num}"]
        cli.launch(cli.request("train", [*arguments, f"hydra.sweep.dir={changes}"]), sweep_of_train.job)
        found = [run.record().swept for run in runs.listing(tmp_path / changes)]
        assert found == [{"seed": "0"}, {"seed": "1"}]


def test_a_job_equals_the_same_run_alone(sweep: tuple[Path, _DONE], tmp_path: Path) -> None:
    folder, _ = sweep
    emotion(
        "train", *TINY, "trainer.class_weight=sqrt", "seed=1", "trainer.deterministic=true", "hydra.run.dir=alone",
        cwd=tmp_path,
    )  # fmt: skip
    with np.load(folder / "mine" / "3" / "predictions.npz") as job, np.load(tmp_path / "alone/predictions.npz") as run:
        np.testing.assert_array_equal(job["test_probabilities"], run["test_probabilities"])
    again = (folder / "mine" / "3" / "run.json").read_text()
    assert '"command": "python -m emotion.train' in again
    assert "seed=1" in again


@pytest.mark.nightly
def test_resume_skips_what_is_done_and_tries_the_rest(sweep: tuple[Path, _DONE], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sweep[0], tmp_path / "sweep"))
    before = {n: (folder / "mine" / n / "metrics.json").stat().st_mtime_ns for n in ("2", "3")}
    arguments = ["-m", *TINY, f"trainer.class_weight={HEAVY},sqrt", "seed=range(2)", "hydra.sweep.dir=mine",
                 "trainer.deterministic=true"]  # fmt: skip
    refused = emotion("train", *arguments, cwd=folder, check=False)
    assert refused.returncode == 2
    assert "resume=true" in refused.stderr
    done = emotion("train", *arguments, "resume=true", cwd=folder, check=False)
    assert done.returncode == 1
    assert done.stderr.count("done already") == 2
    assert {n: (folder / "mine" / n / "metrics.json").stat().st_mtime_ns for n in ("2", "3")} == before
    # Jobs that are done but are not what was asked for are no success, even when none of them failed.
    mine = folder / "only-done"
    shutil.copytree(folder / "mine" / "3", mine / "0")
    arguments = ["-m", *TINY, "trainer.class_weight=sqrt", "seed=1", "trainer.deterministic=true",
                 "hydra.sweep.dir=only-done", "resume=true"]  # fmt: skip
    other = emotion("train", *arguments, "trainer.learning_rate=0.5", cwd=folder, check=False)
    assert other.returncode == 1
    assert "another config" in other.stderr + other.stdout
    assert emotion("train", *arguments, cwd=folder).returncode == 0
    longer = emotion("train", *arguments, "trainer.epochs=3", cwd=folder)
    assert "done already" not in longer.stderr
    assert files.read_json(mine / "0" / "run.json")["epoch"] == 3


@pytest.mark.nightly
def test_the_launcher_stays_small_and_a_killed_job_is_resumed(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "emotion.train", "-m", *TINY, "trainer.epochs=4", "seed=0,1", "hydra.sweep.dir=mine"]
    hold = Hold(tmp_path, 2, "0")
    launcher = subprocess.Popen(
        line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=hold.environment()
    )
    hold.until_held(launcher, "0")
    process = psutil.Process(launcher.pid)
    (job,) = process.children()
    assert process.memory_info().rss < 200e6, "the launcher holds no TensorFlow"
    job.kill()
    output, _ = launcher.communicate(timeout=300)
    assert launcher.returncode == 1
    record = files.read_json(tmp_path / "mine" / "0" / "run.json")
    assert record["status"] == "failed"
    assert "killed by signal 9" in record["error"]
    assert "killed by signal 9" in output
    emotion("train", *line[3:], "resume=true", cwd=tmp_path)
    assert {r.record().status for r in runs.listing(tmp_path / "mine")} == {"done"}
    assert (tmp_path / "mine" / "0" / "history.csv").read_text().count("\n") == 5


@pytest.mark.nightly
def test_ctrl_c_ends_the_job_and_the_sweep(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "emotion.train", "-m", *TINY, "seed=0,1", "hydra.sweep.dir=mine"]
    hold = Hold(tmp_path, 1)
    launcher = subprocess.Popen(
        line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env=hold.environment(),
    )  # fmt: skip
    hold.until_held(launcher, "0")
    os.killpg(launcher.pid, signal.SIGINT)  # as a terminal does: to the launcher and its job
    output, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 130, output
    assert files.read_json(tmp_path / "mine" / "0" / "run.json")["status"] == "interrupted"
    assert not (tmp_path / "mine" / "1").exists(), "the second job did not begin"
    assert "stopped; continue the sweep: python -m emotion.train -m" in output
    assert "hydra.sweep.dir=mine resume=true" in output
    assert "emotion.train resume=" not in output, "not with one of its jobs"
    assert "Traceback" not in output
