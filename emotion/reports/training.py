"""Losses, scores and learning rate by epoch, of one run or of several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from emotion.reports.canvas import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    SERIES,
    Picture,
    figure_of,
    heading,
    picture_of,
    svg_of,
)

# Panel title, and for each column of history.csv its label and colour.
_PANELS: tuple[tuple[str, dict[str, tuple[str, str]]], ...] = (
    ("Loss", {"loss": ("training", FAINT), "val_loss": ("validation", BLUE)}),
    (
        "Scores",
        {
            "accuracy": ("training accuracy", FAINT),
            "val_accuracy": ("validation accuracy", BLUE),
            "val_macro_f1": ("validation macro-F1", ORANGE),
        },
    ),
    ("Learning rate", {"learning_rate": ("learning rate", GREEN)}),
)


def history(
    rows: Sequence[Mapping[str, Any]],
    path: Path | None,
    *,
    monitor: str,
    best_epoch: int | None,
    title: str = "Training",
) -> Picture:
    """Draw loss, scores and learning rate over the epochs, and mark the epoch whose checkpoint was kept.

    Args:
        rows: One mapping per epoch, as read from ``history.csv``: numbers or their text. Columns that are missing
            are left out, and so are values that are empty, NaN or infinite.
        path: Where to write a PNG; None writes nothing.
        monitor: The column that chose the checkpoint.
        best_epoch: That epoch, counted as in the column ``epoch``; None marks none.
        title: Heading.

    Raises:
        ValueError: There are no rows, or an epoch is not a number.
    """
    if not rows:
        raise ValueError("no rows: the history of a run with no finished epoch cannot be drawn")
    epochs = np.array([_number(row.get("epoch", i)) for i, row in enumerate(rows)])
    if np.isnan(epochs).any():
        raise ValueError("the column epoch holds something that is not a number")
    columns = {name: np.array([_number(row.get(name)) for row in rows]) for _, panel in _PANELS for name in panel}
    panels = [
        (heading, {name: style for name, style in panel.items() if np.isfinite(columns[name]).any()})
        for heading, panel in _PANELS
    ]
    panels = [(heading, panel) for heading, panel in panels if panel] or [("Nothing was recorded", {})]
    heights = [1 if heading == "Learning rate" else 2.2 for heading, _ in panels]
    with figure_of(7.6, 0.9 + sum(heights)) as figure:
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)
        for axes, (label, panel) in zip(grid[:, 0], panels, strict=True):
            _panel(axes, label, panel, epochs, columns, monitor, best_epoch)
        bottom = grid[-1, 0]
        bottom.set_xlabel("epoch")
        bottom.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        margin = max(0.03 * np.ptp(epochs), 0.5)
        bottom.set_xlim(epochs.min() - margin, epochs.max() + margin)
        heading(figure, title, _best_note(epochs, columns, monitor, best_epoch))
        return picture_of(figure, path)


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _best_note(epochs: NDArray[Any], columns: Mapping[str, NDArray[Any]], monitor: str, best: int | None) -> str:
    if best is None:
        return f"{len(epochs)} epochs"
    values = columns[monitor][epochs == best] if monitor in columns else np.array([])
    if not len(values) or math.isnan(values[-1]):
        return f"The checkpoint is from epoch {best}, chosen by {monitor}."
    return f"The checkpoint is from epoch {best}, chosen by {monitor}: {values[-1]:.4g}."


def _panel(
    axes: Axes,
    heading: str,
    panel: Mapping[str, tuple[str, str]],
    epochs: NDArray[Any],
    columns: Mapping[str, NDArray[Any]],
    monitor: str,
    best: int | None,
) -> None:
    if best is not None:
        axes.axvline(best, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    for name, (label, colour) in panel.items():
        # A line through one epoch is invisible, so short histories show their points.
        axes.plot(
            epochs, columns[name], color=colour, linewidth=1.6, label=label, marker="o",
            markersize=3.5 if len(epochs) <= 12 else 0,
        )  # fmt: skip
        if name == monitor and best is not None:
            at = epochs == best
            axes.plot(
                epochs[at], columns[name][at], color=colour, marker="o", markersize=7, markeredgecolor="white",
                linestyle="none",
            )  # fmt: skip
    axes.set_title(heading, loc="left", fontsize=9.5, fontweight="bold")
    if len(panel) > 1:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncol=len(panel), fontsize=8.5, borderaxespad=0.2)
    if heading == "Scores":
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    if heading == "Learning rate":
        axes.set_ylim(bottom=0)
    axes.grid(True)
    axes.tick_params(length=0)


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
    """Draw a column of ``history.csv`` as inline SVG: a thin line per run, and their mean where there are several.

    The mean ends where the first of the runs does. Dots mark the epochs whose checkpoints were kept.

    Args:
        courses: Best first.
        column: Such as ``val_accuracy``: fractions.
        key: See :func:`emotion.reports.canvas.svg_of`.
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


def line_style(number: int) -> tuple[str, tuple[float, tuple[float, ...]]]:
    """Colour and dashes of an entry's lines."""
    return SERIES[number % len(SERIES)], _DASHES[number // len(SERIES) % len(_DASHES)]


def _line(rows: Sequence[Mapping[str, Any]], column: str) -> NDArray[np.float64]:
    """float64 ``[N, 2]``: the epochs that have a finite value, and it."""
    pairs = [(float(row.get("epoch", math.nan)), float(row.get(column, math.nan))) for row in rows]
    return np.array([pair for pair in pairs if all(map(math.isfinite, pair))], float).reshape(-1, 2)


def _draw(axes: Axes, course: Course, runs: Sequence[NDArray[np.float64]], zorder: float) -> None:
    colour, dashes = line_style(course.number)
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
