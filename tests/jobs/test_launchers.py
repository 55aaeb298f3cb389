"""Sweeps whose jobs run side by side: every job told, stopped well, gone on with; nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from emotion import runs
from emotion.base import files, provenance
from emotion.jobs import sweep_table
from tests.base.test_devices import TWO_GPUS, fake_nvidia_smi
from tests.conftest import TINY, compose, emotion
from tests.helpers.hold import Hold
from tests.helpers.tiers import rest_nightly
from tests.helpers.trainings import HEAVY, rows

_SWEEP = ("-m", *TINY, "trainer.epochs=4", f"trainer.class_weight=sqrt,balanced,{HEAVY}", "hydra/launcher=joblib",
          "hydra.launcher.n_jobs=2", "hydra.sweep.dir=mine")  # fmt: skip


def _processes(folder: Path) -> list[psutil.Process]:
    """The live processes that work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _until(happened: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def _record(run: Path) -> dict[str, Any]:
    """What a run's file itself says, whether or not a process still holds the run."""
    return files.read_json(run / "run.json") if (run / "run.json").exists() else {}


def _statuses(folder: Path) -> dict[str, str]:
    return {r.path.name: r.record().status for r in runs.listing(folder)}


@pytest.fixture
def tidied(tmp_path: Path) -> Iterator[Path]:
    """A folder whose processes are ended with the test, however that ends."""
    yield tmp_path
    for process in _processes(tmp_path):
        process.kill()


@pytest.mark.nightly
@pytest.mark.slow
def test_a_sweep_side_by_side_is_killed_interrupted_and_gone_on_with(tidied: Path) -> None:
    environment = {**os.environ, "PATH": fake_nvidia_smi(tidied / "bin", TWO_GPUS), "TMPDIR": str(tidied)}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    mine = tidied / "mine"

    def launched(*more: str, epoch: int | None = None) -> subprocess.Popen[str]:
        """Start the sweep; its jobs wait after an epoch."""
        hold = Hold(tidied / f"epoch {epoch}", epoch) if epoch else None
        if hold:
            hold.folder.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-m", "emotion.train", *_SWEEP, *more],
            cwd=tidied, env=hold.environment(environment) if hold else environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if hold:
            hold.until_held(process, "0", "1")
        return process

    launcher = launched(epoch=1)
    training = [p.environ() for p in _processes(tidied) if "emotion.train.job" in p.cmdline()]
    assert sorted(e["CUDA_VISIBLE_DEVICES"] for e in training) == ["GPU-aaa", "GPU-bbb"], "one GPU a job"
    share = str(max(1, len(os.sched_getaffinity(0)) // 2))
    assert {e["TF_NUM_INTRAOP_THREADS"] for e in training} == {share}, "and its part of the cores"
    launcher.kill()
    launcher.communicate(timeout=60)
    _until(lambda: not _processes(tidied))
    assert [_record(mine / n)["status"] for n in ("0", "1")] == ["interrupted"] * 2

    launcher = launched("resume=true", epoch=2)
    os.killpg(launcher.pid, signal.SIGINT)  # as a terminal does
    output = launcher.communicate(timeout=120)[0]
    assert launcher.returncode == 130, output
    assert "stopping" in output
    assert "Traceback" not in output
    assert not [p for p in _processes(tidied) if "emotion.train.job" in p.cmdline()]
    assert [_record(mine / n)["status"] for n in ("0", "1")] == ["interrupted"] * 2
    kept = {n: rows(mine / n) for n in ("0", "1")}
    assert not (mine / "2" / "run.json").exists(), "what had not begun did not begin"

    done = launched("resume=true")
    output = done.communicate(timeout=400)[0]
    assert done.returncode == 1, output
    assert _statuses(mine) == {"0": "done", "1": "done", "2": "failed"}
    for number, before in kept.items():
        after = rows(mine / number)
        assert after[: len(before)] == before, "no epoch was trained twice"
        assert [row.split(",")[0] for row in after] == [str(epoch + 1) for epoch in range(4)]
    table = [row for row in output.splitlines() if row.startswith("│")]
    assert len([row for row in table if " done " in row]) == 2
    assert len([row for row in table if " failed " in row]) == 1
    assert "job 2: the loss became" in output
    assert "job 0 (trainer.class_weight=sqrt): done" in output
    assert "2 of 3 done" in output
    assert not list(mine.glob(".stop*"))


_HIDE = """
import importlib.abc, sys
class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith("hydra_plugins"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hide())
from emotion.train import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "package"), [("joblib", "hydra-joblib-launcher"), ("slurm", "hydra-submitit-launcher")]
)
def test_a_missing_plugin_says_what_to_install(launcher: str, package: str, tmp_path: Path) -> None:
    line = [sys.executable, "-c", _HIDE, "-m", f"hydra/launcher={launcher}", "seed=0,1"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"pip install {package}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hydra/launcher=slrum",), "Did you mean 'slurm'?"),
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=two"), "n_jobs"),
        (("hydra/launcher=joblib", "hydra.launcher.jobs=2"), "jobs"),
        (("hydra/launcher=slurm", "hydra.launcher.partion=gpu"), "partion"),
        (("hydra/launcher=slurm",), "there is no sbatch here"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    nowhere = {**os.environ, "PATH": str(tmp_path)}
    done = emotion("train", "-m", *arguments, "seed=0,1", cwd=tmp_path, check=False, env=nowhere)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("**/run.json"))


def _made(folder: Path, number: int, **record: object) -> runs.Run:
    run = runs.create(folder / str(number), folder, compose("train", *TINY))
    runs.update(run, **record)
    return run


@pytest.mark.slow
def test_progress_tells_this_attempt_from_the_one_before(tmp_path: Path) -> None:
    _made(tmp_path, 0, status="done", epoch=2, best=0.5)
    _made(tmp_path, 1, status="failed", started=provenance.now(), finished=provenance.now())
    sweep = sweep_table.Sweep(tmp_path, {n: ["x=1", f"seed={n}"] for n in range(4)})
    assert sweep.skipped == 1
    assert sweep.summary() == "1 of 4 done, 3 to come"
    assert sweep.name(2) == "job 2 (seed=2)", "only what differs"

    _made(tmp_path, 2)  # its process is starting, and holds no lock yet
    assert sweep.refresh() == [2]
    assert sweep.states[2].status == "running"
    runs.update(runs.Run(tmp_path / "1", "1"), status="done", epoch=2, best=0.25)
    runs.update(runs.Run(tmp_path / "2", "2"), status="failed", finished=provenance.now())
    assert sweep.refresh() == [1, 2]
    assert sweep.line(1).startswith("job 1 (seed=1): done  best val_macro_f1 0.250")
    assert sweep.summary().startswith("2 of 4 done, 1 failed, 1 to come, about ")
    assert sweep.refresh() == []


@pytest.mark.slow
def test_the_table_shows_what_trains_before_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_table, "_ROWS", 2)
    for number in range(3):
        _made(tmp_path, number, status="done", epoch=2, best=0.5)
    _made(tmp_path, 3, epoch=1, best=0.125)
    sweep = sweep_table.Sweep(tmp_path, {n: [f"seed={n}"] for n in range(9)})
    with (tmp_path / "screen").open("w") as screen:
        console = Console(width=100, file=screen)
        console.print(sweep.table("3 wait in Slurm's queue"))
    lines = [line.rstrip() for line in (tmp_path / "screen").read_text().splitlines()]
    assert lines[1:] == [
        "0    seed=0  done       2/2  val_macro_f1 0.500",
        "3    seed=3  running    1/2  val_macro_f1 0.125",
        "3 of 9 done, 1 running, 5 to come  3 wait in Slurm's queue",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", rest_nightly([[], ["hydra.launcher.n_jobs=-1"], ["hydra.launcher.n_jobs=8"]]))
def test_joblib_s_own_number_of_jobs(jobs: list[str], tmp_path: Path) -> None:
    done = emotion(
        "train", "-m", "hydra/launcher=joblib", *jobs, *TINY, "seed=1,2", "hydra.sweep.dir=mine", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert _statuses(tmp_path / "mine") == {"0": "done", "1": "done"}
