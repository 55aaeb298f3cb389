"""Polygons and strokes, which drawn faces are made of, and the smooth curves they follow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from emotion.data.drawing.people import Colour

Points = np.ndarray[Any, np.dtype[np.float64]]
Half = Sequence[tuple[float, float]]

_ARC = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_RING = np.stack([np.cos(_ARC), np.sin(_ARC)], axis=1)


class Line(NamedTuple):
    """A stroke: its middle, float ``[N, 2]``, and its width there, float ``[N]``."""

    points: Points
    width: Points


class Shape(NamedTuple):
    """One polygon or stroke.

    Layers are ``back`` (mask of hair behind the head), ``skin`` (mask of lit skin), ``soft`` and ``fine`` (levels of
    the skin's shading: 128 is none, less is darker), ``beard`` (opacity), ``front`` (colours on the skin), ``hair``
    (mask of hair before the head), ``strand`` (levels of the hair's shading), ``top`` (colours over all).
    """

    layer: str
    outline: Points | Line
    paint: Any  #: BGR colour, or a level from 0 to 255
    lift: float = 0.0  #: how far it stands out from the head's surface
    flat: bool = False  #: it lies in the plane through the ears (outlines, hair) and not on the surface


@lru_cache(maxsize=64)
def _spline(count: int, closed: bool, per: int = 6) -> Points:
    """Matrix that turns ``count`` points into a smooth Catmull-Rom curve through them."""
    spans = count if closed else count - 1
    rows = np.zeros((spans * per + (not closed), count))
    for span in range(spans):
        for step in range(per):
            t = step / per
            weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3)
            for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
                at = span + offset
                at = at % count if closed else min(max(at, 0), count - 1)
                rows[span * per + step, at] += weight / 2
    if not closed:
        rows[-1, -1] = 1
    return rows


def smooth(points: Any, closed: bool = True) -> Points:
    curve: Points = _spline(len(points), closed) @ np.asarray(points, float)
    return curve


def mirrored(half: Half, middle: Half = ()) -> list[tuple[float, float]]:
    """A line across the face: one half, what is between, and the half's mirror image, backwards."""
    return [*half, *middle, *[(-x, y) for x, y in half[::-1]]]


def band(first: Points, second: Points) -> Points:
    """The polygon between two lines that run the same way."""
    return np.concatenate([first, second[::-1]])


def xy(x: Points, y: Points) -> Points:
    points = np.empty((len(x), 2))
    points[:, 0], points[:, 1] = x, y
    return points


def ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    return _RING * (rx, ry) + (x, y)


def stroke(points: Any, width: Any) -> Line:
    """A line of this width (a number, or one for each point)."""
    points = np.asarray(points, float)
    return Line(points, np.full(len(points), width) if np.ndim(width) == 0 else np.asarray(width, float))


def tapered(points: Any, width: float) -> Line:
    """A smooth line that thins out towards its ends."""
    curve = smooth(points, closed=False)
    return Line(curve, width * _taper(len(curve)))


@lru_cache(maxsize=64)
def _taper(count: int) -> Points:
    return np.sin(np.linspace(0.15, np.pi - 0.15, count))


def outlines(shapes: list[Shape]) -> list[Points]:
    """The polygon of each shape; all strokes are widened at once, since one by one took most of the time."""
    lines = [s.outline for s in shapes if isinstance(s.outline, Line)]
    counts = [len(line.points) for line in lines]
    ends = np.cumsum(counts)
    points, width = np.concatenate([line.points for line in lines]), np.concatenate([line.width for line in lines])
    before, after = np.arange(-1, len(points) - 1), np.arange(1, len(points) + 1)
    before[ends - counts] += 1
    after[ends - 1] -= 1
    along = points[after] - points[before]
    side = along[:, ::-1] * (0.5, -0.5) * (width / (np.hypot(along[:, 0], along[:, 1]) + 1e-9))[:, None]
    left, right = points + side, points - side
    spans = iter(zip(ends - counts, ends, strict=True))
    polygons: list[Points] = []
    for shape in shapes:
        if isinstance(shape.outline, Line):
            span = slice(*next(spans))
            polygons.append(band(left[span], right[span]))
        else:
            polygons.append(shape.outline)
    return polygons


def toned(colour: Colour, factor: float) -> Colour:
    """A colour made darker (below 1) or lighter (above 1)."""
    b, g, r = (min(255.0, c * factor) for c in colour)
    return b, g, r
