"""What a search prints while it runs, and writes at its end: a table, plots, a report, the best config as a file."""

from __future__ import annotations

import csv
import io
import shlex
import time
from pathlib import Path
from typing import Any

from hydra import compose
from markupsafe import Markup
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID

from emotion import runs
from emotion.base import files, words
from emotion.base.words import duration
from emotion.config import cli, schema
from emotion.reports import markdown
from emotion.tune import history, plots
from emotion.tune.history import Trial
from emotion.tune.plan import Plan
from emotion.tune.space import Interval, Parameter

#: The config groups of a run.
_GROUPS = ("dataset", "augmentation", "model", "trainer")


class Reporter:
    """Prints a line for each trial that ended and, in a terminal, bars below them: one of the trials, and one of the
    epochs of each trial in training.

    Args:
        search, cfg: The search's folder and config.
        total: How many trials there will be at most; None where that is not known.
        display: From :func:`emotion.base.progress.bars` on stdout, or None.
    """

    def __init__(self, search: Path, cfg: DictConfig, total: int | None, display: Progress | None) -> None:
        self._objective, self._total, self._display = str(cfg.tuner.objective), total, display
        self._epochs, self._executions = int(cfg.trainer.epochs), int(cfg.tuner.executions)
        self._bars: dict[int, TaskID] = {}
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
            self._show_running(self._display, [t for t in trials if t.status == "running"])

    def _show_running(self, display: Progress, running: list[Trial]) -> None:
        for number in self._bars.keys() - {trial.number for trial in running}:
            display.remove_task(self._bars.pop(number))
        for trial in running:
            if trial.number not in self._bars:
                total = (trial.epochs or self._epochs) * self._executions
                self._bars[trial.number] = display.add_task(f"trial {trial.number}, epochs", total=total, info="")
            values = words.shortened(", ".join(f"{k}={short(v)}" for k, v in trial.values.items()))
            display.update(self._bars[trial.number], completed=trial.trained, info=escape(values))

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


def write(plan: Plan, search: Path, cfg: DictConfig, trials: list[Trial], parameters: list[Parameter]) -> None:
    """Write ``trials.csv``, ``report.md``, the plots and, where a trial is completed, ``experiment/best.yaml``."""
    keys = list(dict.fromkeys(k for t in trials for k in t.values))
    files.write_text(search / "trials.csv", _csv(trials, keys))
    best = history.best(trials, cfg.tuner.objective)
    if best is not None:
        (search / "experiment").mkdir(exist_ok=True)
        files.write_text(search / "experiment" / "best.yaml", _experiment(plan, search, cfg, best))
        plots.search(trials, cfg.tuner.objective, search / "objective.png")
        logarithmic = {p.key for p in parameters if isinstance(p, Interval) and p.log}
        plots.parameters(trials, keys, logarithmic, cfg.tuner.objective, search / "parameters.png")
    files.write_text(search / "report.md", _report(search, cfg, trials, keys, best))


def command(search: Path) -> str:
    """The command that trains the best config."""
    return f"python -m emotion.train --config-dir {shlex.quote(str(search))} experiment=best"


def _csv(trials: list[Trial], keys: list[str]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["trial", "status", "objective", "deviation", "epochs", "from", "training_seconds", *keys, "run"])
    for t in trials:
        values = [t.objective, t.deviation, t.epochs, t.source, round(t.seconds, 1), *(t.values.get(k) for k in keys)]
        rows.writerow([t.number, t.status, *("" if v is None else words.cell(v) for v in values), t.run])
    return text.getvalue()


def _report(search: Path, cfg: DictConfig, trials: list[Trial], keys: list[str], best: Trial | None) -> str:
    sign = 1 if cfg.tuner.objective == "val_loss" else -1
    rows = [
        (
            str(t.number),
            t.status if t.objective is None else f"{t.objective:.4f}",
            "" if t.deviation is None else f"{t.deviation:.4f}",
            "" if t.epochs is None else str(t.epochs),
            f"{t.seconds / 60:.1f}",
            *(short(t.values.get(k, "")) for k in keys),
        )
        for t in sorted(trials, key=lambda t: (t.objective is None, sign * (t.objective or 0)))
    ]
    return markdown.render(
        Path(__file__).with_name("report.md.jinja"),
        name=search.name,
        tuner=cfg.tuner,
        trials=trials,
        failed=[t for t in trials if t.status == "failed"],
        best=best,
        best_values=[(k, short(v)) for k, v in best.values.items()] if best else [],
        command=Markup(command(search)),
        headings=["trial", cfg.tuner.objective, "sd", "epochs", "minutes", *keys],
        rows=rows,
    )


def _experiment(plan: Plan, search: Path, cfg: DictConfig, best: Trial) -> str:
    """The best trial's config as an experiment file: the options of its groups, and what differs from them."""
    own = runs.Run(best.run, "").config()
    if best.epochs is not None:
        own.trainer.epochs = cfg.trainer.epochs  # Hyperband stopped it early, or let it continue another
    schema.register()
    with cli.composing(str(schema.CONF), plan.config_dir):
        chosen = [f"{k}={v}" for k, v in best.values.items() if k in _GROUPS]
        choices = compose("tune", [*plan.overrides, *chosen], return_hydra_config=True).hydra.runtime.choices
        base = compose("train", [f"{g}={choices[g]}" for g in _GROUPS])
    content: dict[str, Any] = {"defaults": [{f"override /{g}": str(choices[g])} for g in _GROUPS]}
    for group in _GROUPS:
        if differing := _differences(own[group], base[group]):
            content[group] = differing
    if own.seed != base.seed:
        content["seed"] = own.seed
    for group in _GROUPS if plan.config_dir else ():  # the user's own options are copied, with all that they build on
        for option in sorted(Path(plan.config_dir or "", group).rglob("*.yaml")):
            copy = search / option.relative_to(plan.config_dir or "")
            copy.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(copy, option.read_bytes())
    length = "" if best.epochs is None else f", there after {best.epochs} epochs; this trains all {own.trainer.epochs}"
    return (
        f"# @package _global_\n"
        f"# Trial {best.number}, the best of the search {search.name}{length}.\n"
        f"# {cfg.tuner.objective} {best.objective:.4f} on the validation split, which also chose it.\n"
        f"#   {command(search)}\n"
        f"{OmegaConf.to_yaml(OmegaConf.create(content))}"
    )


def _differences(wanted: DictConfig, base: DictConfig) -> dict[str, Any]:
    values, defaults = OmegaConf.to_container(wanted, resolve=True), OmegaConf.to_container(base, resolve=True)
    assert isinstance(values, dict)
    assert isinstance(defaults, dict)
    return {str(k): v for k, v in values.items() if k not in defaults or defaults[k] != v}
