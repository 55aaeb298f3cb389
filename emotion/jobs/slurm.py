"""Jobs of a sweep on a Slurm cluster: ``python -m emotion.train -m hydra/launcher=slurm seed=range(6)``.

submitit submits the jobs and starts them on their nodes. Hydra's plugin then waits for one after the other, gives up at
the first that was cancelled, and waits for ever where Slurm keeps no accounts; so the waiting is done here, by the
queue and by the jobs' results.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import submitit
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra_plugins.hydra_submitit_launcher import submitit_launcher
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from submitit.core.utils import FailedJobError, FailedSubmissionError

from emotion import runs
from emotion.base import devices
from emotion.base.errors import UserError
from emotion.base.interrupts import Interrupted
from emotion.jobs import child, sweep_table
from emotion.jobs.child import JobFailedError

#: Seconds between two questions to Slurm about the queue.
_ASK_EVERY = 3.0

#: A job without a result is lost after being out of the queue this many times in a row: files may be late.
_ABSENCES = 3


class SlurmLauncher(submitit_launcher.SlurmLauncher):
    """Hydra's launcher, with progress and a word for every job, however it ended."""

    def setup(self, **context: Any) -> None:
        if shutil.which("sbatch") is None:
            raise UserError(
                "hydra/launcher=slurm: there is no sbatch here. Start the sweep on a machine of the cluster, or use "
                "hydra/launcher=joblib on this one"
            )
        super().setup(**context)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        assert self.config is not None
        folder = Path(str(self.config.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        sweep = sweep_table.Sweep(folder, dict(zip(numbers, map(filter_overrides, job_overrides), strict=True)))
        jobs = self._submit(job_overrides, numbers)
        name = jobs[0].job_id.partition("_")[0]
        print(f"Slurm job {name}: {len(jobs)} jobs in {folder}; their output: {jobs[0].paths.folder.parent}/",
              file=sys.stderr)  # fmt: skip
        queue = Queue([job.job_id for job in jobs])
        try:
            with sweep_table.shown(sweep, queue.note):
                results = _results(jobs, queue)
        except (KeyboardInterrupt, Interrupted):
            print(
                f"the jobs go on in Slurm; see them: squeue --job {name}; cancel them: scancel {name}. "
                f"When they have ended, the same command with resume=true hydra.sweep.dir={folder} shows the table",
                file=sys.stderr,
            )
            raise
        return sweep_table.checked(results)

    def _submit(self, job_overrides: Sequence[Sequence[str]], numbers: range) -> list[submitit.Job[JobReturn]]:
        base = {f.name for f in fields(BaseQueueConf)}
        options = dict(self.params)
        executor = submitit.AutoExecutor(
            cluster="slurm",
            folder=options.pop("submitit_folder"),
            slurm_max_num_timeout=options.pop("max_num_timeout"),
        )
        try:
            executor.update_parameters(**{k if k in base else f"slurm_{k}": v for k, v in options.items()})
            return executor.map_array(
                self,
                [list(overrides) for overrides in job_overrides],
                ["hydra.sweep.dir"] * len(numbers),
                list(numbers),
                [f"job_id_for_{number}" for number in numbers],
                [Singleton.get_state()] * len(numbers),
            )
        except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
            said = [line for line in str(error).splitlines() if "error:" in line] or str(error).splitlines()[:1]
            raise UserError(f"hydra/launcher=slurm: Slurm did not take the jobs ({' '.join(said)})") from None


class Queue:
    """Which of our jobs Slurm still has, asked now and then."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = set(names)
        self.states: dict[str, str] = dict.fromkeys(names, "PENDING")
        self.absences = dict.fromkeys(names, 0)
        self.fault = ""

    def ask(self) -> None:
        """Read the queue; without an answer nothing is known to have changed."""
        command = ["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format", "%i %T"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        except (OSError, subprocess.SubprocessError) as error:
            self.fault = f"Slurm does not answer ({(getattr(error, 'stderr', None) or str(error)).strip()})"
            return
        self.fault = ""
        found = dict(line.split()[:2] for line in told.splitlines() if len(line.split()) >= 2)
        self.states = {name: found[name] for name in self.names if name in found}
        for name in self.names:
            self.absences[name] = 0 if name in found else self.absences[name] + 1

    def note(self) -> str:
        if self.fault:
            return self.fault
        waiting = sum(state == "PENDING" for state in self.states.values())
        return f"{waiting} wait in Slurm's queue" if waiting else ""


def _results(jobs: Sequence[submitit.Job[JobReturn]], queue: Queue) -> list[JobReturn]:
    """Wait until every job is out of the queue; what each returned, or that it ended without a word."""
    found: dict[str, JobReturn] = {}
    while True:
        queue.ask()
        for job in jobs:
            if job.job_id in found or queue.absences[job.job_id] == 0:
                continue  # a job with a result that is in the queue was put there again, after its time was up
            if job.paths.result_pickle.exists():
                found[job.job_id] = _result(job)
            elif queue.absences[job.job_id] >= _ABSENCES:
                found[job.job_id] = _failed(f"Slurm job {job.job_id} was cancelled or killed; see {job.paths.stderr}")
        if len(found) == len(jobs):
            return [found[job.job_id] for job in jobs]
        time.sleep(_ASK_EVERY)


def _result(job: submitit.Job[JobReturn]) -> JobReturn:
    outcome, value = job._get_outcome_and_result()
    if outcome == "success":
        return value
    return _failed(f"Slurm job {job.job_id}: {str(value).strip().splitlines()[-1]}; see {job.paths.stderr}")


def _failed(why: str) -> JobReturn:
    print(why, file=sys.stderr)
    ended = JobReturn()
    ended.status = JobStatus.FAILED
    ended.return_value = JobFailedError(why)
    return ended


def train(run: runs.Run) -> None:
    """For a job on its node: train a run in a child, with as many threads as Slurm gave it cores.

    Raises:
        JobFailedError: It did not end well, or Slurm stopped it.
    """
    try:
        child.in_child(run, environment=devices.slurm_threads())
    except (KeyboardInterrupt, Interrupted):  # submitit writes down results and exceptions, but not these
        raise JobFailedError(f"run {run.id}: interrupted") from None


def was_requeued() -> bool:
    """Whether Slurm starts this job again: its time was up, or others had to make room for it."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0
