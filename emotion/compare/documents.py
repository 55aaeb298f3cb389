"""A comparison as files for people and programs: Markdown, CSV and JSON, each with all entries."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from markupsafe import Markup

from emotion.base import files
from emotion.compare import columns
from emotion.compare.board import Board, Entry, Figure
from emotion.reports import markdown

#: Rows of the table of differences shown in Markdown; the JSON file holds all.
_MOST_DIFFERENCES = 30


def write(folder: Path, boards: Sequence[Board], tensorboard: str) -> None:
    """Write ``comparison.md``, ``comparison.csv`` and ``comparison.json`` into a folder.

    Args:
        folder: It exists.
        boards: The comparison.
        tensorboard: The command that shows these runs.
    """
    text = markdown.render(
        Path(__file__).with_name("comparison.md.jinja"),
        boards=boards,
        tensorboard=Markup(tensorboard),
        ranking=_ranking,
        differences=lambda board: markdown.text_table(
            columns.DIFFERENCE, map(columns.difference, board.differences[:_MOST_DIFFERENCES])
        ),
        settings=lambda board: [
            (entry.name, ", ".join(run.id for run in entry.runs), columns.settings(entry)) for entry in board.entries
        ],
        most=_MOST_DIFFERENCES,
    )
    files.write_text(folder / "comparison.md", text)
    files.write_text(folder / "comparison.csv", _csv(boards))
    content = {"tensorboard": tensorboard, "boards": [files.as_json(asdict(board)) for board in boards]}
    files.write_json(folder / "comparison.json", content)


def _ranking(board: Board) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table of all entries."""
    shown = [*columns.quality(board), columns.SEEDS, *columns.cost()]
    rows = []
    for entry in board.entries:
        cells = [column.cell(entry) for column in shown]
        rows.append([entry.name, *(f"{c.text} ({c.interval})" if c.interval else c.text for c in cells)])
    return ["", *(column.title for column in shown)], rows


_FIGURES = tuple(f.name for f in fields(Entry) if "Figure" in str(f.type))
_PLAIN = ("parameters", "multiply_adds", "file_bytes", "latency_ms", "peak_memory_bytes", "training_seconds")
_PARTS = ("low", "high", "deviation")


def _csv(boards: Sequence[Board]) -> str:
    """A line an entry; scores are fractions, and what is not known is empty."""
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
