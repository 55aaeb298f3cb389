"""Jobs of a sweep side by side on this machine: ``python -m emotion.train -m hydra/launcher=joblib 'seed=range(6)'``.

joblib's workers only wait: each trains its jobs in child processes, one after the other. joblib itself kills workers
and all below them when it is interrupted, so a sweep that is stopped asks the workers first, by a file.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

from hydra.core.utils import JobReturn
from hydra_plugins.hydra_joblib_launcher import joblib_launcher
from joblib.externals.loky.process_executor import TerminatedWorkerError
from omegaconf import DictConfig, open_dict

from emotion import runs
from emotion.base import devices
from emotion.base.interrupts import Interrupted, handled
from emotion.jobs import child, sweep_table
from emotion.jobs.child import JobFailedError

#: Seconds in which several signals count as one: `timeout` and service managers send theirs twice.
_ONE_PRESS = 1.0

_STOPPING = "stopping: the jobs in training keep their last complete epoch; a second Ctrl-C stops at once"


class JoblibLauncher(joblib_launcher.JoblibLauncher):
    """Hydra's launcher, with progress, a clean end of every job, and a number of jobs that fits the machine."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        assert self.config is not None
        wanted = self.joblib["n_jobs"] or devices.default_jobs()
        parallel = min(wanted if wanted > 0 else max(1, devices.cores() + 1 + wanted), len(job_overrides))
        with open_dict(self.config):
            self.config.hydra.launcher.n_jobs = self.joblib["n_jobs"] = parallel
            # Each job composes its config anew, and divides the machine by this number.
            self.config.hydra.overrides.hydra.append(f"hydra.launcher.n_jobs={parallel}")
        sweep = sweep_table.Sweep.launched(self.config, job_overrides, initial_job_idx)
        print(f"{len(job_overrides)} jobs, {parallel} at a time, in {sweep.folder}", file=sys.stderr)
        with stopping(sweep.folder) as signals, sweep_table.shown(sweep, lambda: _STOPPING if signals else ""):
            try:
                results = super().launch(job_overrides, initial_job_idx)
            except TerminatedWorkerError:
                raise JobFailedError("a worker process was killed; continue with resume=true") from None
        return sweep_table.checked(results)


@contextmanager
def stopping(folder: Path) -> Iterator[list[int]]:
    """On the first SIGINT or SIGTERM ask the jobs to end and let them; on the second, stop at once.

    Yields:
        The signals that came so far.

    Raises:
        KeyboardInterrupt, emotion.base.interrupts.Interrupted: After all jobs have ended, if they were asked to.
    """
    mark = _mark(folder, os.getpid())
    signals: list[int] = []
    first = 0.0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal first
        first = first or time.monotonic()
        signals.append(number)
        mark.touch()
        if time.monotonic() - first > _ONE_PRESS:
            raise KeyboardInterrupt

    try:
        with handled(stop, (signal.SIGINT, signal.SIGTERM)):
            yield signals
    finally:
        mark.unlink(missing_ok=True)
        if signals:
            raise KeyboardInterrupt if signals[0] == signal.SIGINT else Interrupted


def begin(folder: Path, job: int) -> None:
    """For a worker: refuse a job of a sweep that is being stopped."""
    _launcher()
    _leave_if_abandoned()
    if _mark(folder, _launcher()).exists():
        raise JobFailedError(f"job {job}: the sweep was stopped before it began")


def train(run: runs.Run, cfg: DictConfig, jobs: int) -> None:
    """For a worker: train in a child on this job's share of the machine; JobFailedError unless it ends well."""
    mark = _mark(run.path.parent, _launcher())
    whole = cfg.trainer.strategy == "mirrored"
    # With another number of threads sums come out in another order: bit-exact repeats go before speed.
    divide = cfg.trainer.threads is None and not cfg.trainer.deterministic
    try:
        with devices.share(jobs, whole_machine=whole, threads=divide) as mine:
            child.in_child(
                run,
                environment=mine.environment,
                descriptors=mine.descriptors,
                output=run.path / "output.log",
                asked_to_stop=lambda: mark.exists() or os.getppid() != _launcher(),
            )
    except (KeyboardInterrupt, Interrupted):  # these would take joblib's other workers along
        raise JobFailedError(f"run {run.id}: interrupted") from None
    finally:
        _leave_if_abandoned()


@cache
def _launcher() -> int:
    """The process that launched this worker, and handles a terminal's Ctrl-C for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return os.getppid()


def _leave_if_abandoned() -> None:
    """Without its launcher a worker of joblib would wait for jobs for ever."""
    if os.getppid() != _launcher():
        os._exit(1)


def _mark(folder: Path, launcher: int) -> Path:
    return folder / f".stop-{launcher}"
