"""The plots of the comparison's page: the Pareto front, and how training went."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from markupsafe import Markup

from emotion.base import files
from emotion.base.errors import UserError
from emotion.compare.board import Board, Entry
from emotion.reports.canvas import VARIABLES
from emotion.reports.pareto import Point, front, pareto, pareto_svg
from emotion.reports.training import Course, histories_svg, look
from emotion.runs.folder import Run
from emotion.runs.history import read_history

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


def paretos(board: Board, key: str) -> list[dict[str, Any]]:
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
        note = f"{board.data}: {board.n:,} {board.split} images. Vertical lines: 95 % intervals."
        with files.replacing(path) as temporary:
            pareto(points, temporary, cost=_COSTS[cost], title="Accuracy against cost", note=note)


def histories(board: Board, key: str) -> dict[str, Any]:
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
    histories, kept = [], []
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
        histories.append(rows)
        kept.append(_kept(run))
    return Course(number, tuple(histories), tuple(kept))


def _kept(run: Run) -> int | None:
    try:
        return run.record().best_epoch
    except UserError:
        return None


def _legend(number: int, entry: Entry) -> tuple[str, str, str]:
    """An entry's name, its colour as a CSS variable, and its dashes."""
    colour, (_, dashes) = look(number)
    return entry.name, VARIABLES[colour], " ".join(f"{2 * dash:g}" for dash in dashes)
