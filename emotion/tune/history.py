"""What a search has tried so far, read from its folder; nothing here imports Keras Tuner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.runs import RunRecord
from emotion.tune import trials
from emotion.tune.space import Value

ORACLE = "oracle"


@dataclass(frozen=True)
class Tried:
    """A trial.

    Attributes:
        number: From 0, in the order in which they began.
        values: Of the space's keys.
        status: ``running``, ``completed`` or ``failed``.
        objective: Mean over its executions; None where it has none.
        deviation: Standard deviation over them; None with one.
        epochs: How long it trained, where Hyperband says so.
        source: The number of the trial that it went on from, or None.
        seconds: Training time of all its executions.
        message: Why it failed.
        run: The folder of its first run.
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


def read(search: Path) -> list[Tried]:
    """All trials of a search that have begun, by number.

    Raises:
        UserError: A file of the search is damaged.
    """
    found = [_read(path, search) for path in (search / ORACLE).glob("trial_*/trial.json")]
    return sorted(found, key=lambda t: t.number)


def best(tried: list[Tried], objective: str) -> Tried | None:
    """The completed trial with the best objective, the earliest of several; None where there is none."""
    done = [t for t in tried if t.objective is not None]
    sign = -1 if objective == "val_loss" else 1
    return max(done, key=lambda t: (sign * (t.objective or 0.0), -t.number), default=None)


def failures_in_a_row(tried: list[Tried], ended: Sequence[int]) -> list[Tried]:
    """The last trials that ended, back to the last one that did not fail.

    Args:
        tried: From :func:`read`.
        ended: Numbers of those to look at, in the order in which they ended.
    """
    by_number = {t.number: t for t in tried}
    row: list[Tried] = []
    for number in reversed(ended):
        if by_number[number].status != "failed":
            break
        row.append(by_number[number])
    return row


def _read(path: Path, search: Path) -> Tried:
    state = files.read_json(path)
    try:
        values, number = state["hyperparameters"]["values"], int(state["trial_id"])
        status, score, message = str(state["status"]).lower(), state["score"], state["message"]
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: damaged; restore it, or search anew") from None
    folder = trials.folder_of(search, state["trial_id"])
    record = _record(folder)
    outcome = record.trial.get("objective") or {}
    executions = [folder, *(folder / "executions").glob("*")]
    source = values.get(trials.BEFORE)
    return Tried(
        number=number,
        values={k: v for k, v in values.items() if not k.startswith(trials.OWN)},
        status="failed" if status == "invalid" else status,
        objective=score if status == "completed" else None,
        deviation=outcome.get("deviation"),
        epochs=values.get(trials.EPOCHS),
        source=None if source is None else int(source),
        seconds=sum(_record(f).training_seconds or 0.0 for f in executions),
        message=message or record.error or "",  # workers' messages do not travel to the chief
        run=folder,
    )


def _record(folder: Path) -> RunRecord:
    try:
        return runs.record.read(folder)
    except UserError:  # not made yet
        return RunRecord()
