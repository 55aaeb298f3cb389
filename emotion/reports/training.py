"""Losses, scores and learning rate by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from emotion.reports.canvas import BLUE, FAINT, GREEN, INK, ORANGE, Picture, figure_of, heading, picture_of

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
        (heading, {name: look for name, look in panel.items() if np.isfinite(columns[name]).any()})
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
