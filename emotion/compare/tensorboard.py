"""The command that shows just the compared runs in TensorBoard."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from os.path import commonpath
from pathlib import Path

from emotion.compare.board import Board
from emotion.runs.folder import listing

#: More runs than this do not fit on a command line that is copied by hand.
_MOST_NAMED = 40


def command(boards: Sequence[Board]) -> str:
    """The ``tensorboard`` command for the runs of these boards.

    A folder that holds these runs and no other is given as ``--logdir``; else each run is named in ``--logdir_spec``.
    Where they are too many for that, or a path holds one of its separators, it is the folder that holds them all.
    """
    named = [(_label(entry.name, entry.seeds[i], len(entry.runs)), run)
             for board in boards for entry in board.entries for i, run in enumerate(entry.runs)]  # fmt: skip
    once = {run.path.resolve(): (label, run) for label, run in reversed(named)}  # an export's curves are its run's
    named = list(once.values())[::-1]
    named = [each for each in named if (each[1].path / "tb").is_dir()] or named  # adopted networks have no curves
    paths = [run.path.resolve() for _, run in named]
    common = Path(commonpath(paths))
    if len(paths) == 1 or {run.path.resolve() for run in listing(common)} == set(paths):
        return f"tensorboard --logdir {shlex.quote(_short(common))}"
    places = [_short(path) for path in paths]
    if len(places) > _MOST_NAMED or any(set(",:") & set(place) for place in places):
        return f"tensorboard --logdir {shlex.quote(_short(common))}"
    labels = [label for label, _ in named]
    if len(set(labels)) < len(labels):
        labels = [_clean(run.id) for _, run in named]
    spec = ",".join(f"{label}:{place}" for label, place in zip(labels, places, strict=True))
    return f"tensorboard --logdir_spec {shlex.quote(spec)}"


def _label(name: str, seed: int | None, runs: int) -> str:
    return _clean(f"{name} seed={seed}" if runs > 1 else name)


def _clean(text: str) -> str:
    """Without what separates names and folders in ``--logdir_spec``."""
    return text.replace(",", ";").replace(":", "-").replace(" ", "_")


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
