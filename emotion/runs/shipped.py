"""The runs that ship with the package: small trained models for users without data or a training of their own.

Each is a run folder in ``emotion/pretrained/<name>/`` of the installed package, made by ``python -m emotion.publish``.
Nothing is written there: what is made of such a run goes below the outputs folder.
"""

from __future__ import annotations

from pathlib import Path

from emotion.base.errors import UserError, did_you_mean
from emotion.runs import record

#: What the user types after ``run=``.
NAME = "pretrained"
#: Where the runs are.
FOLDER = Path(__file__).resolve().parents[1] / NAME
#: Below the outputs folder: figures, predictions and exports of these runs, one folder each.
RESULTS = "evaluations-of-pretrained"


def ids() -> list[str]:
    """``pretrained/<name>`` of each run that is installed."""
    return [f"{NAME}/{path.parent.name}" for path in sorted(FOLDER.glob(f"*/{record.NAME}"))]


def find(name: str) -> Path | None:
    """The folder of the run that is called ``pretrained``, ``pretrained/<name>`` or a unique beginning of that.

    Returns:
        None where the name is of another kind.

    Raises:
        UserError: No such run is installed, or several answer to the name.
    """
    if name.partition("/")[0] != NAME:
        return None
    installed = ids()
    if not installed:
        raise UserError(
            f"run: '{name}' is for the model that ships with emotion, and this installation has none in '{FOLDER}'. "
            f"Train a run, python -m emotion.train, and name it: run=latest"
        )
    name = name.rstrip("/")
    matches = [name] if name in installed else [run for run in installed if run.startswith(name)]
    if not matches:
        near = did_you_mean(name, installed)
        raise UserError(f"run: no run '{name}' ships with emotion.{near} There is: {', '.join(installed)}")
    if len(matches) > 1:
        which = ", ".join(matches)
        raise UserError(f"run: '{name}' fits {len(matches)} runs that ship with emotion; name one of them: {which}")
    return FOLDER / matches[0].partition("/")[2]


def name_of(folder: Path) -> str | None:
    """The name of the run whose folder this is; None of any other folder."""
    path = folder.resolve()
    return path.name if path.parent == FOLDER.resolve() else None
