"""Names beside points, placed so that none lies on another, on a point or outside the plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray

from emotion.reports.canvas import FAINT

# Where a name may stand from its point: direction, and its anchor within the name's own box. Beside it first.
_DIRECTIONS = (
    (1, 0, 0, 0.5), (-1, 0, 1, 0.5), (0.7, 0.7, 0, 0), (-0.7, 0.7, 1, 0), (0.7, -0.7, 0, 1), (-0.7, -0.7, 1, 1),
    (0, 1, 0.5, 0), (0, -1, 0.5, 1),
)  # fmt: skip
_DISTANCES = (9.0, 18.0, 30.0, 46.0, 66.0, 90.0)  # pixels
_LEADER = 16.0  # from this distance on, a line leads to the point
_CLEAR = 2.0  # pixels round a name that stay free


def place(
    sizes: Sequence[tuple[float, float]], points: NDArray[Any], obstacles: NDArray[Any], within: Sequence[float]
) -> list[tuple[float, float, float] | None]:
    """Find a place for every name, those first in the list first.

    A greedy search over eight directions and six distances (after Christensen, Marks and Shieber 1995).

    Args:
        sizes: Width and height of each name.
        points: float ``[N, 2]``, what they name.
        obstacles: float ``[M, 4]``, boxes (left, bottom, right, top) that names must not touch.
        within: Box that they must be inside.

    Returns:
        For each its left and bottom edge and its distance from the point, all in the units of ``points``; None where
        there is no room.
    """
    taken = np.asarray(obstacles, float).reshape(-1, 4)
    places: list[tuple[float, float, float] | None] = []
    for (width, height), (x, y) in zip(sizes, points, strict=True):
        for distance, (dx, dy, ax, ay) in ((d, direction) for d in _DISTANCES for direction in _DIRECTIONS):
            left, bottom = x + distance * dx - ax * width, y + distance * dy - ay * height
            box = np.array([left, bottom, left + width, bottom + height])
            inside = (box[:2] >= within[:2]).all() and (box[2:] <= within[2:]).all()
            if inside and not ((taken[:, :2] < box[2:]) & (taken[:, 2:] > box[:2])).all(axis=1).any():
                clear = np.array([-_CLEAR, -_CLEAR, _CLEAR, _CLEAR])
                taken = np.vstack([taken, box + clear])
                places.append((left, bottom, distance))
                break
        else:
            places.append(None)
    return places


def write_names(
    axes: Axes, names: Sequence[str], points: NDArray[Any], obstacles: NDArray[Any], colours: Sequence[str]
) -> list[bool]:
    """Write names beside points, those first in the list first; a name without room is left out.

    The layout must be final: what changes the axes' place or limits afterwards spoils it.

    Args:
        axes: Where.
        names: Of one line or more.
        points: float ``[N, 2]`` in pixels of the figure.
        obstacles: float ``[M, 4]`` in the same.
        colours: Of each name.

    Returns:
        Whether each was written.
    """
    figure = axes.figure
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()
    style: dict[str, Any] = {"fontsize": 8.5, "va": "bottom", "ha": "left", "linespacing": 1.1}
    texts = [
        axes.text(0, 0, name, color=colour, transform=axes.transAxes, **style)
        for name, colour in zip(names, colours, strict=True)
    ]
    extents = [text.get_window_extent(renderer) for text in texts]
    frame = axes.get_window_extent(renderer)
    sizes = [(extent.width, extent.height) for extent in extents]
    places = place(sizes, points, obstacles, (frame.x0 + 2, frame.y0 + 2, frame.x1, frame.y1))
    to_axes = axes.transAxes.inverted()
    for text, extent, place_, (x, y) in zip(texts, extents, places, points, strict=True):
        if place_ is None:
            text.remove()
            continue
        left, bottom, distance = place_
        # As shares of the axes, because an SVG has other pixels.
        x0, y0 = axes.transAxes.transform((0, 0))
        text.set_position(tuple(to_axes.transform((x0 + left - extent.x0, y0 + bottom - extent.y0))))
        if distance > _LEADER:
            near = np.clip((x, y), (left, bottom), (left + extent.width, bottom + extent.height))
            ends = to_axes.transform([(x, y), near])
            axes.plot(*ends.T, color=FAINT, linewidth=0.6, transform=axes.transAxes, zorder=1)
    return [place_ is not None for place_ in places]
