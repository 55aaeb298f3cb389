"""One trial of a search: a complete run below ``<search>/trials/<n>``, and more of them for further seeds."""

from __future__ import annotations

import errno
import logging
import math
import os
import shutil
import statistics
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.base import locks
from emotion.base.errors import UserError
from emotion.base.interrupts import Interrupted
from emotion.config import checks
from emotion.jobs import child
from emotion.runs import repeating
from emotion.tune.plan import Plan
from emotion.tune.space import Value

log = logging.getLogger(__name__)

#: Keys by which Hyperband says how long a trial trains and which one it continues; all others are the space's.
EPOCHS, SOURCE, OWN = "tuner/epochs", "tuner/trial_id", "tuner/"

_POLL_SECONDS = 1.0


class TrialFailedError(Exception):
    """A trial has no objective; the message says why, with the traceback where there is one."""


def folder_of(search: Path, trial_id: str) -> Path:
    return search / "trials" / str(int(trial_id))


def run(plan: Plan, search: Path, trial_id: str, hyperparameters: Mapping[str, Any], stop: threading.Event) -> float:
    """Train a trial's runs, each in a process of its own; those that are done already are not trained again.

    Args:
        plan, search: Of the search; the plan composes the config.
        trial_id, hyperparameters: Keras Tuner's number of the trial and values, Hyperband's own among them.
        stop: Ends the run in training.

    Returns:
        The mean objective of the runs. The first one's record has them all, and their standard deviation (n - 1).

    Raises:
        TrialFailedError: The values do not make a valid config, or a run failed.
        OSError: The disk is full, or may not be written to: no trial's fault, so it has not ended.
        KeyboardInterrupt, emotion.base.interrupts.Interrupted: The process or ``stop`` asked for the end.
    """
    values: dict[str, Value] = {k: v for k, v in hyperparameters.items() if not k.startswith(OWN)}
    try:
        cfg = plan.compose(values)
    except UserError as error:
        raise TrialFailedError(str(error)) from None
    epochs = hyperparameters.get(EPOCHS)
    if epochs is not None:  # after validation: a first round is shorter than warm-ups and frozen phases
        cfg.trainer.epochs = int(epochs)
    cfg.trainer.monitor = cfg.tuner.objective
    source = hyperparameters.get(SOURCE)
    folder = folder_of(search, trial_id)
    objectives = []
    for execution in range(cfg.tuner.executions):
        part = Path("executions", str(execution)) if execution else Path()
        origin = runs.resolve(folder_of(search, source) / part, cfg.outputs) if source is not None else None
        place = {"number": int(trial_id), "execution": execution, "values": values, "from": origin and origin.id}
        own = training_config(cfg, cfg.seed + execution)
        command = command_of(plan, own, values, folder / part, shorter=epochs is not None)
        objectives.append(_objective(cfg, own, command, folder / part, place, origin, stop))
    mean = statistics.fmean(objectives)
    deviation = statistics.stdev(objectives) if len(objectives) > 1 else None
    first = runs.resolve(folder, cfg.outputs)
    objective = {"mean": mean, "deviation": deviation, "values": objectives}
    runs.update(first, trial=first.record().trial | {"objective": objective})
    return mean


def _objective(
    cfg: DictConfig, own: DictConfig, command: str, folder: Path, place: dict[str, Any], origin: runs.Run | None,
    stop: threading.Event,
) -> float:  # fmt: skip
    """The objective of one execution, which is trained if that is not done already; ``own`` is its config."""
    if runs.is_run(folder):
        run = runs.resolve(folder, cfg.outputs)
        _wait_for_another(run, stop)
        if run.record().status != "done":  # settings that may change may have changed
            runs.configure(run, own, command)
    else:
        run = runs.create(folder, Path(cfg.outputs), own, command)
    runs.update(run, trial=place)
    if run.record().status != "done":
        if origin is not None and not run.has_state:
            _continue_from(origin, run)
        try:
            child.in_child(run, output=folder / "output.log", asked_to_stop=stop.is_set)
        except child.JobFailedError:
            message = run.record().error or f"see {folder / 'train.log'}"
            for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                if os.strerror(number) in message:
                    raise OSError(number, os.strerror(number), str(folder)) from None
            raise TrialFailedError(message) from None
    value = run.record().objective.get("value")
    if value is None or not math.isfinite(value):
        raise TrialFailedError(f"run {run.id} has no finite {cfg.tuner.objective}")
    return float(value)


def command_of(plan: Plan, own: DictConfig, values: Mapping[str, Value], folder: Path, *, shorter: bool) -> str:
    """The line of ``emotion.train`` that makes a run of a trial again, from its first epoch."""
    try:
        checks.validate(own)
    except UserError:  # Hyperband's first rounds are shorter than a command may ask for
        return repeating.again(folder, own)
    changed = dict(values) | {"trainer.monitor": own.trainer.monitor, "seed": own.seed}
    changed |= {"trainer.epochs": own.trainer.epochs} if shorter else {}
    return plan.command("train", own, changed)


def training_config(cfg: DictConfig, seed: int) -> DictConfig:
    """The config of ``emotion.train`` for one run of a trial."""
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    del plain["tuner"]
    return OmegaConf.create(plain | {"seed": seed, "resume": None, "compare": False})


def _continue_from(origin: runs.Run, run: runs.Run) -> None:
    """Let a promoted trial begin where the shorter one ended: its checkpoints, its state, its history."""
    target = run.path / "checkpoints"
    unfinished = run.path / ".checkpoints"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(origin.path / "checkpoints", unfinished)
    unfinished.rename(target)  # whole or not at all: without a state the run would begin at its first epoch
    before = runs.record.read(origin.path)
    runs.update(run, epoch=before.epoch, best_epoch=before.best_epoch, best=before.best)


def _wait_for_another(run: runs.Run, stop: threading.Event) -> None:
    """Wait for a process that a killed search left training this run."""
    if locks.is_held(run.path):
        log.warning("run %s is still training, left by a search that was killed; waiting for it", run.id)
    while locks.is_held(run.path):
        if stop.wait(_POLL_SECONDS):
            raise Interrupted
