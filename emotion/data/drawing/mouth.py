"""Nose and mouth as polygons, for a person and an expression; coordinates and constants as in ``portrait``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emotion.data.drawing.facs import Expression, Weights
from emotion.data.drawing.people import Identity
from emotion.data.drawing.portrait import SIDES, chin, fold, mouth_height, sided
from emotion.data.drawing.shapes import Points, Shape, band, ellipse, mirrored, stroke, toned, xy

_T = np.linspace(-1, 1, 17)  # along a lip, from the image's left to its right

_NOSE_WIDTH: Weights = {"au9": 0.14, "au12": 0.1, "au20": 0.06}
_NOSE_RISE: Weights = {"au9": 0.055, "au10": 0.025}

_MOUTH_WIDTH: Weights = {"au12": 0.30, "au20": 0.30, "au23": -0.16, "au15": -0.04, "au26": -0.26}
_MOUTH_CORNERS: Weights = {"au12": -0.17, "au15": 0.10, "au20": 0.04, "au26": 0.07, "au9": 0.03}
_MOUTH_MIDDLE: Weights = {"au12": 0.035, "au17": -0.05, "au15": -0.015, "au20": -0.01}
_MOUTH_SQUARE: Weights = {"au20": 0.8, "au10": 0.8, "au16": 0.5}  # teeth bared and fear open it to a rectangle
_OPENING_UP: Weights = {"au10": 0.09, "au12": 0.03, "au20": 0.02}
_OPENING_DOWN: Weights = {"au16": 0.10, "au12": 0.07, "au20": 0.06}
_LIPS: Weights = {"au23": -0.65, "au20": -0.3, "au12": -0.25}
_TEETH: Weights = {"au12": 1, "au10": 1, "au20": 0.6}


def nose(person: Identity, expression: Expression) -> Iterator[Shape]:
    base = person.nose_length - expression.weighted(_NOSE_RISE)
    wide = 0.175 * person.nose_width * (1 + expression.weighted(_NOSE_WIDTH))
    wrinkled = expression.au9
    yield Shape("soft", ellipse(0, base + 0.07, 0.2, 0.06), 92, lift=0.02)
    yield Shape("soft", stroke([(0, -0.18), (0, 0.1), (0, base - 0.14)], [0.09, 0.1, 0.14]), 158, lift=0.12)
    yield Shape("fine", ellipse(0, base - 0.1, 0.075, 0.06), 150, lift=0.2)
    yield fold([(-0.07, base - 0.015), (0, base + 0.012), (0.07, base - 0.015)], 0.04, 44, lift=0.16)
    for s in SIDES:
        x = s * wide
        wing = [(x * 0.86, base - 0.16), (x * 1.06, base - 0.08), (x, base), (x * 0.7, base + 0.015)]
        yield fold(wing, 0.04 + 0.02 * wrinkled, 58 + 20 * wrinkled, lift=0.04)
        yield Shape("fine", ellipse(x * 0.78, base - 0.075, 0.035, 0.045), 142, lift=0.06)
        yield Shape("front", ellipse(x * 0.5, base - 0.008, 0.042, 0.02), toned(person.skin, 0.34), lift=0.1)
        yield fold([(s * 0.1, -0.12), (s * 0.085, 0.12), (s * 0.11, base - 0.2)], 0.04, 14, lift=0.05)


def mouth(person: Identity, expression: Expression) -> Iterator[Shape]:
    """Lips, what is between them, and the shading round them."""
    e = expression
    x, line = _lip_line(person, e)
    bow = (1 - np.abs(_T) ** 2.4) ** 0.7
    square = (1 - np.abs(_T) ** 5) ** 0.8
    shape = bow + (square - bow) * min(1.0, e.weighted(_MOUTH_SQUARE))
    rise = e.au25 * (0.03 + e.weighted(_OPENING_UP))
    drop = e.au25 * (0.05 + e.weighted(_OPENING_DOWN)) + 0.25 * e.au26
    top, bottom = line - rise * shape, line + drop * shape
    full = person.lips * max(0.25, 1 + e.weighted(_LIPS))
    notch, peaks = np.exp(-((_T / 0.14) ** 2)), np.exp(-(((np.abs(_T) - 0.2) / 0.12) ** 2))
    cupid = (1 - np.abs(_T) ** 1.6) - 0.2 * notch + 0.08 * peaks
    sneer = 0.035 * e.au10 * (1 - e.au25) * (1 - _T**4)
    rim = top - (0.085 * full + 0.02) * cupid * (1 + 0.3 * e.au10) - sneer
    sill = bottom + (0.125 * full * (1 - 0.15 * e.au26) + 0.01) * (1 - _T**2) ** 0.8
    yield Shape("front", band(xy(x, rim), xy(x, top)), toned(person.lip_colour, 0.86))
    yield Shape("front", band(xy(x, bottom), xy(x, sill)), person.lip_colour)
    glow = xy(x[4:13], (0.45 * bottom + 0.55 * sill)[4:13])
    width = 0.035 * full / person.lips * (1.02 - _T[::2] ** 2)
    yield Shape("front", stroke(glow, width), toned(person.lip_colour, 1.13))
    if rise + drop > 0.02:
        yield from _inside(person, e, x, top, bottom, bow)
    else:
        yield Shape("front", stroke(xy(x, top), 0.034 * (1.15 - _T**2)), toned(person.lip_colour, 0.42))
    yield from _round_the_mouth(person, e, x, line, rim, sill)


def _lip_line(person: Identity, expression: Expression) -> tuple[Points, Points]:
    """Where the closed lips would meet: x and y, float ``[17]``."""
    e, rest = expression, mouth_height(person)
    x, ends = np.empty_like(_T), np.empty_like(_T)
    for s in SIDES:
        side, rows = sided(e, s), s * _T >= 0
        x[rows] = 0.35 * person.mouth_width * (1 + side.weighted(_MOUTH_WIDTH)) * _T[rows]
        ends[rows] = rest - person.rest + side.weighted(_MOUTH_CORNERS)
    middle = rest + e.weighted(_MOUTH_MIDDLE) - 0.02 * max(e.au9, e.au10)
    return x, middle + (ends - middle) * np.abs(_T) ** 1.7


def _inside(person: Identity, e: Expression, x: Points, top: Points, bottom: Points, bow: Points) -> Iterator[Shape]:
    """The opened mouth: its cavity, tongue and teeth."""
    yield Shape("front", band(xy(x, top), xy(x, bottom)), (42, 30, 68))
    gap = bottom - top
    if e.au26 > 0.25:
        tongue = band(xy(x * 0.7, np.minimum(bottom, bottom - 0.09 * bow)), xy(x * 0.7, bottom))
        yield Shape("front", tongue, (78, 66, 150))
    bite = np.minimum(gap * 0.85, 0.03 + 0.10 * min(1, e.weighted(_TEETH)))
    shade = 1 - 0.02 * person.tone
    yield Shape("front", band(xy(x, top), xy(x, top + bite)), toned((206, 218, 226), shade))
    under = np.minimum(gap * 0.4, 0.07 * (e.au16 + 0.5 * e.au20))
    if float(under.max()) > 0.02:
        yield Shape("front", band(xy(x * 0.94, bottom - under), xy(x * 0.94, bottom)), toned((188, 202, 212), shade))


def _round_the_mouth(
    person: Identity, e: Expression, x: Points, line: Points, rim: Points, sill: Points
) -> Iterator[Shape]:
    """Shading at the corners, below the lips and above them; folds of the chin and of drooping corners."""
    ends = [(s, float(x[k]), float(line[k])) for s, k in zip(SIDES, (0, -1), strict=True)]
    for s, at, y in ends:
        yield Shape("fine", ellipse(at + s * 0.035, y + 0.01, 0.035, 0.04), 92)
    yield Shape("soft", ellipse(0, float(sill[8]) + 0.07, 0.2, 0.05), 88)
    yield fold([(-0.05, person.nose_length + 0.05), (-0.045, float(rim[8]) - 0.03)], 0.03, 10)
    if e.au17 > 0.1:
        low = chin(person, e)
        yield fold(mirrored([(-0.16, low - 0.17), (-0.08, low - 0.25)]), 0.05, 56 * e.au17)
    if e.au15 > 0.1:
        for s, at, y in ends:
            droop = [(at + s * 0.02, y), (at + s * 0.06, y + 0.08), (at + s * 0.07, y + 0.15)]
            yield fold(droop, 0.04, 50 * e.au15)
