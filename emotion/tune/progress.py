"""What a person sees while a search runs: trials done, the best so far, the time left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from emotion.base.words import duration
from emotion.tune import history
from emotion.tune.history import Tried


class Reporter:
    """A line for each trial that ends and, on a terminal, a bar below them.

    Args:
        search: The search's folder.
        objective: Name of the metric.
        total: How many trials there will be at most; None where that is not known.
    """

    def __init__(self, search: Path, objective: str, total: int | None) -> None:
        self._objective, self._total = objective, total
        self._console = Console()
        self._told = {t.number for t in history.read(search) if t.status != "running"}
        self._before, self._started = len(self._told), time.monotonic()
        columns = (
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[word]}"),
        )
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("", total=total, completed=self._before, word=self._word(history.read(search)))

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._bar:
            yield

    def update(self, trials: list[Tried]) -> None:
        """Print a line for each trial that has ended since the last call."""
        for trial in trials:
            if trial.status != "running" and trial.number not in self._told:
                self._told.add(trial.number)
                self._console.print(self._line(trial, trials), markup=False, highlight=False, soft_wrap=True)
        self._bar.update(self._task, completed=len(self._told), word=self._word(trials))

    def _line(self, trial: Tried, trials: list[Tried]) -> str:
        of = f"/{self._total}" if self._total else ""
        head = f"trial {trial.number} ({len(self._told)}{of})"
        values = ", ".join(f"{k}={short(v)}" for k, v in trial.values.items())
        if trial.objective is None:
            last = (trial.message.strip().splitlines() or ["no reason given"])[-1]
            return f"{head}  failed: {last}  [{values}]"
        spread = f" ± {trial.deviation:.4f}" if trial.deviation is not None else ""
        length = f", {trial.epochs} epochs" if trial.epochs is not None else ""
        on = f", on from trial {trial.source}" if trial.source is not None else ""
        word = self._word(trials)
        return f"{head}  {self._objective} {trial.objective:.4f}{spread}{length}{on}  [{values}]  {word}"

    def _word(self, trials: list[Tried]) -> str:
        best = history.best(trials, self._objective)
        words = [f"best {best.objective:.4f} (trial {best.number})"] if best else []
        done = len(self._told) - self._before
        if done and self._total is not None and self._total > len(self._told):
            seconds = (time.monotonic() - self._started) / done * (self._total - len(self._told))
            words.append(f"{duration(seconds)} left")
        return ", ".join(words)


def short(value: object) -> str:
    """A value in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
