"""The trials of a search so far, read from its folder; nothing here imports Keras Tuner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.runs import RunRecord
from emotion.tune import trial as training
from emotion.tune.space import Value

ORACLE = "oracle"


@dataclass(frozen=True)
class Trial:
    """A trial.

    Attributes:
        number: From 0, in the order in which they began.
        values: Of the space's keys.
        status: ``running``, ``completed`` or ``failed``.
        objective: Mean over its executions; None where it has none.
        deviation: Standard deviation over them; None with one.
        epochs: How many it trained for, where Hyperband decides; else None.
        source: The number of the trial that it continues, or None.
        seconds: Training time of all its executions.
        message: Why it failed.
        run: The folder of its first run.
        trained: Epochs that its runs have completed so far.
    """

    number: int
    values: dict[str, Value]
    status: str
    objective: float | None
    deviation: float | None
    epochs: int | None
    source: int | None
    seconds: float
    message: str
    run: Path
    trained: int = 0


def read(search: Path) -> list[Trial]:
    """All trials of a search that have begun, by number; UserError where a file of it is damaged."""
    trials = [_read(path, search) for path in (search / ORACLE).glob("trial_*/trial.json")]
    return sorted(trials, key=lambda t: t.number)


def best(trials: Sequence[Trial], objective: str) -> Trial | None:
    """The completed trial with the best objective, the earliest of several; None where there is none."""
    done = [t for t in trials if t.objective is not None]
    sign = -1 if objective == "val_loss" else 1
    return max(done, key=lambda t: (sign * (t.objective or 0.0), -t.number), default=None)


def failures_in_a_row(trials: list[Trial], ended: Sequence[int]) -> list[Trial]:
    """The failed trials since the last one that did not fail, newest first; ``ended`` numbers them in order."""
    by_number = {t.number: t for t in trials}
    return list(takewhile(lambda t: t.status == "failed", (by_number[number] for number in reversed(ended))))


def _read(path: Path, search: Path) -> Trial:
    state = files.read_json(path)
    try:
        values, number = state["hyperparameters"]["values"], int(state["trial_id"])
        status, score, message = str(state["status"]).lower(), state["score"], state["message"]
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: damaged; restore it, or begin a new search") from None
    folder = training.folder_of(search, state["trial_id"])
    record = _record(folder)
    outcome = record.trial.get("objective") or {}
    executions = [folder, *(folder / "executions").glob("*")]
    source = values.get(training.SOURCE)
    return Trial(
        number=number,
        values={k: v for k, v in values.items() if not k.startswith(training.OWN)},
        status="failed" if status == "invalid" else status,
        objective=score if status == "completed" else None,
        deviation=outcome.get("deviation"),
        epochs=values.get(training.EPOCHS),
        source=None if source is None else int(source),
        seconds=sum(_record(f).training_seconds or 0.0 for f in executions),
        message=message or record.error or "",  # workers' messages do not travel to the chief
        run=folder,
        trained=sum(_record(f).epoch for f in executions),
    )


def _record(folder: Path) -> RunRecord:
    try:
        return runs.record.read(folder)
    except UserError:  # not made yet
        return RunRecord()
