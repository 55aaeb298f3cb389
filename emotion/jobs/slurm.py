"""Jobs of a sweep on a Slurm cluster: ``python -m emotion.train -m hydra/launcher=slurm 'seed=range(6)'``.

submitit submits the jobs and starts them on their nodes. Hydra's plugin would give up at the first job that was
cancelled, and wait for ever where Slurm has no accounting; so this module waits, by the queue and the jobs' results.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import submitit
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
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
    """Hydra's launcher, with progress and a message for every job, however it ended."""

    def setup(self, **context: Any) -> None:
        if shutil.which("sbatch") is None:
            raise UserError(
                "hydra/launcher=slurm: there is no sbatch here. Start the sweep on a machine of the cluster, or use "
                "hydra/launcher=joblib on this one"
            )
        super().setup(**context)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        sweep = sweep_table.Sweep.launched(self.config, job_overrides, initial_job_idx)
        jobs = self._submit(job_overrides, list(sweep.states))
        name = jobs[0].job_id.partition("_")[0]
        output = jobs[0].paths.folder.parent
        print(f"Slurm job {name}: {len(jobs)} jobs in {sweep.folder}; their output: {output}/", file=sys.stderr)
        queue = Queue([job.job_id for job in jobs])
        try:
            with sweep_table.shown(sweep, queue.note):
                results = _results(jobs, queue)
        except (KeyboardInterrupt, Interrupted):
            print(
                f"the jobs continue in Slurm; list them: squeue --job {name}; cancel them: scancel {name}. "
                f"When they have ended, the command with resume=true hydra.sweep.dir={sweep.folder} prints a table",
                file=sys.stderr,
            )
            raise
        return sweep_table.checked(results)

    def _submit(self, job_overrides: Sequence[Sequence[str]], numbers: list[int]) -> list[submitit.Job[JobReturn]]:
        base = {f.name for f in fields(BaseQueueConf)}
        options = dict(self.params)
        executor = submitit.AutoExecutor(
            cluster="slurm",
            folder=options.pop("submitit_folder"),
            slurm_max_num_timeout=options.pop("max_num_timeout"),
        )
        try:
            executor.update_parameters(**{k if k in base else f"slurm_{k}": v for k, v in options.items()})
            jobs: list[submitit.Job[JobReturn]] = executor.map_array(
                self,
                [list(overrides) for overrides in job_overrides],
                ["hydra.sweep.dir"] * len(numbers),
                numbers,
                [f"job_id_for_{number}" for number in numbers],
                [Singleton.get_state()] * len(numbers),
            )
            return jobs
        except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
            lines = str(error).splitlines()
            reason = " ".join([line for line in lines if "error:" in line] or lines[:1])
            raise UserError(f"hydra/launcher=slurm: Slurm did not accept the jobs ({reason})") from None


class Queue:
    """Which of our jobs are still in Slurm's queue."""

    def __init__(self, names: Sequence[str]) -> None:
        self.states: dict[str, str] = dict.fromkeys(names, "PENDING")
        self.absences = dict.fromkeys(names, 0)
        self.fault = ""

    def ask(self) -> None:
        """Read the queue; without an answer nothing is known to have changed."""
        command = ["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format", "%i %T"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        except (OSError, subprocess.SubprocessError) as error:
            self.fault = f"Slurm does not answer ({(getattr(error, 'stderr', None) or str(error)).strip()})"
            return
        self.fault = ""
        queued = dict(line.split()[:2] for line in answer.splitlines() if len(line.split()) >= 2)
        self.states = {name: queued[name] for name in self.absences if name in queued}
        for name in self.absences:
            self.absences[name] = 0 if name in queued else self.absences[name] + 1

    def note(self) -> str:
        if self.fault:
            return self.fault
        waiting = sum(state == "PENDING" for state in self.states.values())
        return f"{waiting} wait in Slurm's queue" if waiting else ""


def _results(jobs: Sequence[submitit.Job[JobReturn]], queue: Queue) -> list[JobReturn]:
    """Wait until every job is out of the queue; a job that left no result has failed."""
    results: dict[str, JobReturn] = {}
    while True:
        queue.ask()
        for job in jobs:
            if job.job_id in results or queue.absences[job.job_id] == 0:
                continue  # a job with a result that is in the queue was put there again, after its time was up
            if job.paths.result_pickle.exists():
                results[job.job_id] = _result(job)
            elif queue.absences[job.job_id] >= _ABSENCES:
                results[job.job_id] = _failed(f"Slurm job {job.job_id} was cancelled or killed; see {job.paths.stderr}")
        if len(results) == len(jobs):
            return [results[job.job_id] for job in jobs]
        time.sleep(_ASK_EVERY)


def _result(job: submitit.Job[JobReturn]) -> JobReturn:
    outcome, value = job._get_outcome_and_result()
    if outcome != "success":
        return _failed(f"Slurm job {job.job_id}: {str(value).strip().splitlines()[-1]}; see {job.paths.stderr}")
    result: JobReturn = value
    return result


def _failed(message: str) -> JobReturn:
    print(message, file=sys.stderr)
    result = JobReturn()
    result.status, result.return_value = JobStatus.FAILED, JobFailedError(message)
    return result


def train(run: runs.Run) -> None:
    """For a job on its node: train in a child, with a thread per core from Slurm; JobFailedError if it was stopped."""
    try:
        child.in_child(run, environment=devices.slurm_threads())
    except (KeyboardInterrupt, Interrupted):  # submitit stores results and exceptions, but not these
        raise JobFailedError(f"run {run.id}: interrupted") from None


def was_requeued() -> bool:
    """Whether Slurm starts this job again: its time was up, or others had to make room for it."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0
