"""A face as polygons: where skin, folds, brows, eyes, nose and mouth are.

Coordinates are in half face widths, seen from the front: the origin is midway between the eyes, x runs to the
image's right, y down. Every shape has a distance from the head's surface (``lift``), so that a turn of the head moves
it correctly. Points are listed for the image's right half and mirrored.

The constants in capitals that map action units to numbers say how far each unit moves a part, down and outwards being
positive, or by which share it changes a size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from emotion.data.drawing import shapes
from emotion.data.drawing.facs import UNITS, Expression, Weights
from emotion.data.drawing.people import Identity
from emotion.data.drawing.shapes import Half, Line, Points, Shape, band, ellipse, mirrored, smooth, stroke, toned, xy

_T = np.linspace(-1, 1, 17)  # along an eyelid or a lip, from the image's left to its right
SIDES = (-1, 1)


@lru_cache(maxsize=64)
def sided(expression: Expression, side: int) -> Expression:
    """The expression of one half of the face."""
    gain = 1 + 0.5 * side * expression.asymmetry
    both = ("au25", "au26")  # the jaw has no halves
    return replace(expression, **{k: getattr(expression, k) * gain for k in UNITS if k not in both})


def chin(person: Identity, expression: Expression) -> float:
    """How far below the eyes the chin is."""
    return person.length + 0.15 * expression.au26 - 0.02 * expression.au17


def mouth_height(person: Identity) -> float:
    """How far below the eyes the mouth is at rest."""
    return person.nose_length + 0.37 * (person.length - person.nose_length)


_EAR: Half = [(0.95, -0.12), (1.07, -0.16), (1.11, 0.06), (1.05, 0.34), (0.97, 0.42)]


def head(person: Identity, expression: Expression) -> Iterator[Shape]:
    """Outline, ears and the large soft shading that the bones make."""
    low = chin(person, expression)
    skull = [(0.50, -1.08), (0.86, -0.72), (0.985, -0.15), (0.965, 0.38)]
    jaw = [(0.5 + person.jaw / 2, 0.78), (person.jaw, low - 0.42), (0.40, low - 0.09)]
    outline = smooth([(0, -1.18), *mirrored([*skull, *jaw], [(0, low)])])
    yield Shape("skin", outline, 255, flat=True)
    raised = 0.06 * max(expression.au6, 0.7 * expression.au12)
    for s in SIDES:
        yield Shape("skin", smooth(np.array(_EAR) * (s, 1)), 255, flat=True)
        yield Shape("fine", ellipse(s * 1.03, 0.1, 0.035, 0.17), 84, flat=True)
        yield Shape("soft", ellipse(s * person.eye_spacing, -0.05, 0.33, 0.21), 66)  # eye socket
        yield Shape("soft", ellipse(s * 0.52, 0.46 - raised, 0.24, 0.2), 152 + 60 * raised)  # cheekbone
        yield Shape("soft", ellipse(s * 0.2, 0.3, 0.07, 0.2), 108)  # side of the nose
        yield Shape("soft", ellipse(s * 0.66, low - 0.5, 0.16, 0.28), 112)  # jaw
    yield Shape("soft", ellipse(0, -0.58, 0.5, 0.2), 150)  # forehead
    yield Shape("soft", ellipse(0, low - 0.2, 0.2, 0.11), 148)  # chin


_NASOLABIAL_DEPTH: Weights = {"au12": 0.6, "au20": 0.3, "au15": 0.15}
_NASOLABIAL_SPREAD: Weights = {"au12": 0.10, "au20": 0.06}


def fold(points: Half | Points, width: float, depth: float, lift: float = 0.0) -> Shape:
    """A line that is darker than the skin by ``depth`` levels."""
    return Shape("fine", shapes.tapered(points, width), 128 - depth, lift)


def folds(person: Identity, expression: Expression) -> Iterator[Shape]:
    """Folds that an expression makes, deeper with age: forehead, between the brows, nose, crow's feet, cheeks."""
    e = expression
    depth = 0.55 + 0.45 * person.age
    raised, lowered = max(e.au1, e.au2), max(e.au4, e.au9)
    if raised * depth > 0.12:
        reach = 0.30 + 0.25 * e.au2
        for k in range(3):
            y = -0.56 - 0.09 * k
            half = [(-reach, y + 0.03), (-reach / 2, y - 0.01)]
            yield fold(mirrored(half, [(0, y + 0.01 - 0.03 * e.au1)]), 0.035, 62 * raised * depth)
    if lowered > 0.12:
        for s in SIDES:
            yield fold([(s * 0.075, -0.36), (s * 0.06, -0.25), (s * 0.07, -0.15)], 0.045, 80 * lowered * depth)
    if e.au9 > 0.12:
        for k in range(3):
            y = -0.06 + 0.085 * k
            yield fold(mirrored([(-0.15, y - 0.035), (-0.07, y + 0.015)], [(0, y)]), 0.035, 74 * e.au9, lift=0.1)
    for s in SIDES:
        yield from _side_folds(person, sided(expression, s), s)


def _side_folds(person: Identity, e: Expression, s: int) -> Iterator[Shape]:
    """Crow's feet, and the fold from the nose to beside the mouth."""
    crow = 0.35 * person.age + 0.75 * e.au6
    if crow > 0.15:
        x = s * (person.eye_spacing + 0.27)
        for k in (-1, 0, 1):
            line = [(x, 0.02 + 0.03 * k), (x + s * 0.07, 0.02 + 0.07 * k), (x + s * 0.13, 0.02 + 0.1 * k)]
            yield fold(line, 0.025, 52 * min(crow, 1))
    deep = 0.22 * person.age + e.weighted(_NASOLABIAL_DEPTH) + 0.85 * max(e.au9, e.au10)
    if deep > 0.1:
        spread, top = e.weighted(_NASOLABIAL_SPREAD), person.nose_length - 0.1 - 0.07 * e.au9
        line = [(s * 0.22, top), (s * (0.34 + spread / 2), top + 0.15), (s * (0.43 + spread), top + 0.36)]
        yield fold(line, 0.055, 62 * min(deep, 1.1))


_BROW_INNER: Weights = {"au1": -0.135, "au9": 0.05}
_BROW_MIDDLE: Weights = {"au1": -0.055, "au2": -0.11, "au9": 0.02}
_BROW_OUTER: Weights = {"au1": 0.03, "au2": -0.11, "au6": 0.03}
_BROW_THICKNESS = np.interp(np.linspace(0, 1, 19), [0, 0.12, 0.6, 1], [0.55, 1, 0.9, 0.25])  # along its length

_LID_UPPER: Weights = {"au5": 0.62, "au7": -0.38, "au6": -0.22, "au9": -0.34}
_LID_LOWER: Weights = {"au5": 0.2, "au7": -0.55, "au6": -0.8, "au9": -0.45}
_POUCH: Weights = {"au6": 0.5, "au7": 0.35, "au9": 0.35}


def brows(person: Identity, expression: Expression) -> Iterator[Shape]:
    for s in SIDES:
        e = sided(expression, s)
        lowered = e.au4 * (1 - 0.45 * e.au1)
        inner = 0.15 * lowered + e.weighted(_BROW_INNER) - person.brow_height
        middle = 0.10 * lowered + e.weighted(_BROW_MIDDLE) - person.brow_height - person.brow_arch
        outer = 0.02 * lowered + e.weighted(_BROW_OUTER) - person.brow_height + 0.02
        x = person.eye_spacing
        line = [(x - 0.27 - 0.055 * e.au4, inner), (x - 0.08, 0.45 * inner + 0.55 * middle)]
        curve = smooth(np.array([*line, (x + 0.12, middle), (x + 0.30, outer)]) * (s, 1), closed=False)
        yield Shape("front", Line(curve, person.brow_weight * _BROW_THICKNESS), person.brow_colour, lift=0.03)
        yield Shape("soft", stroke(curve - (0, 0.1), 0.06), 144)


def eyes(person: Identity, expression: Expression) -> Iterator[Shape]:
    """Lids, eyeball, iris and lashes."""
    # Exposure: no white beside dark skin, or the eyes glow.
    white = toned((194, 200, 204), 1 - 0.029 * person.tone)
    lashes = 0.034 + 0.018 * (person.beard == "none" and person.brow_weight < 0.07)
    for s in SIDES:
        e = sided(expression, s)
        outward = s * _T
        base, lid, sill = _lids(person, e, s)
        yield Shape("front", band(lid, sill), white, lift=-0.02)
        yield Shape("front", band(lid, lid + np.array([0, 0.045 * (1 - e.au43)])), toned(white, 0.78), lift=-0.02)
        yield from _iris(person, expression, s * person.eye_spacing, base, lid, sill)
        width = lashes * np.interp(outward, [-1, 1], [0.5, 1.15])
        yield Shape("front", stroke(lid, width), toned(person.skin, 0.26))
        yield Shape("fine", stroke(sill + np.array([0, 0.012]), 0.03), 92)
        crease = xy(lid[:, 0], np.minimum(base - 0.05, lid[:, 1]) - 0.055 * (1 - _T**2) - 0.01)
        yield Shape("fine", stroke(crease, 0.032), 78 + 30 * e.au5)
        pouch = sill + xy(0 * _T, 0.075 + 0.035 * (1 - _T**2))
        strength = 0.25 * person.age + e.weighted(_POUCH)
        yield Shape("fine", stroke(pouch, 0.04 * (1.05 - _T**2)), 118 - 40 * strength)


def _lids(person: Identity, e: Expression, s: int) -> tuple[Points, Points, Points]:
    """Heights of one eye's axis, float ``[17]``, and its upper and lower lid, float ``[17, 2]``."""
    outward = s * _T
    grief, glare = min(e.au1, e.au4 + 0.2), e.au4 * (1 - e.au1)
    upper = 0.118 * person.eye_size * max(0.0, 1 + e.weighted(_LID_UPPER)) * (1 - e.au43)
    lower = 0.078 * person.eye_size * max(0.0, 1 + e.weighted(_LID_LOWER))
    base = 0.015 - person.eye_tilt * outward + 0.035 * grief * outward
    x = s * person.eye_spacing + 0.225 * person.eye_size * _T
    skew = 1 + (0.45 * glare - 0.25 * grief) * outward
    top = base - upper * (1 - np.abs(_T) ** 2.3) ** 0.8 * skew
    bottom = base + lower * (1 - _T**2) ** 0.9
    return base, xy(x, top), xy(x, np.maximum(bottom, top + 0.004))


def _iris(
    person: Identity, expression: Expression, x: float, base: Points, lid: Points, sill: Points
) -> Iterator[Shape]:
    """Rim, iris, pupil and glint, as far as the lids leave them free."""
    if sill[8, 1] - lid[8, 1] <= 0.03:
        return
    x, y = x + 0.09 * expression.gaze_x, float(base[8]) - 0.022 + 0.045 * expression.gaze_y
    for radius, paint in ((0.108, toned(person.iris, 0.55)), (0.088, person.iris), (0.052, (14, 12, 12))):
        disc = ellipse(x, y, radius * person.eye_size, radius * person.eye_size)
        below = np.maximum(disc[:, 1], np.interp(disc[:, 0], *lid.T))
        disc[:, 1] = np.minimum(below, np.interp(disc[:, 0], *sill.T))
        yield Shape("front", disc, paint, lift=-0.01)
    glint = ellipse(x - 0.035, y - 0.035, 0.022, 0.022)
    if glint[:, 1].min() > float(np.interp(x, *lid.T)) - 0.02:
        yield Shape("front", glint, (246, 246, 246), lift=-0.01)


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
