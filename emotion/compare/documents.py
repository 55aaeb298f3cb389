"""A comparison as files for people and programs: Markdown, CSV and JSON, each with all entries."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from emotion.base import files
from emotion.compare import cells
from emotion.compare.board import Board, Difference, Entry, Figure
from emotion.compare.verdict import p_value, points

#: Rows of the table of differences that a person reads; the JSON file holds all.
_MOST_DIFFERENCES = 30


def write(folder: Path, boards: Sequence[Board], tensorboard: str) -> None:
    """Write ``comparison.md``, ``comparison.csv`` and ``comparison.json`` into a folder.

    Args:
        folder: It exists.
        boards: The comparison.
        tensorboard: The command that shows these runs.
    """
    files.write_text(folder / "comparison.md", "\n".join(_markdown(boards, tensorboard)) + "\n")
    files.write_text(folder / "comparison.csv", _csv(boards))
    content = {"tensorboard": tensorboard, "boards": [_plain(asdict(board)) for board in boards]}
    files.write_json(folder / "comparison.json", content)


# ---------------------------------------------------------------------------------------------------------- Markdown


def _markdown(boards: Sequence[Board], tensorboard: str) -> Iterator[str]:
    yield "# Comparison"
    for board in boards:
        yield from _board(board)
    yield ""
    yield f"Training curves: `{tensorboard}`"


def _board(board: Board) -> Iterator[str]:
    yield ""
    yield f"## {_escaped(board.data)}: {board.n:,} {board.split} pictures"
    yield ""
    for sentence in board.verdict:
        yield f"**{_escaped(sentence)}**"
        yield ""
    columns = [*cells.quality(board), *cells.cost()]
    yield from _row(["", *(column.title for column in columns)])
    yield from _row(["---", *("---:" for _ in columns)])
    for entry in board.entries:
        texts = (column.cell(entry) for column in columns)
        yield from _row([entry.name, *(f"{value} ({interval})" if interval else value for value, interval in texts)])
    yield ""
    yield (
        f"Scores in percent with 95 % intervals, over seeds mean ± standard deviation. Data fingerprint "
        f"`{board.pixels[:16]}`."
    )
    yield from _differences(board.differences)
    yield ""
    for note in board.notes:
        yield f"- {_escaped(note)}"
    yield from _settings(board.entries)


def _differences(differences: Sequence[Difference]) -> Iterator[str]:
    if not differences:
        return
    yield ""
    yield from _row(["better", "than", "in", "by points (95 % interval)", "p", "p after Holm", "difference"])
    yield from _row(["---", "---", "---", "---:", "---:", "---:", "---"])
    for d in differences[:_MOST_DIFFERENCES]:
        interval = f"{points(d.gain.low or 0.0)} to {points(d.gain.high or 0.0)}"
        p, p_holm = (p_value(p).removeprefix("p = ").removeprefix("p ") for p in (d.p, d.p_holm))
        found = "shown" if d.significant else "not shown"
        metric = {"macro_f1": "macro-F1"}.get(d.metric, d.metric)
        yield from _row([d.better, d.worse, metric, f"{points(d.gain.value)} ({interval})", p, p_holm, found])
    if len(differences) > _MOST_DIFFERENCES:
        yield ""
        yield f"{len(differences) - _MOST_DIFFERENCES} more differences are in comparison.json."


def _settings(entries: Sequence[Entry]) -> Iterator[str]:
    """What each entry is, by its runs and the settings that tell it from the others."""
    yield ""
    yield from _row(["entry", "runs", "settings that differ"])
    yield from _row(["---", "---", "---"])
    for entry in entries:
        settings = ", ".join(f"{key}={value}" for key, value in entry.settings.items())
        yield from _row([entry.name, ", ".join(run.id for run in entry.runs), settings])


def _row(texts: Sequence[str]) -> Iterator[str]:
    yield "| " + " | ".join(_escaped(text) for text in texts) + " |"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: a run's name may hold any character."""
    found = " ".join(text.split())
    return re.sub(r"([\\|*`\[\]]|<(?=\S)|(?<!\w)_|_(?!\w))", r"\\\1", found)


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


# -------------------------------------------------------------------------------------------------------------- JSON


def _plain(value: Any) -> Any:
    """What JSON can hold: paths as texts, NaN as null."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
