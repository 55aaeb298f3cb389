"""A comparison as files for people and programs: Markdown, CSV and JSON, each with all entries."""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, fields
from os.path import commonpath
from pathlib import Path
from typing import Any

from markupsafe import Markup

from emotion.base import files
from emotion.compare import tables
from emotion.compare.board import Board, Entry, Figure
from emotion.reports import markdown
from emotion.runs.folder import listing

#: Rows of the table of differences shown in Markdown; the JSON file holds all.
_MOST_DIFFERENCES = 30


def write(folder: Path, boards: Sequence[Board], tensorboard: str) -> None:
    """Write ``comparison.md``, ``.csv`` and ``.json`` into a folder, with the TensorBoard command of these runs."""
    text = markdown.render(
        Path(__file__).with_name("comparison.md.jinja"),
        boards=boards,
        tensorboard=Markup(tensorboard),
        ranking=_ranking,
        differences=lambda board: markdown.text_table(
            tables.DIFFERENCE, map(tables.difference, board.differences[:_MOST_DIFFERENCES])
        ),
        settings=lambda board: [
            (entry.name, ", ".join(run.id for run in entry.runs), tables.settings(entry)) for entry in board.entries
        ],
        most=_MOST_DIFFERENCES,
    )
    files.write_text(folder / "comparison.md", text)
    files.write_text(folder / "comparison.csv", _csv(boards))
    content = {"tensorboard": tensorboard, "boards": [files.as_json(asdict(board)) for board in boards]}
    files.write_json(folder / "comparison.json", content)


def _ranking(board: Board) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table of all entries."""
    shown = [*tables.quality(board), tables.SEEDS, *tables.cost()]
    rows = []
    for entry in board.entries:
        cells = [column.cell(entry) for column in shown]
        rows.append([entry.name, *(f"{c.text} ({c.interval})" if c.interval else c.text for c in cells)])
    return ["", *(column.title for column in shown)], rows


_FIGURES = tuple(f.name for f in fields(Entry) if "Figure" in str(f.type))
_PLAIN = ("parameters", "multiply_adds", "file_bytes", "latency_ms", "peak_memory_bytes", "training_seconds")
_PARTS = ("low", "high", "deviation")


def _csv(boards: Sequence[Board]) -> str:
    """A line per entry; scores are fractions, and what is not known is empty."""
    keys = list(dict.fromkeys(key for board in boards for entry in board.entries for key in entry.settings))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    figures = [name if part is None else f"{name}_{part}" for name in _FIGURES for part in (None, *_PARTS)]
    writer.writerow(["data", "pixels", "split", "n", "rank", "name", "runs", "seeds", *figures, *_PLAIN, *keys])
    for board in boards:
        for rank, entry in enumerate(board.entries, start=1):
            writer.writerow([
                board.data, board.pixels, board.split, board.n, rank, entry.name,
                " ".join(run.id for run in entry.runs), " ".join(str(seed) for seed in entry.seeds if seed is not None),
                *(value for name in _FIGURES for value in _parts(getattr(entry, name))),
                *(_cell(getattr(entry, name)) for name in _PLAIN),
                *(_cell(entry.settings.get(key)) for key in keys),
            ])  # fmt: skip
    return text.getvalue()


def _parts(figure: Figure | None) -> list[Any]:
    if figure is None:
        return [""] * (1 + len(_PARTS))
    return [_cell(getattr(figure, name)) for name in ("value", *_PARTS)]


def _cell(value: Any) -> Any:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value


#: More runs than this do not fit on a command line that is copied by hand.
_MOST_NAMED = 40


def tensorboard_command(boards: Sequence[Board]) -> str:
    """The ``tensorboard`` command for the runs of these boards.

    A folder that holds these runs and no other is given as ``--logdir``; else each run is named in ``--logdir_spec``.
    Where they are too many for that, or a path holds one of its separators, it is the folder that holds them all.
    """
    named = [(_clean(f"{entry.name} seed={entry.seeds[i]}" if len(entry.runs) > 1 else entry.name), run)
             for board in boards for entry in board.entries for i, run in enumerate(entry.runs)]  # fmt: skip
    once = {run.path.resolve(): (label, run) for label, run in reversed(named)}  # an export's curves are its run's
    named = list(once.values())[::-1]
    named = [(label, run) for label, run in named if (run.path / "tb").is_dir()] or named  # adopted ones have none
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


def _clean(text: str) -> str:
    """Without what separates names and folders in ``--logdir_spec``."""
    return text.replace(",", ";").replace(":", "-").replace(" ", "_")


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
