"""Sweeps from the command line: every job a run, failures told, done jobs skipped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from emotion import runs
from emotion.base import files
from tests.conftest import TINY, emotion

pytestmark = pytest.mark.slow

# The second value fails in training, not in validation: its weights overflow float32.
_HEAVY = "{angry: 1e38, disgusted: 1e38, fearful: 1e38, happy: 1e38, neutral: 1e38, sad: 1e38, surprised: 1e38}"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("sweep")
    done = emotion(
        "train", "-m", *TINY, f"trainer.class_weight={_HEAVY},sqrt", "seed=range(2)", "hydra.sweep.dir=mine",
        "trainer.deterministic=true", "compare=true", cwd=folder, check=False,
    )  # fmt: skip
    return folder, done


def test_a_failing_job_stops_no_other_and_is_told(sweep: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
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
    assert "tensorboard --logdir mine" in done.stdout
    comparison = files.read_json(folder / "mine" / "comparison" / "comparison.json")
    (entry,) = comparison["boards"][0]["entries"]
    assert entry["seeds"] == [0, 1], "the runs that are done are compared, those that failed are not"


def test_a_job_equals_the_same_run_alone(sweep: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
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


def test_resume_skips_what_is_done_and_tries_the_rest(sweep: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = sweep
    before = {n: (folder / "mine" / n / "metrics.json").stat().st_mtime_ns for n in ("2", "3")}
    arguments = ["-m", *TINY, f"trainer.class_weight={_HEAVY},sqrt", "seed=range(2)", "hydra.sweep.dir=mine",
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


def test_the_launcher_stays_small_and_a_killed_job_is_resumed(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "emotion.train", "-m", *TINY, "trainer.epochs=4", "seed=0,1", "hydra.sweep.dir=mine"]
    launcher = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    process = psutil.Process(launcher.pid)
    killed, largest = False, 0
    while launcher.poll() is None:
        try:
            largest = max(largest, process.memory_info().rss)
            history = tmp_path / "mine" / "0" / "history.csv"
            children = process.children()
        except psutil.NoSuchProcess:
            break
        if not killed and children and history.is_file() and len(history.read_text().splitlines()) > 2:
            children[0].kill()
            killed = True
        time.sleep(0.02)
    assert launcher.stdout
    output = launcher.stdout.read()
    launcher.stdout.close()
    assert killed
    assert launcher.returncode == 1
    record = files.read_json(tmp_path / "mine" / "0" / "run.json")
    assert record["status"] == "failed"
    assert "killed by signal 9" in record["error"]
    assert "killed by signal 9" in output
    assert largest < 200e6, "the launcher holds no TensorFlow"
    emotion("train", *line[3:], "resume=true", cwd=tmp_path)
    assert {r.record().status for r in runs.listing(tmp_path / "mine")} == {"done"}
    assert (tmp_path / "mine" / "0" / "history.csv").read_text().count("\n") == 5


def test_ctrl_c_ends_the_job_and_the_sweep(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "emotion.train", "-m", *TINY, "trainer.epochs=500", "seed=0,1",
            "hydra.sweep.dir=mine"]  # fmt: skip
    launcher = subprocess.Popen(
        line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    history = tmp_path / "mine" / "0" / "history.csv"
    while launcher.poll() is None and not history.is_file():
        time.sleep(0.05)
    os.killpg(launcher.pid, signal.SIGINT)  # as a terminal does: to the launcher and its job
    output, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 130, output
    assert files.read_json(tmp_path / "mine" / "0" / "run.json")["status"] == "interrupted"
    assert not (tmp_path / "mine" / "1").exists(), "the second job did not begin"
    assert "Traceback" not in output
