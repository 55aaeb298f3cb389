"""Published runs, and those that ship with the package: their folders stay as they are.

Their cards give the hashes of their files, so what is made of them goes below the outputs folder. A run that ships is
in ``emotion/pretrained/<name>/`` of the installed package, made by ``python -m emotion.publish``.
"""

from __future__ import annotations

import re
from pathlib import Path

from emotion.base.errors import UserError, did_you_mean
from emotion.runs import record

#: Below the outputs folder: figures, predictions and exports of published runs, a folder for each edition of a run.
RESULTS = "evaluations-of-published"

#: What the user types after ``run=`` for a run that ships with the package; where these runs are; and the folder of
#: what is made of them.
SHIPPED = "pretrained"
FOLDER = Path(__file__).resolve().parents[1] / SHIPPED
SHIPPED_RESULTS = "evaluations-of-pretrained"


def edition(folder: Path) -> str | None:
    """A folder's name for a published run: the run it was, and which weights; None for another or a damaged run.

    A run may be published several times, such as with its weights rounded and as they are.
    """
    try:
        source = record.read(folder)
    except UserError:
        return None
    if not source.published:
        return None
    weights = str(source.tflite.get("checkpoint") or "")[:8]
    name = re.sub(r"[^\w.-]+", "_", f"{source.published.get('run') or folder.name}-{weights}", flags=re.ASCII)
    return name.strip("._-")[-100:] or folder.name


def shipped_ids() -> list[str]:
    """``pretrained/<name>`` of each run that is installed with the package."""
    return [f"{SHIPPED}/{path.parent.name}" for path in sorted(FOLDER.glob(f"*/{record.NAME}"))]


def shipped_name(folder: Path) -> str | None:
    """The name of the shipped run whose folder this is; None of any other folder."""
    path = folder.resolve()
    return path.name if path.parent == FOLDER.resolve() else None


def find_shipped(name: str) -> Path | None:
    """The folder of the run that is called ``pretrained``, ``pretrained/<name>`` or a unique beginning of that.

    Returns:
        None where the name is of another kind.

    Raises:
        UserError: No such run is installed, or several answer to the name.
    """
    if name.partition("/")[0] != SHIPPED:
        return None
    installed = shipped_ids()
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
