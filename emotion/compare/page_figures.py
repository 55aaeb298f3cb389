"""The plots of the comparison's page: the Pareto front, and how training went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from emotion.base import files
from emotion.base.errors import UserError
from emotion.compare.board import Board, Entry
from emotion.reports.histories import Course, histories_svg, look
from emotion.reports.pareto import Point, front, pareto, pareto_svg
from emotion.reports.svg import VARIABLES
from emotion.runs.folder import Run
from emotion.runs.history import read_history

#: Lines of more entries than this cannot be told apart.
MOST_COURSES = 12
_COSTS = {
    "latency_ms": "latency in ms (one picture, one thread)",
    "multiply_adds": "multiply-adds for one picture",
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


def paretos(board: Board, key: str) -> str:
    """The plots of accuracy against cost, and who is missing from them, as HTML."""
    figures = []
    for cost in costs(board):
        points, known = _points(board, cost)
        drawing = pareto_svg(points, cost=_COSTS[cost], key=f"{key}{cost.replace('_', '')}")
        absent = [entry.name for entry, fits in zip(board.entries, known, strict=True) if not fits]
        missing = f" Not here, because theirs is not known: {escape(_some(absent))}." if absent else ""
        caption = f"<figcaption>{_caption(board)}{missing}</figcaption>"
        figures.append(f'<figure class="plot named">{drawing}{caption}</figure>')
    if not figures:
        return "<p>Neither latency nor multiply-adds nor parameters of these runs are known.</p>"
    return f'<div class="side">{"".join(figures)}</div>'


def _caption(board: Board) -> str:
    return (
        "Up and to the left is better. Vertical lines are 95 % intervals: entries whose lines overlap could change "
        f"places on other pictures. {board.n:,} pictures of the {escape(board.split)} split."
    )


def save_pareto(board: Board, path: Path) -> None:
    """Write the first plot of accuracy against cost as a PNG; nothing where no cost is known."""
    for cost in costs(board)[:1]:
        points, _ = _points(board, cost)
        note = f"{board.data}: {board.n:,} {board.split} pictures. Vertical lines: 95 % intervals."
        with files.replacing(path) as temporary:
            pareto(points, temporary, cost=_COSTS[cost], title="Accuracy against cost", note=note)


def histories(board: Board, key: str) -> str:
    """How training went, for the best entries, with a legend, as HTML."""
    learnt = [entry for entry in board.entries if entry.runs[0].export is None]  # exports have their runs' histories
    entries = learnt[:MOST_COURSES]
    faults: list[str] = []
    courses = [_course(number, entry, faults) for number, entry in enumerate(entries)]
    figures = []
    for column, label in _SCORES.items():
        drawing = histories_svg(courses, column, key=f"{key}{column.replace('_', '')}", label=label)
        if drawing is not None:
            figures.append(f'<figure class="plot">{drawing}</figure>')
    said = f'<p class="faint">{escape(" ".join(faults))}</p>' if faults else ""
    if not figures:
        return f"<p>No history of these runs can be read.</p>{said}"
    legend = "".join(f"<li>{_swatch(number)}{escape(entry.name)}</li>" for number, entry in enumerate(entries))
    several = any(len(entry.runs) > 1 for entry in entries)
    note = "Dots: the epoch whose checkpoint was kept." + (
        " Thin lines: a seed each; thick lines: their mean, as far as all of them went." if several else ""
    )
    best = f" The best {len(entries)} of {len(learnt)} entries." if len(learnt) > len(entries) else ""
    return (
        f'<p class="faint">{note}{best}</p><ul class="legend">{legend}</ul>'
        f'<div class="side">{"".join(figures)}</div>{said}'
    )


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


def _swatch(number: int) -> str:
    colour, (_, dashes) = look(number)
    pattern = f' stroke-dasharray="{" ".join(f"{2 * d:g}" for d in dashes)}"' if dashes else ""
    return (
        f'<svg width="30" height="10" aria-hidden="true"><line x1="1" x2="29" y1="5" y2="5" stroke-width="3" '
        f'style="stroke:var({VARIABLES[colour]})"{pattern}/></svg>'
    )


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
