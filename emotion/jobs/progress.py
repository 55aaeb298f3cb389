"""How a sweep goes whose jobs run side by side: a live table in a terminal, plain lines where output is not one.

It reads the jobs' folders, as anybody can, so it is the same for jobs on this machine and on a cluster.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from emotion import runs
from emotion.base.errors import UserError
from emotion.base.words import duration
from emotion.jobs.child import JobRefusedError

#: Seconds between two looks at the folders, and between two lines about one job's epochs.
_LOOK_EVERY, _LINE_EVERY = 1.0, 10.0

#: At most this many jobs are shown in the table; those that train come first.
_ROWS = 20

#: At most this many characters of what a job changes stand in a line about it.
_NAME = 60

_ORDER = {"running": 0, "failed": 1, "interrupted": 2, "done": 3, "to come": 4}


@dataclass(frozen=True)
class JobState:
    """What is known of a job from its folder."""

    status: str = "to come"
    epoch: int = 0
    epochs: int = 0
    monitor: str = ""
    best: float | None = None


class Sweep:
    """The jobs of a sweep, by number, and what became of them since this object was made.

    Args:
        folder: The sweep's; jobs are in subfolders named by their number.
        overrides: Each job's ``key=value``.
    """

    def __init__(self, folder: Path, overrides: Mapping[int, Sequence[str]]) -> None:
        self.folder = folder
        self.swept = dict(zip(overrides, differing(list(overrides.values())), strict=True))
        self.began = time.monotonic()
        self.before = {number: self._record(number) for number in self.swept}
        self.skipped = sum(record is not None and record.status == "done" for record in self.before.values())
        self.configs: dict[int, tuple[int, str]] = {}
        self.states = dict.fromkeys(self.swept, JobState())
        self.look()

    def look(self) -> list[int]:
        """Read the folders again; the numbers of the jobs whose state changed."""
        changed = []
        for number, old in self.states.items():
            if old.status == "done":
                continue
            new = self._state(number)
            if new != old:
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
        record = self._record(number)
        if record is None or (record == self.before[number] and record.status not in ("done", "running")):
            return JobState()  # what an earlier attempt left
        epochs, monitor = self._config(number)
        return JobState(record.status, record.epoch, epochs, monitor, record.best)

    def _config(self, number: int) -> tuple[int, str]:
        if number not in self.configs:
            try:
                trainer = runs.Run(self.folder / str(number), str(number)).config().trainer
            except UserError:
                return 0, ""
            self.configs[number] = int(trainer.epochs), str(trainer.monitor)
        return self.configs[number]

    def name(self, number: int) -> str:
        swept = self.swept[number]
        return f"job {number}" + (f" ({swept[:_NAME]}{'...' if len(swept) > _NAME else ''})" if swept else "")

    def summary(self) -> str:
        """Counts, and the time left once a job has told how long one takes."""
        counts = Counter(state.status for state in self.states.values())
        text = f"{counts['done']} of {len(self.states)} done"
        for status in ("failed", "interrupted", "running", "to come"):
            if counts[status]:
                text += f", {counts[status]} {status}"
        ended = counts["done"] + counts["failed"] - self.skipped
        part = sum(s.epoch / s.epochs for s in self.states.values() if s.status == "running" and s.epochs)
        left = counts["to come"] + counts["running"] - part
        if ended > 0 and left:
            text += f", about {duration((time.monotonic() - self.began) / (ended + part) * left)} left"
        return text

    def table(self, note: str) -> Group:
        """The jobs that a person wants to see now, and the counts."""
        table = Table(box=None, pad_edge=False)
        for column in ("job", "swept", "status", "epoch", "best"):
            table.add_column(column, justify="left" if column in ("job", "swept", "status") else "right")
        shown = sorted(self.states, key=lambda n: (_ORDER[self.states[n].status], n))[:_ROWS]
        for number in sorted(shown):
            state = self.states[number]
            epoch = f"{state.epoch}/{state.epochs}" if state.epochs else ""
            best = "" if state.best is None else f"{state.monitor} {state.best:.3f}"
            table.add_row(str(number), self.swept[number], state.status, epoch, best)
        return Group(table, "  ".join(part for part in (self.summary(), note) if part))

    def line(self, number: int) -> str:
        """One job's news in words."""
        state = self.states[number]
        best = "" if state.best is None else f"  best {state.monitor} {state.best:.3f}"
        if state.status == "running":
            where = f"epoch {state.epoch}/{state.epochs}" if state.epoch else "training"
            return f"{self.name(number)}: {where}{best}"
        return f"{self.name(number)}: {state.status}{best}  [{self.summary()}]"


def differing(overrides: Sequence[Sequence[str]]) -> list[str]:
    """Of each job's overrides, those in which it differs from another."""
    common = set.intersection(*(set(given) for given in overrides)) if overrides else set()
    return [", ".join(o for o in given if o not in common) for given in overrides]


def told(ended: Sequence[JobReturn]) -> Sequence[JobReturn]:
    """Say of the jobs that were not begun why; of the others, their folders tell.

    Raises:
        JobFailedError: A job failed. Left to itself, Hydra would print the first one's overrides and its exception.
        UserError: A run could not be made.
    """
    failed = [job._return_value for job in ended if job.status is JobStatus.FAILED]
    for error in failed:
        if isinstance(error, JobRefusedError):
            print(error, file=sys.stderr)
    if failed:
        raise failed[0]
    return ended


@contextmanager
def shown(sweep: Sweep, note: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Tell on stderr how a sweep goes while the body runs.

    Args:
        sweep: The jobs.
        note: What else to say beside the counts, such as the state of a queue.
    """
    stop = threading.Event()
    console = Console(stderr=True)
    watch = _table if console.is_terminal else _lines
    if sweep.skipped:
        print(f"{sweep.skipped} of {len(sweep.states)} jobs are done already", file=sys.stderr)
    thread = threading.Thread(target=watch, args=(sweep, stop, console, note), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _table(sweep: Sweep, stop: threading.Event, console: Console, note: Callable[[], str]) -> None:
    with Live(console=console, transient=True, get_renderable=lambda: sweep.table(note()), refresh_per_second=2):
        while not stop.wait(_LOOK_EVERY):
            sweep.look()


def _lines(sweep: Sweep, stop: threading.Event, console: Console, note: Callable[[], str]) -> None:
    spoke: dict[int, tuple[float, str]] = {}
    noted = ""
    last = False
    while not last:
        last = stop.wait(_LOOK_EVERY)
        if (now_noted := note()) != noted:
            noted = now_noted
            if noted:
                console.print(noted, markup=False, highlight=False, soft_wrap=True)
        for number in sweep.look():
            now, status = time.monotonic(), sweep.states[number].status
            then, before = spoke.get(number, (-_LINE_EVERY, ""))
            if status != before or now - then >= _LINE_EVERY:
                spoke[number] = now, status
                console.print(sweep.line(number), markup=False, highlight=False, soft_wrap=True)
