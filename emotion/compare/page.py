"""The comparison as one HTML file that opens offline: the verdict, the tables, the plots and the images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from emotion.base import files, words
from emotion.base.errors import UserError
from emotion.compare import disagreements, tables
from emotion.compare.board import Board, Entry
from emotion.compare.disagreements import Predictions
from emotion.compare.tables import Cell
from emotion.reports import html
from emotion.reports.canvas import VARIABLES
from emotion.reports.pareto import Point, front, pareto, pareto_svg
from emotion.reports.training import Course, histories_svg, line_style
from emotion.runs.history import read_history

_MATRICES = 6
_RECALLS = 12
_LONGEST_TITLE = 24


def write(path: Path, boards: Sequence[Board], pictures: int = 24) -> None:
    """Write the page, and beside it ``pareto.png``; of further boards ``pareto-2.png`` and so on.

    The images of people in it come from the data that the runs were trained on: the page says that it holds them.

    Args:
        path: The file to write; its folder exists.
        boards: The comparison, at least one board.
        pictures: How many images the best two entries of each board disagree on are shown; 0 shows none.

    Raises:
        OSError: The folder cannot be written to.
    """
    sections = []
    for number, board in enumerate(boards, start=1):
        save_pareto(board, path.with_name("pareto.png" if number == 1 else f"pareto-{number}.png"))
        sections.append(_section(board, f"b{number}", pictures))
    entries = [entry for board in boards for entry in board.entries]
    html.write(
        path,
        Path(__file__).with_name("page.html"),
        title=f"Comparison of {_title(boards) or words.counted(len(entries), 'entry', 'entries')}",
        runs=sum(len(entry.runs) for entry in entries),
        images=sum(len(section["sources"]) for section in sections),
        sections=sections,
    )


def _title(boards: Sequence[Board]) -> str:
    """The names of two or three entries, where they are short; else nothing."""
    names = [entry.name for board in boards for entry in board.entries]
    if not 2 <= len(names) <= 3 or len(boards) > 1 or max(map(len, names)) > _LONGEST_TITLE:
        return ""
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _section(board: Board, key: str, pictures: int) -> dict[str, Any]:
    """What the template shows of a board."""
    answers: dict[str, Predictions] = {}
    faults = []
    for entry in board.entries[:_RECALLS]:
        try:
            answers[entry.name] = disagreements.read(entry, board.split)
        except UserError as error:
            faults.append(f"{entry.name}: {error}")
    best, second = (answers.get(name) for name in [*(entry.name for entry in board.entries[:2]), ""][:2])
    mistaken, disagreeing = disagreements.look(board, best, second, pictures) if best else (None, None)
    return {
        "key": key,
        "board": board,
        "several_seeds": any(len(entry.seeds) > 1 for entry in board.entries),
        **_ranking(board),
        "paretos": _paretos(board, key),
        "effects": [tables.effect(e) for e in (*board.effects, *board.interactions)],
        "differences": [tables.difference(d) for d in board.differences],
        "effects_caption": tables.effects_caption(board),
        "caption": tables.caption(board),
        "training": _histories(board, key),
        "matrices": _matrices(board, answers),
        "recalls": _recalls(board, answers),
        "mistakes": mistaken,
        "disagreements": disagreeing,
        "sources": mistaken.sources if mistaken else {},
        "faults": faults,
        "settings": [(entry.name, [run.id for run in entry.runs], tables.settings(entry)) for entry in board.entries],
    }


@dataclass(frozen=True)
class _Row:
    """An entry in the ranking: its cells, which of them are the best of their column, and its seeds."""

    name: str
    on_front: bool
    cells: list[tuple[Cell, bool]]
    seeds: str
    count: int


def _ranking(board: Board) -> dict[str, Any]:
    """Columns and rows of the table of all entries, without columns of which nothing is known."""
    known = []
    for column in [*tables.quality(board), *tables.cost()]:
        cells = [column.cell(entry) for entry in board.entries]
        numbers = {cell.number for cell in cells if cell.number is not None}
        if numbers:
            best = max(numbers, key=lambda n: n * column.better) if len(numbers) > 1 else None
            known.append((column, [(cell, best is not None and cell.number == best) for cell in cells]))
    rows = [
        _Row(entry.name, on_front, [cells[i] for _, cells in known], _seeds(entry), len(entry.seeds))
        for i, (entry, on_front) in enumerate(zip(board.entries, on_front(board), strict=True))
    ]
    return {"columns": [column for column, _ in known], "rows": rows, "front": any(row.on_front for row in rows)}


def _seeds(entry: Entry) -> str:
    texts = ["–" if seed is None else str(seed) for seed in entry.seeds]  # imported networks have none
    return ", ".join(texts) if len(texts) <= 3 else f"{len(texts)}: {texts[0]} … {texts[-1]}"


def _matrices(board: Board, answers: dict[str, Predictions]) -> list[tuple[str, list[tuple[str, list[float | None]]]]]:
    """Name and confusion matrix of the best entries: each true emotion's shares of the answers."""
    return [
        (name, [(label, _shares(row)) for label, row in zip(board.labels, a.confusion(), strict=True)])
        for name, a in list(answers.items())[:_MATRICES]
    ]


def _recalls(board: Board, answers: dict[str, Predictions]) -> dict[str, Any] | None:
    """Each entry's recall of each emotion, the best of each emotion marked; None where no answers can be read."""
    if not answers:
        return None
    support = np.bincount(next(iter(answers.values())).labels, minlength=len(board.labels))
    values = np.array([np.diag(a.confusion()) for a in answers.values()])
    best = (values == values.max(axis=0)) & (len(answers) > 1)
    rows = [
        (name, list(zip(_shares(row), top.tolist(), strict=True)))
        for name, row, top in zip(answers, values, best, strict=True)
    ]
    return {"support": support.tolist(), "rarest": int(support[board.labels.index(board.rarest)]), "rows": rows}


def _shares(row: Any) -> list[float | None]:
    return [float(share) if math.isfinite(share) else None for share in row]


#: Lines of more entries than this cannot be distinguished.
MOST_COURSES = 12
_COSTS = {
    "latency_ms": "latency in ms (one image, one thread)",
    "multiply_adds": "multiply-adds per image",
    "parameters": "parameters",
}
_SCORES = {"val_accuracy": "validation accuracy", "val_macro_f1": "validation macro-F1"}


def costs(board: Board) -> list[str]:
    """The costs to plot: latency; multiply-adds where some entry has none; parameters where neither is known."""
    known = {name: _points(board, name)[1] for name in _COSTS}
    chosen = ["latency_ms"] if any(known["latency_ms"]) else []
    if not all(known["latency_ms"]) and any(known["multiply_adds"]):
        chosen.append("multiply_adds")
    if not chosen and any(known["parameters"]):
        chosen.append("parameters")
    return chosen


def _points(board: Board, cost: str) -> tuple[list[Point], list[bool]]:
    """A point of each entry whose cost is known, and which entries these are."""
    points, known = [], []
    for entry in board.entries:
        value = getattr(entry, cost)
        fits = value is not None and math.isfinite(value) and value > 0 and math.isfinite(entry.accuracy.value)
        known.append(fits)
        if fits:
            accuracy = entry.accuracy
            points.append(Point(entry.name, float(value), accuracy.value, accuracy.low, accuracy.high))
    return points, known


def on_front(board: Board) -> list[bool]:
    """Of each entry, whether it is on the front of the first plot."""
    for cost in costs(board)[:1]:
        points, known = _points(board, cost)
        members = iter(front([p.cost for p in points], [p.accuracy for p in points]).tolist())
        return [fits and next(members) for fits in known]
    return [False] * len(board.entries)


def _paretos(board: Board, key: str) -> list[dict[str, Any]]:
    """The plots of accuracy against cost as SVG, and the names of the entries that are missing from each."""
    plots = []
    for cost in costs(board):
        points, known = _points(board, cost)
        svg = pareto_svg(points, cost=_COSTS[cost], key=f"{key}{cost.replace('_', '')}")
        unknown = [entry.name for entry, fits in zip(board.entries, known, strict=True) if not fits]
        plots.append({"svg": Markup(svg), "unknown": unknown})
    return plots


def save_pareto(board: Board, path: Path) -> None:
    """Write the first plot of accuracy against cost as a PNG; nothing where no cost is known."""
    for cost in costs(board)[:1]:
        points, _ = _points(board, cost)
        drawn = f"of several seeds bootstrap, {board.resamples:,} resamples"
        note = f"{board.where}. Vertical lines: 95 % intervals (of one run Wilson's, {drawn})."
        with files.replacing(path) as temporary:
            pareto(points, temporary, cost=_COSTS[cost], title="Accuracy against cost", note=note)


def _histories(board: Board, key: str) -> dict[str, Any]:
    """The training curves of the best entries as SVG, with what their legend needs."""
    trained = [entry for entry in board.entries if entry.runs[0].export is None]  # exports have their runs' histories
    entries = trained[:MOST_COURSES]
    faults: list[str] = []
    courses = [_course(number, entry, faults) for number, entry in enumerate(entries)]
    drawn = [
        histories_svg(courses, column, key=f"{key}{column.replace('_', '')}", label=label)
        for column, label in _SCORES.items()
    ]
    return {
        "plots": [Markup(svg) for svg in drawn if svg is not None],
        "legend": [_legend(number, entry) for number, entry in enumerate(entries)],
        "several": any(len(entry.runs) > 1 for entry in entries),
        "of": len(trained),
        "faults": faults,
    }


def _course(number: int, entry: Entry, faults: list[str]) -> Course:
    histories, best_epochs = [], []
    for run in entry.runs:
        path = run.path / "history.csv"
        rows: list[dict[str, float]] = []
        try:
            if path.is_file():
                rows = read_history(path)
            else:  # an adopted network has none
                faults.append(f"No history is kept of {entry.name}.")
        except UserError as error:
            faults.append(f"{error}.")
        try:
            best_epochs.append(run.record().best_epoch)
        except UserError:
            best_epochs.append(None)
        histories.append(rows)
    return Course(number, tuple(histories), tuple(best_epochs))


def _legend(number: int, entry: Entry) -> tuple[str, str, str]:
    """An entry's name, its colour as a CSS variable, and its dashes."""
    colour, (_, dashes) = line_style(number)
    return entry.name, VARIABLES[colour], " ".join(f"{2 * dash:g}" for dash in dashes)
