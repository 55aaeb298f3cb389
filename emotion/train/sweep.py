"""Sweeps: ``python -m emotion.train -m model=cnn,mobilenet_v2 seed=range(3)``.

Hydra expands the sweep and launches the jobs, one after the other or as ``hydra/launcher=joblib`` or ``slurm`` says;
each job trains in a child process of its own. The process that launches them never imports TensorFlow.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from emotion import jobs, runs
from emotion.base.errors import UserError
from emotion.base.interrupts import sigterm_raises
from emotion.config import cli
from emotion.jobs.child import JobFailedError, JobRefusedError, in_child
from emotion.jobs.sweep_table import differing
from emotion.runs import creating, resuming

log = logging.getLogger(__name__)


def run(request: cli.Request) -> None:
    """Launch all jobs, print a table of them, and exit with 1 if one failed.

    Raises:
        UserError: The sweep's folder has jobs already, and ``resume=true`` is not given.
    """
    assert request.cfg is not None
    resume, compare = request.cfg.resume, request.cfg.compare
    if resume not in (None, True, False):
        raise UserError(f"resume: '{resume}' with -m must be true (skip what is done in hydra.sweep.dir) or left out")
    folders = [o.partition("=")[2].strip("'\"") for o in request.overrides if o.startswith("hydra.sweep.dir=")]
    if folders and "${" in folders[-1]:
        raise UserError(f"hydra.sweep.dir: give a plain folder instead of '{folders[-1]}'")
    if resume and not folders:
        raise UserError("resume: name the sweep to resume: hydra.sweep.dir=<its folder>")
    folder = Path(folders[-1]) if folders else runs.new_folder(Path(request.cfg.outputs), "sweep")
    if runs.listing(folder) and not resume:
        raise UserError(f"hydra.sweep.dir: there are runs in '{folder}' already; add resume=true to resume that sweep")
    if not folders:
        request = request.with_overrides(f"hydra.sweep.dir={cli.quoted(folder)}")
    jobs.register()
    refused = False
    try:
        with sigterm_raises():
            cli.launch(request, job)
    except JobFailedError:
        refused = True  # the table shows which
    finally:
        failed = summarise(folder)
    if compare:
        _compare(folder)
    if failed or refused:
        sys.exit(1)


def _compare(folder: Path) -> None:
    """Compare the runs that are done."""
    from emotion.compare import compare_runs

    try:
        compare_runs(runs.listing(folder), folder / "comparison")
    except UserError as error:  # no run is done, as the table shows
        log.error("no comparison: %s", error)


def job(cfg: DictConfig) -> float | None:
    """Train one job of a sweep in a child process, where the launcher started it; return its objective."""
    hydra = HydraConfig.get()
    folder, number = Path(hydra.runtime.output_dir), hydra.job.num
    resume = bool(cfg.resume)
    cfg = OmegaConf.merge(cfg, {"resume": None, "compare": False})  # type: ignore[assignment]
    match hydra.runtime.choices["hydra/launcher"]:
        case "joblib":
            from emotion.jobs import joblib

            joblib.begin(folder.parent, number)
            if (run := _to_train(cfg, folder, number, resume)) is not None:
                joblib.train(run, cfg, hydra.launcher.n_jobs)
        case "slurm":
            from emotion.jobs import slurm

            if (run := _to_train(cfg, folder, number, resume or slurm.was_requeued())) is not None:
                slurm.train(run)
        case _:  # one after the other, in this terminal
            overrides = ", ".join(hydra.overrides.task) or "defaults"
            try:
                run = _to_train(cfg, folder, number, resume)
            except JobRefusedError as error:
                log.error("%s", error)
                raise
            log.warning("job %s (%s)%s", number, overrides, "" if run else ": done already")
            if run is not None:
                in_child(run)
    return runs.Run(folder, folder.name).record().objective.get("value")


def _to_train(cfg: DictConfig, folder: Path, number: int, resume: bool) -> runs.Run | None:
    """A job's run, new or to be resumed; None where it is done.

    Raises:
        JobRefusedError: The run in its folder must not be resumed.
    """
    if not (resume and runs.is_run(folder)):
        return runs.create(folder, Path(cfg.outputs), cfg)
    run = runs.resolve(folder, cfg.outputs)
    record = run.record()
    if _identity(run.config()) != _identity(cfg):
        raise JobRefusedError(f"job {number}: {folder} was made with another config; choose another hydra.sweep.dir")
    if record.status == "running":
        raise JobRefusedError(f"job {number}: process {record.pid} on {record.host} is training it")
    if record.status == "done" and (record.stopped_early or record.epoch >= cfg.trainer.epochs):
        return None
    runs.configure(run, cfg)  # settings that may change may have changed
    return run


def summarise(folder: Path) -> int:
    """Print a table of a sweep's jobs; return how many are not done."""
    trained = sorted(runs.listing(folder), key=lambda r: (len(r.path.name), r.path.name))
    if not trained:
        return 0
    table = Table(title=f"{folder}", title_justify="left")
    for column in ("job", "swept", "status"):
        table.add_column(column)
    for column in ("objective", "test accuracy", "test macro-F1", "minutes"):
        table.add_column(column, justify="right")
    records = [job.record() for job in trained]
    for run, record, swept in zip(trained, records, differing([_overrides(job) for job in trained]), strict=True):
        test = record.scores.get("test", {})
        table.add_row(
            run.path.name,
            swept,
            record.status,
            _cell(record.objective.get("value"), ".4f"),
            _cell(test.get("accuracy"), ".1%"),
            _cell(test.get("macro_f1"), ".1%"),
            _cell(record.training_seconds, ".1f", 1 / 60),
        )
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table)
    failed = [(run, record) for run, record in zip(trained, records, strict=True) if record.status != "done"]
    for run, record in failed:
        last = (record.error or record.status).strip().splitlines()[-1]
        console.print(f"job {run.path.name}: {last}  (see {run.path / 'train.log'})", markup=False)
    console.print(f"compare: tensorboard --logdir {folder}", markup=False)
    return len(failed)


def _cell(value: float | None, form: str, factor: float = 1.0) -> str:
    return "" if value is None else format(factor * value, form).replace("%", " %")


def _overrides(run: runs.Run) -> list[str]:
    path = run.path / ".hydra" / "overrides.yaml"
    return [str(o) for o in OmegaConf.load(path)] if path.is_file() else []


def _identity(cfg: DictConfig) -> Any:
    """A config without the settings that may change on resume."""
    cfg = creating.with_absolute_paths(cfg)
    for key in resuming.MAY_CHANGE:
        OmegaConf.update(cfg, key, None, force_add=True)
    return OmegaConf.to_container(cfg)
