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
from emotion.jobs.progress import differing
from emotion.runs import paths, resuming

log = logging.getLogger(__name__)


def run(asked: cli.Request) -> None:
    """Launch all jobs, print a table of them, and exit with 1 if one failed.

    Raises:
        UserError: The sweep's folder holds jobs already and ``resume=true`` was not said.
    """
    assert asked.cfg is not None
    resume, verdict = asked.cfg.resume, asked.cfg.compare
    if resume not in (None, True, False):
        raise UserError(f"resume: '{resume}' with -m must be true (skip what is done in hydra.sweep.dir) or left out")
    given = [o.partition("=")[2].strip("'\"") for o in asked.overrides if o.startswith("hydra.sweep.dir=")]
    root = Path(asked.cfg.outputs)
    if given and "${" in given[-1]:
        raise UserError(f"hydra.sweep.dir: give a plain folder instead of '{given[-1]}'")
    folder = Path(given[-1]) if given else runs.new_folder(root, "sweep")
    if resume and not given:
        raise UserError("resume: say which sweep to resume: hydra.sweep.dir=<its folder>")
    if runs.listing(folder) and not resume:
        raise UserError(f"hydra.sweep.dir: there are runs in '{folder}' already; add resume=true to resume them")
    if not given:
        asked = asked.with_overrides(f"hydra.sweep.dir={cli.quoted(folder)}")
    jobs.register()
    refused = False
    try:
        with sigterm_raises():
            cli.launch(asked, job)
    except JobFailedError:
        refused = True  # the table tells which
    finally:
        failed = summarise(folder)
    if verdict:
        _compare(folder)
    if failed or refused:
        sys.exit(1)


def _compare(folder: Path) -> None:
    """End the sweep in a verdict; runs that failed are left out of it."""
    from emotion.compare import compare_runs

    try:
        compare_runs(runs.listing(folder), folder / "comparison")
    except UserError as error:  # nothing is done: the table has said so
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
    """A job's run, made or found; None where it is done.

    Raises:
        JobRefusedError: There is a run in its folder that it must not resume.
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
    runs.configure(run, cfg)  # what may change may have changed
    return run


def summarise(folder: Path) -> int:
    """Print a table of a sweep's jobs; return how many are not done."""
    jobs = sorted(runs.listing(folder), key=lambda r: (len(r.path.name), r.path.name))
    if not jobs:
        return 0
    table = Table(title=f"{folder}", title_justify="left")
    for column in ("job", "swept", "status", "objective", "test accuracy", "test macro-F1", "minutes"):
        table.add_column(column, justify="left" if column in ("job", "swept", "status") else "right")
    failed = []
    for each, swept in zip(jobs, differing([_overrides(job) for job in jobs]), strict=True):
        record = each.record()
        if record.status != "done":
            failed.append((each, record))
        table.add_row(each.path.name, swept, *_cells(record))
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table)
    for each, record in failed:
        last = (record.error or record.status).strip().splitlines()[-1]
        console.print(f"job {each.path.name}: {last}  (see {each.path / 'train.log'})", markup=False)
    console.print(f"compare: tensorboard --logdir {folder}", markup=False)
    return len(failed)


def _cells(record: runs.RunRecord) -> list[str]:
    objective, test = record.objective.get("value"), record.scores.get("test", {})
    seconds = record.training_seconds
    return [
        record.status,
        "" if objective is None else f"{objective:.4f}",
        "" if test.get("accuracy") is None else f"{100 * test['accuracy']:.1f} %",
        "" if test.get("macro_f1") is None else f"{100 * test['macro_f1']:.1f} %",
        "" if seconds is None else f"{seconds / 60:.1f}",
    ]


def _overrides(run: runs.Run) -> list[str]:
    path = run.path / ".hydra" / "overrides.yaml"
    return [str(o) for o in OmegaConf.load(path)] if path.is_file() else []


def _identity(cfg: DictConfig) -> Any:
    """A config without what may change on resume."""
    cfg = paths.with_absolute_paths(cfg)
    for key in resuming.MAY_CHANGE:
        OmegaConf.update(cfg, key, None, force_add=True)
    return OmegaConf.to_container(cfg)
