"""Trying one config after the other for an oracle, here or in another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emotion.tune import trials
from emotion.tune.plan import Plan

#: Hyperband has nothing to do until a round's last trial ends; Keras Tuner's own loop asks without a pause.
_SECONDS_WHEN_IDLE = 1.0


def _nothing() -> None:
    pass


def until_stopped(
    oracle: Any, name: str, plan: Plan, search: Path, objective: str, look: Callable[[], None] = _nothing
) -> None:
    """Ask the oracle for trials and run them until it has no more.

    Args:
        oracle: A Keras Tuner oracle, or its client.
        name: By which the oracle knows who works on which trial; who comes back under it gets its trial again.
        plan: Composes the trials' configs.
        search: The search's folder.
        objective: Name of the metric that the oracle is told.
        look: Called after each trial; stops the search by raising.
    """
    while True:
        trial = oracle.create_trial(name)
        if trial.status == "STOPPED":
            return
        if trial.status == "IDLE":
            time.sleep(_SECONDS_WHEN_IDLE)
            continue
        try:
            outcome = trials.run(plan, search, trial.trial_id, trial.hyperparameters.values)
        except trials.TrialFailedError as error:
            trial.status, trial.message = "FAILED", str(error)
        else:
            oracle.update_trial(trial.trial_id, {objective: outcome.mean})
            trial.status = "COMPLETED"
        oracle.end_trial(trial)
        look()
