"""Sweeps: ``python -m emotion.train -m model=cnn,mobilenet_v2 'seed=range(3)'``.

Hydra expands the sweep and launches the jobs, one after the other or as ``hydra/launcher=joblib`` or ``slurm`` says;
each job trains in a child process of its own. The process that launches them never imports TensorFlow.
"""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from emotion import jobs, runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.base.interrupts import Interrupted, sigterm_raises
from emotion.config import cli, typed
from emotion.jobs.child import JobFailedError, JobRefusedError, in_child
from emotion.jobs.sweep_table import differing
from emotion.runs import creating, repeating, resuming, swept

log = logging.getLogger(__name__)


def run(request: cli.Request) -> None:
    """Launch all jobs, print a table of them, and exit with 1 if one failed.

    Raises:
        UserError: The sweep's folder has jobs already, and ``resume=true`` is not given; or ``again`` is.
    """
    assert request.cfg is not None
    resume, compare = request.cfg.resume, request.cfg.compare
    if request.cfg.again is not None:
        raise UserError("again: repeats one run; leave out -m, or sweep its own command, which its run.json gives")
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
        request = request.with_overrides(f"hydra.sweep.dir={typed.quoted(folder)}")
    jobs.register()
    refused = stopped = False
    try:
        with sigterm_raises():
            cli.launch(request, job)
    except JobFailedError:
        refused = True  # the table shows which
    except (KeyboardInterrupt, Interrupted):
        stopped = "hydra/launcher=slurm" not in request.overrides  # which says itself that its jobs continue
        raise
    finally:
        failed = summarise(folder)
        if stopped and runs.listing(folder):
            print(f"stopped; continue the sweep: {_resuming(folder)}")
        elif failed:
            print(f"train what is not done: {_resuming(folder)}")
    if compare:
        _compare(folder)
    if failed or refused:
        sys.exit(1)


def _resuming(folder: Path) -> str:
    """The command that goes on with a sweep: as it was typed, with the sweep's folder."""
    kept = [text for text in sys.argv[1:] if not text.startswith(("hydra.sweep.dir=", "resume="))]
    place = typed.as_typed("hydra.sweep.dir", files.from_here(folder))
    return f"{shlex.join(['python', '-m', 'emotion.train', *kept])} {place} resume=true"


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
            try:
                run = _to_train(cfg, folder, number, resume)
            except JobRefusedError as error:
                log.error("%s", error)
                raise
            if run is None:
                log.warning("job %s: done already", number)
            else:
                in_child(run)
    return runs.Run(folder, folder.name).record().objective.get("value")


def _to_train(cfg: DictConfig, folder: Path, number: int, resume: bool) -> runs.Run | None:
    """A job's run, new or to be resumed; None where it is done.

    Raises:
        JobRefusedError: The run in its folder must not be resumed.
    """
    if not (resume and runs.is_run(folder)):
        run = runs.create(folder, Path(cfg.outputs), cfg, swept=_swept())
        swept.forget_events(run)  # of a job of the same name whose folder was removed
        return run
    run = runs.resolve(folder, cfg.outputs)
    record = run.record()
    if _identity(run.config()) != _identity(cfg):
        raise JobRefusedError(f"job {number}: {folder} was made with another config; choose another hydra.sweep.dir")
    if record.status == "running":
        raise JobRefusedError(f"job {number}: process {record.pid} on {record.host} is training it")
    if record.status == "done" and (record.stopped_early or record.epoch >= cfg.trainer.epochs):
        return None
    runs.configure(run, cfg, repeating.command(folder, cfg))  # settings that may change may have changed
    return run


def _swept() -> dict[str, str]:
    """What the sweep gives this job, as it was typed: of the keys with several values."""
    hydra = HydraConfig.get()
    # A job may be in any folder below, or work there.
    written = Path(hydra.runtime.cwd, hydra.sweep.dir, "multirun.yaml")
    asked: Any = OmegaConf.to_container(OmegaConf.load(written).hydra.overrides.task, resolve=False)
    texts = [*(f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()), *map(str, asked)]
    several = {o.get_key_element().partition("@")[0]: o.is_sweep_override() for o in map(typed.parsed, texts) if o}
    given = dict(text.partition("=")[::2] for text in hydra.overrides.task)
    return {key: value.strip("'\"") for key, value in given.items() if several.get(key)}


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
    for run, record, given in zip(trained, records, differing([swept.overrides(job) for job in trained]), strict=True):
        test = record.scores.get("test", {})
        table.add_row(
            run.path.name,
            swept.name(record.swept) or given,
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
    _cross_validated(folder, [run for run, record in zip(trained, records, strict=True) if record.data], console)
    console.print(f"compare: {swept.tensorboard(folder)}", markup=False, soft_wrap=True)
    return len(failed)


def _cross_validated(folder: Path, trained: list[runs.Run], console: Console) -> None:
    """Print and write a row for each config whose folds were trained (``dataset.folds``)."""
    if not any(run.config().dataset.get("folds") for run in trained):
        return
    from emotion.compare import candidates, folds

    pooled, notes = folds.pool(candidates.read(trained, "test")[0])
    pooled = [candidate for candidate in pooled if candidate.folds]
    given = differing([[o for o in swept.overrides(c.run) if not o.startswith("dataset.fold=")] for c in pooled])
    rows = list(zip(given, pooled, strict=True))
    if rows:
        table = Table("swept", *folds.COLUMNS, title="folds together, on their test splits", title_justify="left")
        for name, candidate in rows:
            table.add_row(name, *folds.of(candidate).cells())
        console.print(table)
        try:
            folds.write(folder, rows)
            console.print(f"written to {folder}: cross_validation.md, .json, confusion matrices", markup=False)
        except OSError as error:
            log.error("%s: cross_validation.md is not written (%s)", folder, error.strerror)
    for note in notes:
        console.print(note, markup=False)


def _cell(value: float | None, form: str, factor: float = 1.0) -> str:
    return "" if value is None else format(factor * value, form).replace("%", " %")


def _identity(cfg: DictConfig) -> Any:
    """A config without the settings that may change on resume."""
    cfg = creating.with_absolute_paths(cfg)
    for key in resuming.MAY_CHANGE:
        OmegaConf.update(cfg, key, None, force_add=True)
    return OmegaConf.to_container(cfg)
