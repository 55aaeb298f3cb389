"""Accuracy against cost, and the Pareto front: those that nothing beats in both."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from emotion.reports.canvas import BLUE, FAINT, INK, PAPER, Picture, figure_of, heading, picture_of, svg_of
from emotion.reports.labelling import write_names

_NAMED = 12  # names beyond these would be all that there is to see
_FEW = 10  # up to here, all are named and all have their interval drawn
_LINE_LENGTH = 26  # a name gets three lines of so many letters
_DASHES = (0, (4, 2.5))
_NARROWEST = 6.0  # right end of the cost axis over its left end, at least: it keeps two ticks in view


@dataclass(frozen=True)
class Point:
    """One model.

    Attributes:
        name: Plain text; long ones are cut in the middle.
        cost: Milliseconds or multiply-adds, more than 0.
        accuracy: A fraction.
        low: Lower end of its 95 % interval, or None.
        high: Upper end, likewise.
    """

    name: str
    cost: float
    accuracy: float
    low: float | None = None
    high: float | None = None


def front(costs: ArrayLike, scores: ArrayLike) -> NDArray[np.bool_]:
    """Which are not dominated: none is at least as cheap and as good, and better in one of the two.

    Args:
        costs: float ``[N]``, less is better.
        scores: float ``[N]``, more is better.

    Returns:
        bool ``[N]``. Equals are on the front together.
    """
    costs, scores = np.asarray(costs, float), np.asarray(scores, float)
    on_front = np.zeros(len(costs), bool)
    best, at = -np.inf, np.inf
    for i in np.lexsort((-scores, costs)):  # cheapest first, and of equally cheap ones the best
        if scores[i] > best or (scores[i] == best and costs[i] == at):
            on_front[i], best, at = True, scores[i], costs[i]
    return on_front


def pareto(
    points: Sequence[Point], path: Path | None, *, cost: str, title: str = "Accuracy against cost", note: str = ""
) -> Picture:
    """Draw accuracy with its 95 % interval against cost on a logarithmic axis, and the Pareto front.

    Where there are more than ten, only those on the front are named, twelve at most.

    Args:
        points: At least one.
        path: Where to write a PNG; None writes nothing.
        cost: Label of the cost axis, with its unit.
        title: Heading.
        note: A line below it.

    Raises:
        ValueError: No points, or a cost that is not a finite number above 0.
    """
    with _drawn(points, cost, title, note) as figure:
        return picture_of(figure, path)


def pareto_svg(points: Sequence[Point], *, cost: str, key: str) -> str:
    """The same as inline SVG without a heading; see :func:`pareto` and :func:`emotion.reports.canvas.svg_of`."""
    on_front = front([p.cost for p in points], [p.accuracy for p in points])
    members = sorted((p.cost, p.accuracy, p.name) for p, on in zip(points, on_front, strict=True) if on)
    listed = "; ".join(f"{name}: {_short(value)}, {100 * accuracy:.1f} %" for value, accuracy, name in members[:_NAMED])
    alt = f"Accuracy against {cost} of {len(points)}. On the Pareto front, cheapest first: {listed}."
    with _drawn(points, cost) as figure:
        return svg_of(figure, key, alt)


@contextmanager
def _drawn(points: Sequence[Point], cost: str, title: str = "", note: str = "") -> Iterator[Figure]:
    costs = np.array([p.cost for p in points], float)
    if not len(costs) or not (np.isfinite(costs) & (costs > 0)).all():
        raise ValueError("points need costs that are finite numbers above 0, and there must be at least one")
    scores = np.array([p.accuracy for p in points])
    lows = np.array([p.accuracy if p.low is None else p.low for p in points])
    highs = np.array([p.accuracy if p.high is None else p.high for p in points])
    on_front = front(costs, scores)
    drawn = on_front | (len(points) <= _FEW)
    with warnings.catch_warnings(), figure_of(6.4, 4.3) as figure:
        # A name may be in any script; the browser has the letters that DejaVu lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        axes = figure.add_subplot()
        _frame(axes, cost, costs, np.where(drawn, lows, scores), np.where(drawn, highs, scores))
        steps = _steps(costs[on_front], scores[on_front], axes.get_xlim()[1])
        axes.step(*steps, where="post", color=BLUE, lw=1.1, linestyle=_DASHES, zorder=2)
        for rows, colour, size in ((~on_front, FAINT, 26 if len(points) <= _FEW else 13), (on_front, BLUE, 46)):
            axes.vlines(costs[rows & drawn], lows[rows & drawn], highs[rows & drawn], color=colour, alpha=0.45, lw=2.4)
            crowded = 0.45 if colour == FAINT and len(points) > _FEW else 1.0
            axes.scatter(costs[rows], scores[rows], s=size, color=colour, alpha=crowded, lw=0.8, ec=PAPER, zorder=3)
        axes.legend(*_legend(on_front), loc="lower right", bbox_to_anchor=(1, 1), ncol=2, borderaxespad=0.2)
        if title:
            heading(figure, title, note)
        figure.draw_without_rendering()  # settles the layout, which the names' places depend on
        figure.set_layout_engine("none")
        _names(axes, points, on_front, lows, highs, np.column_stack(steps))
        yield figure


def _frame(axes: Axes, cost: str, costs: NDArray[Any], lows: NDArray[Any], highs: NDArray[Any]) -> None:
    low, high = costs.min(), costs.max()
    missing = max(0.0, math.log(_NARROWEST) - math.log(high / low)) / 2
    room = 0.12 * math.log(high / low) + missing
    left, right = low * math.exp(-1.8 * room), high * math.exp(room)  # names of the cheap end stand on the left
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    decades = math.log10(right / left)
    subs = (1.0, 2.0, 5.0) if decades < 4 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(10, subs=subs, numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    room = max(0.12 * (highs.max() - lows.min()), 0.01)
    axes.set_ylim(lows.min() - room, highs.max() + 1.5 * room)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g} %"))
    axes.set_xlabel(cost)
    axes.set_ylabel("accuracy")
    axes.grid(True)
    axes.tick_params(length=0)


def _steps(costs: NDArray[Any], scores: NDArray[Any], end: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """The best accuracy available at each cost: flat until the next one on the front."""
    order = np.argsort(costs)
    return np.array([*costs[order], end]), np.array([*scores[order], scores.max()])


def _legend(on_front: NDArray[np.bool_]) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=BLUE, marker="o", markersize=6.5, lw=1.1, ls=_DASHES, mec=PAPER)]
    labels = ["Pareto front: none beats these in both"]
    if not on_front.all():
        handles.append(Line2D([], [], color=FAINT, marker="o", markersize=4.5, lw=0))
        labels.append("others")
    return handles, labels


def _names(
    axes: Axes,
    points: Sequence[Point],
    on_front: NDArray[np.bool_],
    lows: NDArray[Any],
    highs: NDArray[Any],
    steps: NDArray[Any],
) -> None:
    """Name points where there is room: beside dots, intervals and the front's line, all in pixels."""
    everyone = len(points) <= _FEW
    costs = np.array([p.cost for p in points])
    at, low, high = (
        axes.transData.transform(np.column_stack([costs, values]))
        for values in ([p.accuracy for p in points], lows, highs)
    )
    dots = np.column_stack([at - 5, at + 5])
    bars = np.column_stack([low - 2, high + 2])[on_front | everyone]
    corners = axes.transData.transform(np.repeat(steps, 2, axis=0))
    corners = np.column_stack([corners[1:-1, 0], corners[:-2, 1]])  # each step goes right, then up
    rises = np.sort(np.stack([corners[:-1], corners[1:]]), axis=0)
    line = np.hstack([rises[0] - 1, rises[1] + 1])
    named = _chosen(on_front, at, everyone)
    write_names(
        axes,
        [in_lines(points[i].name) for i in named],
        at[named],
        np.vstack([dots, bars, line]),
        [INK if on_front[i] else FAINT for i in named],
    )


def _chosen(on_front: NDArray[np.bool_], at: NDArray[Any], everyone: bool) -> list[int]:
    """Rows to name, the most telling first: the ends of the front, then the one furthest from those before it."""
    members = list(np.flatnonzero(on_front))
    members.sort(key=lambda i: -at[i, 1])
    chosen = [members[0], *([members[-1]] if len(members) > 1 else [])]
    rest = [i for i in members if i not in chosen]
    while rest and len(chosen) < _NAMED:
        furthest = max(rest, key=lambda i: min(float(np.hypot(*(at[i] - at[j]))) for j in chosen))
        chosen.append(furthest)
        rest.remove(furthest)
    return [*chosen, *(np.flatnonzero(~on_front).tolist() if everyone else ())]


def in_lines(name: str, length: int = _LINE_LENGTH) -> str:
    """A name on three lines at most, broken at spaces where it has some; what is too long ends in an ellipsis."""
    printable = "".join(c if c.isprintable() else " " for c in name)
    return "\n".join(textwrap.wrap(printable, length, max_lines=3, placeholder="…")) or "?"


def _short(value: float) -> str:
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g}"
