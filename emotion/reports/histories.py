"""One score over the epochs of several runs, in one image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from emotion.reports.canvas import figure_of
from emotion.reports.svg import PAPER, SERIES, svg_of

_DASHES = ((0, ()), (0, (4, 2)), (0, (1, 1.4)))


@dataclass(frozen=True)
class Course:
    """How one entry's runs went.

    Attributes:
        number: Of the entry: its colour, and from the seventh on its dashes.
        histories: Of each run, the rows of its ``history.csv``.
        kept: Of each run, the epoch whose checkpoint was kept, or None.
    """

    number: int
    histories: tuple[Sequence[Mapping[str, Any]], ...]
    kept: tuple[int | None, ...]


def histories_svg(courses: Sequence[Course], column: str, *, key: str, label: str) -> str | None:
    """Draw a column of ``history.csv`` as inline SVG: a thin line a run, and their mean where there are several.

    The mean ends where the first of the runs does. Dots mark the epochs whose checkpoints were kept.

    Args:
        courses: Best first.
        column: Such as ``val_accuracy``: fractions.
        key: See :func:`emotion.reports.svg.svg_of`.
        label: What the column is, for people.

    Returns:
        None where no history has the column.
    """
    lines = [(course, [_line(rows, column) for rows in course.histories]) for course in courses]
    drawn = [(course, runs) for course, runs in lines if any(len(run) for run in runs)]
    if not drawn:
        return None
    with figure_of(5.4, 3.5) as figure:
        axes = figure.add_subplot()
        for depth, (course, runs) in enumerate(drawn):
            _draw(axes, course, runs, zorder=10.0 - 0.1 * depth)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g} %"))
        axes.margins(x=0.03, y=0.06)
        axes.grid(True)
        axes.tick_params(length=0)
        count = sum(len(runs) for _, runs in drawn)
        return svg_of(figure, key, f"{label} over the epochs of {count} runs of {len(drawn)} entries.")


def look(number: int) -> tuple[str, tuple[float, tuple[float, ...]]]:
    """Colour and dashes of an entry's lines."""
    return SERIES[number % len(SERIES)], _DASHES[number // len(SERIES) % len(_DASHES)]


def _line(rows: Sequence[Mapping[str, Any]], column: str) -> NDArray[np.float64]:
    """float64 ``[N, 2]``: the epochs that have a finite value, and it."""
    pairs = [(float(row.get("epoch", math.nan)), float(row.get(column, math.nan))) for row in rows]
    return np.array([pair for pair in pairs if all(map(math.isfinite, pair))], float).reshape(-1, 2)


def _draw(axes: Axes, course: Course, runs: Sequence[NDArray[np.float64]], zorder: float) -> None:
    colour, dashes = look(course.number)
    filled = [run for run in runs if len(run)]
    alone = len(filled) == 1
    for run, kept in zip(runs, course.kept, strict=True):
        short = "o" if len(run) == 1 else None  # a line through one epoch is invisible
        axes.plot(
            *run.T, color=colour, linestyle=dashes, linewidth=1.8 if alone else 0.8, alpha=1 if alone else 0.55,
            marker=short, markersize=3.5, zorder=zorder,
        )  # fmt: skip
        best = run[run[:, 0] == kept]
        size = 6 if alone else 4.5
        axes.plot(*best.T, color=colour, marker="o", markersize=size, mec=PAPER, mew=0.8, ls="none", zorder=zorder + 1)
    if not alone:
        common = sorted(set.intersection(*({float(epoch) for epoch in run[:, 0]} for run in filled)))
        values = [[dict(run.tolist())[epoch] for run in filled] for epoch in common]
        means = [float(np.mean(row)) for row in values]
        axes.plot(common, means, color=colour, linestyle=dashes, linewidth=2.2, zorder=zorder)
