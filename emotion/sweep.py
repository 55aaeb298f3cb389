"""Sweeps: ``python -m emotion.train -m model=cnn,mobilenet_v2 seed=range(3)``.

Hydra expands the sweep and launches the jobs; each job is a child process of its own, because TensorFlow in one process
grows with every model it trains. The process that launches them never imports TensorFlow.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from emotion import cli, files, provenance, resuming, runs
from emotion.errors import UserError
from emotion.interrupts import sigterm_raises

log = logging.getLogger(__name__)


def run(asked: cli.Request) -> None:
    """Launch all jobs, print a table of them, and exit with 1 if one failed.

    Raises:
        UserError: The sweep's folder holds jobs already and ``resume=true`` was not said.
    """
    assert asked.cfg is not None
    resume = asked.cfg.resume
    if resume not in (None, True, False):
        raise UserError(f"resume: '{resume}' with -m must be true (skip what is done in hydra.sweep.dir) or left out")
    given = [o.partition("=")[2].strip("'\"") for o in asked.overrides if o.startswith("hydra.sweep.dir=")]
    root = Path(asked.cfg.outputs)
    if given and "${" in given[-1]:
        raise UserError(f"hydra.sweep.dir: give a plain folder instead of '{given[-1]}'")
    folder = Path(given[-1]) if given else runs.new_folder(root, "sweep")
    if resume and not given:
        raise UserError("resume: say which sweep to go on with: hydra.sweep.dir=<its folder>")
    if runs.listing(folder) and not resume:
        raise UserError(f"hydra.sweep.dir: there are runs in '{folder}' already; add resume=true to go on with them")
    if not given:
        asked = asked.with_overrides(f"hydra.sweep.dir={cli.quoted(folder)}")
    refused = False
    try:
        cli.launch(asked, job)
    except JobFailedError:
        refused = True  # the table tells which
    finally:
        failed = summarise(folder)
    if failed or refused:
        sys.exit(1)


class JobFailedError(Exception):
    """A job of a sweep ended without being done; its own log and ``run.json`` say why."""


def job(cfg: DictConfig) -> float | None:
    """Train one job of a sweep in a child process; return its objective."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    resume = bool(cfg.resume)
    cfg = runs.with_absolute_paths(OmegaConf.merge(cfg, {"resume": None}))  # type: ignore[arg-type]
    number = HydraConfig.get().job.num
    overrides = ", ".join(HydraConfig.get().overrides.task) or "defaults"
    if resume and (folder / "run.json").is_file():
        run = runs.resolve(folder, cfg.outputs)
        record = run.record()
        if _identity(run.config()) != _identity(cfg):
            _refuse(f"job {number}: {folder} was made with another config; choose another hydra.sweep.dir")
        if record["status"] == "running":
            _refuse(f"job {number}: process {record.get('pid')} on {record.get('host')} is training it")
        if record["status"] == "done" and (record.get("stopped_early") or record["epoch"] >= cfg.trainer.epochs):
            log.warning("job %s (%s): done already", number, overrides)
            return _objective(run)
        files.write_text(run.path / "config.yaml", OmegaConf.to_yaml(cfg))  # what may change may have changed
    else:
        run = runs.create(folder, Path(cfg.outputs), cfg)
    log.warning("job %s (%s)", number, overrides)
    in_child(run)
    return _objective(run)


def _refuse(why: str) -> NoReturn:
    log.error(why)
    raise JobFailedError(why)


def has_state(run: runs.Run) -> bool:
    """Whether a run can go on where it stopped; else it starts anew in its folder."""
    return (run.path / "checkpoints" / "state.npz").is_file()


def in_child(run: runs.Run) -> None:
    """Train a run that has been created in a process of its own, and wait for it.

    Raises:
        JobFailedError: It did not end well. A child that was killed leaves no word: the record is completed here.
        KeyboardInterrupt, emotion.interrupts.Interrupted: This process was asked to stop; so was the child.
    """
    child = subprocess.Popen([sys.executable, "-m", "emotion.job", str(run.path), run.id])
    try:
        with sigterm_raises():
            code = child.wait()
    except BaseException:
        child.send_signal(signal.SIGTERM)
        child.wait()
        raise
    if code == 0:
        return
    record = files.read_json(run.path / "run.json")
    if record["status"] == "running":
        how = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        runs.update(run, status="failed", finished=provenance.now(), error=f"the process was {how}")
    if code in (cli.INTERRUPTED, -signal.SIGINT):
        raise KeyboardInterrupt
    raise JobFailedError(f"run {run.id}: see {run.path / 'train.log'}")


def summarise(folder: Path) -> int:
    """Print a table of a sweep's jobs; return how many are not done."""
    jobs = sorted(runs.listing(folder), key=lambda r: (len(r.path.name), r.path.name))
    if not jobs:
        return 0
    table = Table(title=f"{folder}", title_justify="left")
    for column in ("job", "swept", "status", "objective", "test accuracy", "test macro-F1", "minutes"):
        table.add_column(column, justify="left" if column in ("job", "swept", "status") else "right")
    failed = []
    for each, swept in zip(jobs, _swept(jobs), strict=True):
        record = each.record()
        if record["status"] != "done":
            failed.append((each, record))
        table.add_row(each.path.name, swept, *_cells(record))
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table)
    for each, record in failed:
        last = (record.get("error") or record["status"]).strip().splitlines()[-1]
        console.print(f"job {each.path.name}: {last}  (see {each.path / 'train.log'})", markup=False)
    console.print(f"compare: tensorboard --logdir {folder}", markup=False)
    return len(failed)


def _cells(record: dict[str, Any]) -> list[str]:
    objective = (record.get("objective") or {}).get("value")
    test = (record.get("scores") or {}).get("test", {})
    seconds = record.get("training_seconds")
    return [
        record["status"],
        "" if objective is None else f"{objective:.4f}",
        "" if test.get("accuracy") is None else f"{100 * test['accuracy']:.1f} %",
        "" if test.get("macro_f1") is None else f"{100 * test['macro_f1']:.1f} %",
        "" if seconds is None else f"{seconds / 60:.1f}",
    ]


def _swept(jobs: list[runs.Run]) -> list[str]:
    """Of each job's overrides, those in which it differs from another."""
    given = [_overrides(job) for job in jobs]
    common = set.intersection(*(set(g) for g in given))
    return [", ".join(o for o in g if o not in common) for g in given]


def _overrides(run: runs.Run) -> list[str]:
    path = run.path / ".hydra" / "overrides.yaml"
    return [str(o) for o in OmegaConf.load(path)] if path.is_file() else []


def _objective(run: runs.Run) -> float | None:
    return (run.record().get("objective") or {}).get("value")


def _identity(cfg: DictConfig) -> Any:
    """A config without what may change when a run goes on."""
    cfg = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[assignment]
    for key in resuming.MAY_CHANGE:
        OmegaConf.update(cfg, key, None, force_add=True)
    return OmegaConf.to_container(cfg)
