"""How a sweep goes whose jobs run side by side: a live table in a terminal, plain lines where output is not one.

It reads the jobs' folders, so it is the same for jobs on this machine and on a cluster.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from omegaconf import DictConfig
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from emotion import runs
from emotion.base.errors import UserError
from emotion.base.progress import Pace
from emotion.base.words import duration
from emotion.jobs.child import JobRefusedError

_POLL_SECONDS = 1.0
#: Between two lines about one job's epochs.
_SECONDS_BETWEEN_LINES = 10.0
#: At most this many jobs are shown in the table; those in training come first.
_ROWS = 20
#: At most this many characters of a job's overrides stand in a line about it.
_NAME = 60

_ORDER = {"running": 0, "failed": 1, "interrupted": 2, "done": 3, "to come": 4}


@dataclass(frozen=True)
class JobState:
    """What a job's folder says about it."""

    status: str = "to come"
    epoch: int = 0
    epochs: int = 0
    monitor: str = ""
    best: float | None = None

    @property
    def score(self) -> str:
        return "" if self.best is None else f"{self.monitor} {self.best:.3f}"


class Sweep:
    """The jobs of a sweep, by number, and their states since this object was made.

    Jobs are in subfolders of the sweep's folder named by their number; ``overrides`` has the ``key=value`` of each.
    """

    def __init__(self, folder: Path, overrides: Mapping[int, Sequence[str]]) -> None:
        self.folder = folder
        self.swept = dict(zip(overrides, differing(list(overrides.values())), strict=True))
        self.began = time.monotonic()
        self.before = {number: self._record(number) for number in self.swept}
        self.skipped = sum(record is not None and record.status == "done" for record in self.before.values())
        self.states = dict.fromkeys(self.swept, JobState())
        self.refresh()

    @classmethod
    def launched(cls, config: DictConfig | None, job_overrides: Sequence[Sequence[str]], first: int) -> Sweep:
        """The sweep that Hydra hands to a launcher; makes its folder."""
        assert config is not None
        folder = Path(str(config.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, dict(enumerate(map(filter_overrides, job_overrides), first)))

    def refresh(self) -> list[int]:
        """Read the folders again; the numbers of the jobs whose state changed."""
        changed = []
        for number, old in self.states.items():
            if old.status != "done" and (new := self._state(number)) != old:
                self.states[number] = new
                changed.append(number)
        return changed

    def _record(self, number: int) -> runs.RunRecord | None:
        try:
            record = runs.Run(self.folder / str(number), str(number)).record()
        except UserError:  # not begun
            return None
        if record.status == "interrupted" and record.started is record.finished is None:
            return replace(record, status="running")  # its process is starting, and holds no lock yet
        return record

    def _state(self, number: int) -> JobState:
        record, old = self._record(number), self.states[number]
        if record is None or (record == self.before[number] and record.status not in ("done", "running")):
            return JobState()  # what an earlier attempt left
        epochs, monitor = old.epochs, old.monitor
        if not epochs:
            with suppress(UserError):  # not written yet
                trainer = runs.Run(self.folder / str(number), str(number)).config().trainer
                epochs, monitor = int(trainer.epochs), str(trainer.monitor)
        return JobState(record.status, record.epoch, epochs, monitor, record.best)

    def name(self, number: int) -> str:
        swept = self.swept[number]
        return f"job {number}" + (f" ({swept[:_NAME]}{'...' if len(swept) > _NAME else ''})" if swept else "")

    def summary(self) -> str:
        """Counts and, once a job has ended, the time left."""
        counts = Counter(state.status for state in self.states.values())
        text = f"{counts['done']} of {len(self.states)} done"
        for status in ("failed", "interrupted", "running", "to come"):
            if counts[status]:
                text += f", {counts[status]} {status}"
        return text + self._left(counts)

    def _left(self, counts: Mapping[str, int]) -> str:
        ended = counts["done"] + counts["failed"] - self.skipped
        part = sum(s.epoch / s.epochs for s in self.states.values() if s.status == "running" and s.epochs)
        left = counts["to come"] + counts["running"] - part
        if ended <= 0 or not left:
            return ""
        return f", about {duration((time.monotonic() - self.began) / (ended + part) * left)} left"

    def heading(self, number: int) -> str:
        """What is said before a job, such as ``job 3 (model=cnn, seed=0), 4 of 8, about 12 minutes left``."""
        place = f"{list(self.states).index(number) + 1} of {len(self.states)}"
        return f"{self.name(number)}, {place}{self._left(Counter(state.status for state in self.states.values()))}"

    def table(self, note: str) -> Group:
        """The jobs that matter most now, and the counts."""
        table = Table(box=None, pad_edge=False)
        for column in ("job", "swept", "status"):
            table.add_column(column)
        for column in ("epoch", "best"):
            table.add_column(column, justify="right")
        shown = sorted(self.states, key=lambda n: (_ORDER[self.states[n].status], n))[:_ROWS]
        for number in sorted(shown):
            state = self.states[number]
            epoch = f"{state.epoch}/{state.epochs}" if state.epochs else ""
            table.add_row(str(number), self.swept[number], state.status, epoch, state.score)
        return Group(table, "  ".join(part for part in (self.summary(), note) if part))

    def line(self, number: int) -> str:
        """One job's news in words."""
        state = self.states[number]
        best = state.score and f"  best {state.score}"
        if state.status == "running":
            where = f"epoch {state.epoch}/{state.epochs}" if state.epoch else "training"
            return f"{self.name(number)}: {where}{best}"
        return f"{self.name(number)}: {state.status}{best}  [{self.summary()}]"


def differing(overrides: Sequence[Sequence[str]]) -> list[str]:
    """Of each job's overrides, those in which it differs from another."""
    common = set.intersection(*(set(job) for job in overrides)) if overrides else set()
    return [", ".join(o for o in job if o not in common) for job in overrides]


def checked(results: Sequence[JobReturn]) -> Sequence[JobReturn]:
    """The jobs' results, if none failed; prints why jobs were refused, as only this process knows.

    Raises the first error of a job: Hydra would print its overrides too.
    """
    errors = [job._return_value for job in results if job.status is JobStatus.FAILED]
    for error in errors:
        if isinstance(error, JobRefusedError):
            print(error, file=sys.stderr)
    if errors:
        raise errors[0]
    return results


@contextmanager
def shown(sweep: Sweep, note: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Show on stderr how a sweep goes while the body runs; ``note`` gives text beside the counts."""
    if sweep.skipped:
        print(f"{sweep.skipped} of {len(sweep.states)} jobs are done already", file=sys.stderr)
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(sweep, stop, note), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(sweep: Sweep, stop: threading.Event, note: Callable[[], str]) -> None:
    """Draw the table, or print a line for each change, until ``stop`` is set."""
    console = Console(stderr=True)
    live = Live(console=console, transient=True, get_renderable=lambda: sweep.table(note()), refresh_per_second=2)
    paces = {number: Pace(_SECONDS_BETWEEN_LINES) for number in sweep.states}
    statuses: dict[int, str] = {}
    last_note, ended = "", False
    with live if console.is_terminal else nullcontext():
        while not ended:
            ended = stop.wait(_POLL_SECONDS)
            previous, last_note = last_note, note()
            lines = [last_note] if last_note and last_note != previous else []
            for number in sweep.refresh():
                status = sweep.states[number].status
                if paces[number].due() or status != statuses.get(number):
                    statuses[number] = status
                    lines.append(sweep.line(number))
            for line in lines if not console.is_terminal else ():
                console.print(line, markup=False, highlight=False, soft_wrap=True)
