"""One trial of a search: a complete run below ``<search>/trials/<n>``, and more of them for further seeds."""

from __future__ import annotations

import errno
import logging
import math
import os
import shutil
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.base import locks
from emotion.base.errors import UserError
from emotion.jobs import child
from emotion.tune.plan import Plan
from emotion.tune.space import Value

log = logging.getLogger(__name__)

#: Keys by which Hyperband says how long a trial trains and which one it goes on from; all others are the space's.
EPOCHS, BEFORE, OWN = "tuner/epochs", "tuner/trial_id", "tuner/"

_SECONDS_BETWEEN_LOOKS = 1.0


class TrialFailedError(Exception):
    """A trial gave no objective; the message says why, with the traceback where there is one."""


@dataclass(frozen=True)
class Outcome:
    """What a trial came to.

    Attributes:
        mean: Of the objective over its executions.
        deviation: Standard deviation (n - 1) over them; None with one.
        values: The objective of each execution.
    """

    mean: float
    deviation: float | None
    values: tuple[float, ...]


def folder_of(search: Path, trial_id: str) -> Path:
    return search / "trials" / str(int(trial_id))


def run(plan: Plan, search: Path, trial_id: str, hyperparameters: Mapping[str, Any]) -> Outcome:
    """Train a trial's runs, each in a process of its own, or what is left of them.

    Args:
        plan: Composes the config.
        search: The search's folder.
        trial_id: Keras Tuner's number of the trial.
        hyperparameters: Keras Tuner's values: the space's keys, and Hyperband's own.

    Raises:
        TrialFailedError: The values do not make a valid config, or a run failed.
        OSError: The disk is full, or may not be written to: no trial's fault, so it is not over.
        KeyboardInterrupt, emotion.base.interrupts.Interrupted: The process was asked to stop.
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
    before = hyperparameters.get(BEFORE)
    origin = folder_of(search, before) if before is not None else None
    found = []
    for execution in range(cfg.tuner.executions):
        part = Path("executions", str(execution)) if execution else Path()
        found.append(_objective(cfg, folder_of(search, trial_id), part, origin, values, execution))
    outcome = Outcome(statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None, tuple(found))
    first = runs.resolve(folder_of(search, trial_id), cfg.outputs)
    runs.update(first, trial=first.record().trial | {"objective": asdict(outcome)})
    return outcome


def _objective(
    cfg: DictConfig,
    trial: Path,
    part: Path,
    origin: Path | None,
    values: Mapping[str, Value],
    execution: int,
) -> float:
    """The objective of one execution, which is trained if that is not done already."""
    folder = trial / part
    own = training_config(cfg, cfg.seed + execution)
    if runs.is_run(folder):
        run = runs.resolve(folder, cfg.outputs)
        _wait_for_another(run)
        if run.record().status != "done":  # what may change may have changed
            runs.configure(run, own)
    else:
        run = runs.create(folder, Path(cfg.outputs), own)
    came_from = runs.resolve(origin / part, cfg.outputs).id if origin is not None else None
    place = {"number": int(trial.name), "execution": execution, "values": dict(values), "from": came_from}
    runs.update(run, trial=place)
    if run.record().status != "done":
        if origin is not None and not run.has_state:
            _continue_from(origin / part, run)
        try:
            child.in_child(run, output=folder / "output.log")
        except child.JobFailedError:
            said = run.record().error or f"see {folder / 'train.log'}"
            for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                if os.strerror(number) in said:
                    raise OSError(number, os.strerror(number), str(folder)) from None
            raise TrialFailedError(said) from None
    value = run.record().objective.get("value")
    if value is None or not math.isfinite(value):
        raise TrialFailedError(f"run {run.id} has no finite {cfg.tuner.objective}")
    return float(value)


def training_config(cfg: DictConfig, seed: int) -> DictConfig:
    """The config of ``emotion.train`` for one run of a trial."""
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    del plain["tuner"]
    return OmegaConf.create(plain | {"seed": seed, "resume": None, "compare": False})


def _continue_from(origin: Path, run: runs.Run) -> None:
    """Let a promoted trial begin where the shorter one ended: its checkpoints, its state, its history."""
    target = run.path / "checkpoints"
    unfinished = run.path / ".checkpoints"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(origin / "checkpoints", unfinished)
    unfinished.rename(target)  # whole or not at all: without a state the run would start anew
    before = runs.record.read(origin)
    runs.update(run, epoch=before.epoch, best_epoch=before.best_epoch, best=before.best)


def _wait_for_another(run: runs.Run) -> None:
    """A search that was killed may have left a run that trains on: wait for it, it is ours."""
    if locks.is_held(run.path):
        log.warning("run %s is still training, left by a search that was killed; waiting for it", run.id)
    while locks.is_held(run.path):
        time.sleep(_SECONDS_BETWEEN_LOOKS)
