"""A sweep on a real Slurm cluster: a job that fails, one that is cancelled, one that Slurm puts back into its queue."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emotion import runs
from emotion.base import files
from tests.conftest import TINY
from tests.helpers.hold import Hold
from tests.helpers.slurm_cluster import cluster, missing
from tests.helpers.trainings import HEAVY, rows

pytestmark = [pytest.mark.slow, pytest.mark.nightly(nights=1)]

_SWEEP = ("-m", *TINY, "trainer.epochs=4", f"trainer.class_weight={HEAVY},sqrt,balanced,effective",
          "hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1",
          "hydra.sweep.dir=mine")  # fmt: skip


@pytest.fixture
def slurm() -> Iterator[dict[str, str]]:
    why = missing()
    if why:
        pytest.skip(f"no Slurm cluster: {why}")
    with cluster(cpus=2) as environment:
        yield {**os.environ, **environment}


def _slurm_job(slurm: dict[str, str], number: int) -> str:
    line = ["squeue", "--noheader", "--array", "--format", "%i"]
    names = subprocess.run(line, env=slurm, capture_output=True, text=True, check=True).stdout.split()
    return next(name for name in names if name.endswith(f"_{number}"))


def test_a_sweep_of_four_with_a_failing_a_cancelled_and_a_requeued_job(slurm: dict[str, str], tmp_path: Path) -> None:
    line = [sys.executable, "-m", "emotion.train", *_SWEEP]
    hold = Hold(tmp_path, 2)
    hold.release("3")
    launcher = subprocess.Popen(
        line, cwd=tmp_path, env=hold.environment(slurm), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    mine, kept = tmp_path / "mine", {}
    signals = {1: ["scancel"], 2: ["scancel", "--signal=USR2"]}  # the second is what submitit's jobs get before the end
    for number, command in signals.items():
        hold.until_held(launcher, str(number))
        kept[number] = rows(mine / str(number))
        subprocess.run([*command, _slurm_job(slurm, number)], env=slurm, check=True)
    output = launcher.communicate()[0]
    assert launcher.returncode == 1, output
    assert {r.path.name: files.read_json(r.path / "run.json")["status"] for r in runs.listing(mine)} == {
        "0": "failed", "1": "interrupted", "2": "done", "3": "done",
    }  # fmt: skip
    assert "their output: " in output
    assert "job 1 (trainer.class_weight=sqrt): interrupted" in output
    assert "2 of 4 done, 1 failed, 1 interrupted" in output
    assert "Traceback" not in output
    table = [row for row in output.splitlines() if row.startswith("│")]
    assert [sum(f" {status} " in row for row in table) for status in ("done", "failed", "interrupted")] == [2, 1, 1]
    _goes_on(kept[2], mine / "2")
    assert (
        files.read_json(mine / "2" / "run.json")["objective"] == files.read_json(mine / "3" / "run.json")["objective"]
    )

    before = {n: (mine / n / "metrics.json").stat().st_mtime_ns for n in ("2", "3")}
    done = subprocess.run([*line, "resume=true"], cwd=tmp_path, env=slurm, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "2 of 4 jobs are done already" in done.stderr
    assert {r.path.name: r.record().status for r in runs.listing(mine)} == {
        "0": "failed", "1": "done", "2": "done", "3": "done",
    }  # fmt: skip
    assert {n: (mine / n / "metrics.json").stat().st_mtime_ns for n in ("2", "3")} == before
    _goes_on(kept[1], mine / "1")


def _goes_on(kept: list[str], run: Path) -> None:
    """A run's history begins with what it had when it was stopped, and has every epoch once."""
    trained = rows(run)
    assert trained[: len(kept)] == kept
    assert [row.split(",")[0] for row in trained] == [str(epoch + 1) for epoch in range(4)]


def test_what_slurm_refuses_is_told(slurm: dict[str, str], tmp_path: Path) -> None:
    line = [sys.executable, "-m", "emotion.train", *_SWEEP, "hydra.launcher.partition=gpu"]
    done = subprocess.run(line, cwd=tmp_path, env=slurm, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "invalid partition" in done.stderr
    assert "Traceback" not in done.stderr
