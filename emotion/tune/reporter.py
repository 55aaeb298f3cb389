"""How a search goes: a line for each trial that ended and, in a terminal, a bar below them."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from emotion.base.words import duration
from emotion.tune import history
from emotion.tune.history import Trial


class Reporter:
    """Prints what became of each trial.

    Args:
        search: The search's folder.
        objective: Name of the metric.
        total: How many trials there will be at most; None where that is not known.
        display: From :func:`emotion.base.progress.bars` on stdout, or None.
    """

    def __init__(self, search: Path, objective: str, total: int | None, display: Progress | None) -> None:
        self._objective, self._total, self._display = objective, total, display
        self._console = display.console if display else Console()
        self._reported = {t.number for t in history.read(search) if t.status != "running"}
        self._before, self._started = len(self._reported), time.monotonic()
        if display is not None:
            self._task = display.add_task("trials", total=total, completed=self._before, info="")
        self.update(history.read(search))

    def update(self, trials: list[Trial]) -> None:
        """Print a line for each trial that has ended since the last call."""
        for trial in trials:
            if trial.status != "running" and trial.number not in self._reported:
                self._reported.add(trial.number)
                self._console.print(self._line(trial, trials), markup=False, highlight=False, soft_wrap=True)
        if self._display is not None:
            self._display.update(self._task, completed=len(self._reported), info=self._best(trials))

    def _line(self, trial: Trial, trials: list[Trial]) -> str:
        of = f"/{self._total}" if self._total else ""
        head = f"trial {trial.number} ({len(self._reported)}{of})"
        values = ", ".join(f"{k}={short(v)}" for k, v in trial.values.items())
        if trial.objective is None:
            last = (trial.message.strip().splitlines() or ["no reason given"])[-1]
            return f"{head}  failed: {last}  [{values}]"
        spread = f" ± {trial.deviation:.4f}" if trial.deviation is not None else ""
        length = f", {trial.epochs} epochs" if trial.epochs is not None else ""
        source = f", continues trial {trial.source}" if trial.source is not None else ""
        end = ", ".join(filter(None, (self._best(trials), self._left())))
        return f"{head}  {self._objective} {trial.objective:.4f}{spread}{length}{source}  [{values}]  {end}"

    def _best(self, trials: list[Trial]) -> str:
        best = history.best(trials, self._objective)
        return f"best {best.objective:.4f} (trial {best.number})" if best else ""

    def _left(self) -> str:
        done = len(self._reported) - self._before
        if not done or self._total is None or self._total <= len(self._reported):
            return ""
        seconds = (time.monotonic() - self._started) / done * (self._total - len(self._reported))
        return f"{duration(seconds)} left"


def short(value: object) -> str:
    """A value in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
