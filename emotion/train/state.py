"""Everything that a run needs to resume as if it had never stopped, in one file that is replaced atomically.

Keras's own ``BackupAndRestore`` keeps weights, optimizer and epoch, but neither the best score so far nor how long
early stopping has waited, so a resumed run could overwrite its best checkpoint with a worse one.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import keras
import numpy as np

from emotion.base import files, guarded
from emotion.base.errors import UserError

#: Bytes per parameter on disk: two checkpoints, an export, weights and two optimizer slots to resume from; twice
#: for the copies that replace them.
_BYTES_A_PARAMETER = 2 * 4 * 6

Variables = list[np.ndarray[Any, Any]]


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        epoch: Epochs that are complete.
        best, best_epoch: The best value of the monitored metric, None before the first epoch; its epoch, from 1.
        wait: Epochs since then.
        seconds: Time spent in training, before and after each resume.
        history: One row per epoch, the columns of ``history.csv``.
    """

    epoch: int = 0
    best: float | None = None
    best_epoch: int = 0
    wait: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Saved:
    """A state file's content: progress, and the variables of model and optimizer in their order."""

    progress: Progress
    model: Variables
    optimizer: Variables


def save(path: Path, progress: Progress, model: keras.Model) -> None:
    """Write progress, all of the model's variables (random seeds included), and the optimizer's."""
    arrays = {f"model/{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(model.variables)}
    arrays |= {f"optimizer/{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(model.optimizer.variables)}
    arrays["progress"] = np.frombuffer(json.dumps(asdict(progress)).encode(), np.uint8)
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def load(path: Path) -> Saved:
    """Read a state file.

    Raises:
        UserError: It is missing or damaged.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; the run stopped before its first epoch ended. Train again")
    data = guarded.read_arrays(path, advice="train again")
    try:
        written = guarded.parse_json(data["progress"].tobytes())
        fault = guarded.misfit(written, get_type_hints(Progress))
        if fault is not None:
            raise ValueError(f"its {fault}")
        progress = Progress(**written)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({error}); train again") from None
    groups: dict[str, Variables] = {"model": [], "optimizer": []}
    for name, values in groups.items():
        while (array := data.get(f"{name}/{len(values)}")) is not None:
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise UserError(f"{path}: its {name} holds NaN or infinity, the training diverged; train again")
            values.append(array)
    return Saved(progress, groups["model"], groups["optimizer"])


def restore(variables: list[keras.Variable], values: Variables, name: str) -> None:
    """Assign saved values to variables of the same number and shapes."""
    shapes, saved = [tuple(v.shape) for v in variables], [v.shape for v in values]
    if shapes != saved:
        raise UserError(f"the saved {name} does not fit this {name}; was the code or a package changed since?")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def check_space(folder: Path, parameters: int) -> None:
    """Refuse to start where the checkpoints will not fit."""
    needed = parameters * _BYTES_A_PARAMETER
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: {free / 1e6:.0f} MB free, the run needs about {needed / 1e6:.0f} MB. "
            f"Make room or set outputs=... to another disk"
        )
