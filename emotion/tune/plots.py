"""A search's objective over its trials, and against each key that was searched."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from emotion.reports.canvas import BLUE, FAINT, ORANGE, Picture, figure_of, heading, picture_of
from emotion.tune.history import Trial, best

_COLUMNS = 3
#: Tick labels of a choice longer than this are cut.
_LONGEST_LABEL = 14


def search(trials: Sequence[Trial], objective: str, path: Path | None) -> Picture:
    """Draw every trial's objective in the order of the trials, and the best so far.

    At least one trial is completed. ``path`` is where to write a PNG; None writes nothing.
    """
    done = [t for t in trials if t.objective is not None]
    failed = [t.number for t in trials if t.status == "failed"]
    numbers, values = np.array([t.number for t in done]), np.array([t.objective for t in done], float)
    so_far = np.minimum.accumulate(values) if objective == "val_loss" else np.maximum.accumulate(values)
    winner = best(trials, objective)
    assert winner is not None
    with figure_of(7.6, 3.6) as figure:
        axes = figure.subplots()
        numbers_to_end = [*numbers, max(t.number for t in trials)]
        axes.step(numbers_to_end, [*so_far, so_far[-1]], where="post", color=ORANGE, linewidth=1.4, label="best so far")
        _dots(axes, numbers, done, winner)
        for number in failed:
            axes.plot(number, 0.03, "x", color=FAINT, transform=axes.get_xaxis_transform(), clip_on=False)
        axes.set_xlabel("trial" + (" (× failed)" if failed else ""))
        axes.set_ylabel(objective)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(True)
        axes.tick_params(length=0)
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=8.5, borderaxespad=0.2)
        note = f"Best: {winner.objective:.4f} in trial {winner.number}. {len(done)} completed, {len(failed)} failed."
        heading(figure, f"{objective} over the trials", note)
        return picture_of(figure, path)


def parameters(
    trials: Sequence[Trial], keys: Sequence[str], logarithmic: Collection[str], objective: str, path: Path | None
) -> Picture:
    """Draw the objective of every completed trial against each key, one panel per key, as :func:`search` does."""
    done, winner = [t for t in trials if t.objective is not None], best(trials, objective)
    columns = min(_COLUMNS, len(keys))
    rows = math.ceil(len(keys) / columns)
    with figure_of(2.9 * columns + 0.4, 2.5 * rows + 0.7) as figure:
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes, key in zip(grid.flat, keys, strict=False):
            _against(axes, [t for t in done if key in t.values], key, key in logarithmic, winner)
        for axes in list(grid.flat)[len(keys) :]:
            axes.set_visible(False)
        for axes in grid[:, 0]:
            axes.set_ylabel(objective)
        heading(figure, f"{objective} against each key", "Each dot is a trial; the best one is orange.")
        return picture_of(figure, path)


def _against(axes: Axes, trials: Sequence[Trial], key: str, logarithmic: bool, winner: Trial | None) -> None:
    values = [t.values[key] for t in trials]
    if all(isinstance(v, int | float) for v in values):
        places = np.array(values, float)
        if logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        names = sorted(map(str, set(values)))
        # Trials of one option side by side, or they would hide each other.
        spread = np.random.default_rng(0).uniform(-0.15, 0.15, len(values))
        places = np.array([names.index(str(v)) for v in values]) + spread
        axes.set_xticks(range(len(names)), [_cut(n) for n in names])
        axes.set_xlim(-0.5, len(names) - 0.5)
    _dots(axes, places, trials, winner)
    axes.set_title(key, loc="left", fontsize=9, fontweight="bold")
    axes.grid(True)
    axes.tick_params(length=0, labelsize=8)
    axes.tick_params(which="minor", length=0)


def _dots(axes: Axes, places: NDArray[Any], trials: Sequence[Trial], winner: Trial | None) -> None:
    """A dot with its standard deviation per trial; the best one is orange."""
    values = [t.objective or 0.0 for t in trials]
    spreads = [t.deviation or 0.0 for t in trials]
    axes.errorbar(places, values, spreads, fmt="o", color=BLUE, markersize=4.5, elinewidth=0.8, alpha=0.8)
    for place, value, trial in zip(places, values, trials, strict=True):
        if trial is winner:
            axes.plot(place, value, "o", color=ORANGE, markersize=8, markeredgecolor="white", zorder=4)


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_LABEL else f"{name[: _LONGEST_LABEL - 1]}…"
