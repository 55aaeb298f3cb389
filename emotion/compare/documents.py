"""A comparison as files for people and programs: Markdown, CSV and JSON, each with all entries."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from emotion.base import files
from emotion.compare import columns
from emotion.compare.board import Board, Entry, Figure
from emotion.compare.columns import Column
from emotion.reports import markdown

#: Rows of the table of differences that a person reads; the JSON file holds all.
_MOST_DIFFERENCES = 30


def write(folder: Path, boards: Sequence[Board], tensorboard: str) -> None:
    """Write ``comparison.md``, ``comparison.csv`` and ``comparison.json`` into a folder.

    Args:
        folder: It exists.
        boards: The comparison.
        tensorboard: The command that shows these runs.
    """
    files.write_text(folder / "comparison.md", _markdown(boards, tensorboard))
    files.write_text(folder / "comparison.csv", _csv(boards))
    content = {"tensorboard": tensorboard, "boards": [files.as_json(asdict(board)) for board in boards]}
    files.write_json(folder / "comparison.json", content)


# ---------------------------------------------------------------------------------------------------------- Markdown


def _markdown(boards: Sequence[Board], tensorboard: str) -> str:
    parts = ["# Comparison", *(part for board in boards for part in _board(board))]
    return "\n\n".join([*parts, f"Training curves: `{tensorboard}`"]) + "\n"


def _board(board: Board) -> Iterator[str]:
    yield f"## {_line(board.data)}: {board.n:,} {board.split} images"
    for sentence in board.verdict:
        yield f"**{_line(sentence)}**"
    shown = [*columns.quality(board), columns.SEEDS, *columns.cost()]
    yield _table(("", *(column.title for column in shown)), [_entry(entry, shown) for entry in board.entries])
    yield (
        f"Scores in percent with 95 % intervals, over seeds mean ± standard deviation. Data fingerprint "
        f"`{board.pixels[:16]}`."
    )
    if board.differences:
        rows = [columns.difference(d) for d in board.differences[:_MOST_DIFFERENCES]]
        yield _table(columns.DIFFERENCE, rows)
        if len(board.differences) > _MOST_DIFFERENCES:
            yield f"{len(board.differences) - _MOST_DIFFERENCES} more differences are in comparison.json."
    if board.notes:
        yield "\n".join(f"- {_line(note)}" for note in board.notes)
    yield _table(
        ("entry", "runs", "settings that differ"),
        [(entry.name, ", ".join(run.id for run in entry.runs), columns.settings(entry)) for entry in board.entries],
    )


def _entry(entry: Entry, shown: Sequence[Column]) -> list[str]:
    cells = [column.cell(entry) for column in shown]
    return [entry.name, *(f"{cell.text} ({cell.interval})" if cell.interval else cell.text for cell in cells)]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    escaped = [dict(zip(headings, map(markdown.plain, row), strict=True)) for row in rows]
    return markdown.table(escaped, {heading: markdown.plain(heading) for heading in headings})


def _line(text: str) -> str:
    """Text on one line: a run's name may hold any character."""
    return markdown.plain(" ".join(text.split()))


# --------------------------------------------------------------------------------------------------------------- CSV

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
