"""A face as polygons: where brows, lids, nose, lips, folds, hair and beard are for an identity and an expression.

Coordinates are in half face widths, seen from the front: the origin is midway between the eyes, x runs to the
picture's right, y down. Every shape says how far it stands out from the head's surface, so that a turn of the head
moves it right.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from emotion.data.drawing.facs import UNITS, Expression
from emotion.data.drawing.people import Identity
from emotion.data.drawing.shapes import Line, Shape, ellipse, smooth, stroke, tapered, toned, xy

_T = np.linspace(-1, 1, 17)  # along an eyelid or a lip, from the picture's left to its right
_BROW = np.interp(np.linspace(0, 1, 19), [0, 0.12, 0.6, 1], [0.55, 1, 0.9, 0.25])  # a brow's thickness along its length


@lru_cache(maxsize=64)
def _sided(expression: Expression, side: int) -> Expression:
    """The expression of one half of the face."""
    gain = 1 + 0.5 * side * expression.asymmetry
    both = ("au25", "au26")  # the jaw has no halves
    return replace(expression, **{k: getattr(expression, k) * gain for k in UNITS if k not in both})


def chin(identity: Identity, expression: Expression) -> float:
    """How far below the eyes the chin is."""
    return identity.length + 0.15 * expression.au26 - 0.02 * expression.au17


# --------------------------------------------------------------------------------------------------------- the head


def draw(who: Identity, how: Expression) -> list[Shape]:
    """The whole face, in the order in which it is painted."""
    parts = (head, ageing, nose, mouth, eyes, brows)
    return [shape for part in parts for shape in part(who, how)]


def head(who: Identity, how: Expression) -> list[Shape]:
    """Outline, ears and the large soft shading that the bones make."""
    low = chin(who, how)
    half = [
        (0.50, -1.08),
        (0.86, -0.72),
        (0.985, -0.15),
        (0.965, 0.38),
        (0.5 + who.jaw / 2, 0.78),
        (who.jaw, low - 0.42),
        (0.40, low - 0.09),
    ]
    outline = smooth([(0, -1.18), *half, (0, low), *[(-x, y) for x, y in half[::-1]]])
    shapes = [Shape("skin", outline, 255, flat=True)]
    for s in (-1, 1):
        ear = smooth([(s * 0.95, -0.12), (s * 1.07, -0.16), (s * 1.11, 0.06), (s * 1.05, 0.34), (s * 0.97, 0.42)])
        shapes.append(Shape("skin", ear, 255, flat=True))
        shapes.append(Shape("fine", ellipse(s * 1.03, 0.1, 0.035, 0.17), 84, flat=True))
        shapes.append(Shape("soft", ellipse(s * who.eye_spacing, -0.05, 0.33, 0.21), 66))
        up = 0.06 * max(how.au6, 0.7 * how.au12)
        shapes.append(Shape("soft", ellipse(s * 0.52, 0.46 - up, 0.24, 0.2), 152 + 60 * up))
        shapes.append(Shape("soft", ellipse(s * 0.2, 0.3, 0.07, 0.2), 108))
        shapes.append(Shape("soft", ellipse(s * 0.66, low - 0.5, 0.16, 0.28), 112))
    shapes.append(Shape("soft", ellipse(0, -0.58, 0.5, 0.2), 150))
    shapes.append(Shape("soft", ellipse(0, low - 0.2, 0.2, 0.11), 148))
    return shapes


def ageing(who: Identity, how: Expression) -> list[Shape]:
    """Folds that an expression digs, deeper with age: forehead, between the brows, crow's feet, beside the mouth."""
    shapes = []
    depth = 0.55 + 0.45 * who.age
    raised, lowered = max(how.au1, how.au2), how.au4
    if raised * depth > 0.12:
        reach = 0.30 + 0.25 * how.au2
        for k in range(3):
            y = -0.56 - 0.09 * k
            line = [
                (-reach, y + 0.03),
                (-reach / 2, y - 0.01),
                (0, y + 0.01 - 0.03 * how.au1),
                (reach / 2, y - 0.01),
                (reach, y + 0.03),
            ]
            shapes.append(Shape("fine", tapered(line, 0.035), 128 - 62 * raised * depth))
    if max(lowered, how.au9) > 0.12:
        for s in (-1, 1):
            line = [(s * 0.075, -0.36), (s * 0.06, -0.25), (s * 0.07, -0.15)]
            shapes.append(Shape("fine", tapered(line, 0.045), 128 - 80 * max(lowered, how.au9) * depth))
    if how.au9 > 0.12:
        for k in range(3):
            y = -0.06 + 0.085 * k
            line = [(-0.15, y - 0.035), (-0.07, y + 0.015), (0, y), (0.07, y + 0.015), (0.15, y - 0.035)]
            shapes.append(Shape("fine", tapered(line, 0.035), 128 - 74 * how.au9, lift=0.1))
    for s in (-1, 1):
        e = _sided(how, s)
        crow = 0.35 * who.age + 0.75 * e.au6
        if crow > 0.15:
            x = s * (who.eye_spacing + 0.27)
            for k in (-1, 0, 1):
                line = [(x, 0.02 + 0.03 * k), (x + s * 0.07, 0.02 + 0.07 * k), (x + s * 0.13, 0.02 + 0.1 * k)]
                shapes.append(Shape("fine", tapered(line, 0.025), 128 - 52 * min(crow, 1)))
        fold = 0.22 * who.age + 0.6 * e.au12 + 0.85 * max(e.au9, e.au10) + 0.3 * e.au20 + 0.15 * e.au15
        if fold > 0.1:
            spread = 0.10 * e.au12 + 0.06 * e.au20
            top = who.nose_length - 0.1 - 0.07 * e.au9
            line = [(s * 0.22, top), (s * (0.34 + spread / 2), top + 0.15), (s * (0.43 + spread), top + 0.36)]
            shapes.append(Shape("fine", tapered(line, 0.055), 128 - 62 * min(fold, 1.1)))
    return shapes


# --------------------------------------------------------------------------------------------------- brows and eyes


def brows(who: Identity, how: Expression) -> list[Shape]:
    shapes = []
    for s in (-1, 1):
        e = _sided(how, s)
        pull = e.au4 * (1 - 0.45 * e.au1)
        inner = -who.brow_height - 0.135 * e.au1 + 0.15 * pull + 0.05 * e.au9
        middle = -who.brow_height - who.brow_arch - 0.055 * e.au1 - 0.11 * e.au2 + 0.10 * pull + 0.02 * e.au9
        outer = -who.brow_height + 0.02 - 0.11 * e.au2 + 0.02 * pull + 0.03 * e.au6 + 0.03 * e.au1
        x = who.eye_spacing
        near = x - 0.27 - 0.055 * e.au4
        line = [
            (s * near, inner),
            (s * (x - 0.08), 0.45 * inner + 0.55 * middle),
            (s * (x + 0.12), middle),
            (s * (x + 0.30), outer),
        ]
        curve = smooth(line, closed=False)
        shapes.append(Shape("front", Line(curve, who.brow_weight * _BROW), who.brow_colour, lift=0.03))
        shapes.append(Shape("soft", stroke(curve - (0, 0.1), 0.06), 144))
    return shapes


def eyes(who: Identity, how: Expression) -> list[Shape]:
    """Lids, eyeball, iris and lashes."""
    shapes = []
    white = toned((194, 200, 204), 1 - 0.029 * who.tone)  # exposure: no white beside dark skin, or the eyes glow
    lash = toned(who.skin, 0.26)
    half = 0.225 * who.eye_size
    for s in (-1, 1):
        e = _sided(how, s)
        outward = s * _T
        grief, glare = min(e.au1, e.au4 + 0.2), e.au4 * (1 - e.au1)
        upper = (
            0.118
            * who.eye_size
            * max(0.0, 1 + 0.62 * e.au5 - 0.38 * e.au7 - 0.22 * e.au6 - 0.34 * e.au9)
            * (1 - e.au43)
        )
        lower = 0.078 * who.eye_size * max(0.0, 1 + 0.2 * e.au5 - 0.55 * e.au7 - 0.8 * e.au6 - 0.45 * e.au9)
        base = 0.015 - who.eye_tilt * outward + 0.035 * grief * outward
        x = s * who.eye_spacing + half * _T
        skew = 1 + (0.45 * glare - 0.25 * grief) * outward
        top = base - upper * (1 - np.abs(_T) ** 2.3) ** 0.8 * skew
        bottom = base + lower * (1 - _T**2) ** 0.9
        bottom = np.maximum(bottom, top + 0.004)
        lid, sill = xy(x, top), xy(x, bottom)
        shapes.append(Shape("front", np.concatenate([lid, sill[::-1]]), white, lift=-0.02))
        shapes.append(
            Shape(
                "front",
                np.concatenate([lid, (lid + np.array([0, 0.045 * (1 - e.au43)]))[::-1]]),
                toned(white, 0.78),
                lift=-0.02,
            )
        )
        if upper + lower > 0.03:
            centre = s * who.eye_spacing + 0.09 * how.gaze_x, float(base[8]) - 0.022 + 0.045 * how.gaze_y
            for radius, paint in ((0.108, toned(who.iris, 0.55)), (0.088, who.iris), (0.052, (14, 12, 12))):
                disc = ellipse(*centre, radius * who.eye_size, radius * who.eye_size)
                inside = np.maximum(disc[:, 1], np.interp(disc[:, 0], x, top))
                disc[:, 1] = np.minimum(inside, np.interp(disc[:, 0], x, bottom))
                shapes.append(Shape("front", disc, paint, lift=-0.01))
            glint = ellipse(centre[0] - 0.035, centre[1] - 0.035, 0.022, 0.022)
            if glint[:, 1].min() > float(np.interp(centre[0], x, top)) - 0.02:
                shapes.append(Shape("front", glint, (246, 246, 246), lift=-0.01))
        lashes = 0.034 + 0.018 * (who.beard == "none" and who.brow_weight < 0.07)
        shapes.append(Shape("front", stroke(lid, lashes * np.interp(outward, [-1, 1], [0.5, 1.15])), lash))
        shapes.append(Shape("fine", stroke(sill + np.array([0, 0.012]), 0.03), 92))
        crease = xy(x, np.minimum(base - 0.05, top) - 0.055 * (1 - _T**2) - 0.01)
        shapes.append(Shape("fine", stroke(crease, 0.032), 78 + 30 * e.au5))
        pouch = sill + xy(0 * _T, 0.075 + 0.035 * (1 - _T**2))
        strength = 0.25 * who.age + 0.5 * e.au6 + 0.35 * e.au7 + 0.35 * e.au9
        shapes.append(Shape("fine", stroke(pouch, 0.04 * (1.05 - _T**2)), 118 - 40 * strength))
    return shapes


# --------------------------------------------------------------------------------------------------- nose and mouth


def nose(who: Identity, how: Expression) -> list[Shape]:
    up = 0.055 * how.au9 + 0.025 * how.au10
    base = who.nose_length - up
    wide = 0.175 * who.nose_width * (1 + 0.14 * how.au9 + 0.1 * how.au12 + 0.06 * how.au20)
    dark = toned(who.skin, 0.34)
    shapes = [
        Shape("soft", ellipse(0, base + 0.07, 0.2, 0.06), 92, lift=0.02),
        Shape("soft", stroke([(0, -0.18), (0, 0.1), (0, base - 0.14)], [0.09, 0.1, 0.14]), 158, lift=0.12),
        Shape("fine", ellipse(0, base - 0.1, 0.075, 0.06), 150, lift=0.2),
        Shape("fine", tapered([(-0.07, base - 0.015), (0, base + 0.012), (0.07, base - 0.015)], 0.04), 84, lift=0.16),
    ]
    for s in (-1, 1):
        wing = [
            (s * wide * 0.86, base - 0.16),
            (s * wide * 1.06, base - 0.08),
            (s * wide, base),
            (s * wide * 0.7, base + 0.015),
        ]
        shapes.append(Shape("fine", tapered(wing, 0.04 + 0.02 * how.au9), 70 - 20 * how.au9, lift=0.04))
        shapes.append(Shape("fine", ellipse(s * wide * 0.78, base - 0.075, 0.035, 0.045), 142, lift=0.06))
        shapes.append(Shape("front", ellipse(s * wide * 0.5, base - 0.008, 0.042, 0.02), dark, lift=0.1))
        side = [(s * 0.1, -0.12), (s * 0.085, 0.12), (s * 0.11, base - 0.2)]
        shapes.append(Shape("fine", tapered(side, 0.04), 114, lift=0.05))
    return shapes


def mouth(who: Identity, how: Expression) -> list[Shape]:
    e = how
    low = chin(who, how)
    rest = who.nose_length + 0.37 * (who.length - who.nose_length)
    x, ends = np.empty_like(_T), np.empty_like(_T)
    for s in (-1, 1):
        here = _sided(how, s)
        wide = (
            0.35
            * who.mouth_width
            * (1 + 0.30 * here.au12 + 0.30 * here.au20 - 0.16 * here.au23 - 0.04 * here.au15 - 0.26 * e.au26)
        )
        rows = s * _T >= 0
        x[rows] = wide * _T[rows]
        ends[rows] = (
            rest - who.rest - 0.17 * here.au12 + 0.10 * here.au15 + 0.04 * here.au20 + 0.07 * e.au26 + 0.03 * here.au9
        )
    middle = rest + 0.035 * e.au12 - 0.05 * e.au17 - 0.015 * e.au15 - 0.02 * max(e.au9, e.au10) - 0.01 * e.au20
    line = middle + (ends - middle) * np.abs(_T) ** 1.7
    bow = (1 - np.abs(_T) ** 2.4) ** 0.7
    square = (1 - np.abs(_T) ** 5) ** 0.8  # bared teeth and fear pull the opening into a rectangle
    shape = bow + (square - bow) * min(1.0, 0.8 * e.au20 + 0.8 * e.au10 + 0.5 * e.au16)
    rise = e.au25 * (0.03 + 0.09 * e.au10 + 0.03 * e.au12 + 0.02 * e.au20)
    drop = e.au25 * (0.05 + 0.10 * e.au16 + 0.07 * e.au12 + 0.06 * e.au20) + 0.25 * e.au26
    top, bottom = line - rise * shape, line + drop * shape
    thin = max(0.25, 1 - 0.65 * e.au23 - 0.3 * e.au20 - 0.25 * e.au12)
    cupid = (
        (1 - np.abs(_T) ** 1.6) - 0.2 * np.exp(-((_T / 0.14) ** 2)) + 0.08 * np.exp(-(((np.abs(_T) - 0.2) / 0.12) ** 2))
    )
    rim = (
        top
        - (0.085 * who.lips * thin + 0.02) * cupid * (1 + 0.3 * e.au10)
        - 0.035 * e.au10 * (1 - e.au25) * (1 - _T**4)
    )
    sill = bottom + (0.125 * who.lips * thin * (1 - 0.15 * e.au26) + 0.01) * (1 - _T**2) ** 0.8
    at = [xy(x, y) for y in (rim, top, bottom, sill)]
    shapes = [
        Shape("front", np.concatenate([at[0], at[1][::-1]]), toned(who.lip_colour, 0.86)),
        Shape("front", np.concatenate([at[2], at[3][::-1]]), who.lip_colour),
    ]
    glow = xy(x[4:13], (0.45 * bottom + 0.55 * sill)[4:13])
    shapes.append(Shape("front", stroke(glow, 0.035 * thin * (1.02 - _T[::2] ** 2)), toned(who.lip_colour, 1.13)))
    if rise + drop > 0.02:
        shapes.append(Shape("front", np.concatenate([at[1], at[2][::-1]]), (42, 30, 68)))
        gap = bottom - top
        if e.au26 > 0.25:
            tongue = xy(x * 0.7, np.minimum(bottom, bottom - 0.09 * bow))
            shapes.append(Shape("front", np.concatenate([tongue, xy(x * 0.7, bottom)[::-1]]), (78, 66, 150)))
        bite = np.minimum(gap * 0.85, 0.03 + 0.10 * min(1, e.au12 + e.au10 + 0.6 * e.au20))
        teeth = np.concatenate([xy(x, top), xy(x, top + bite)[::-1]])
        shapes.append(Shape("front", teeth, toned((206, 218, 226), 1 - 0.02 * who.tone)))
        under = np.minimum(gap * 0.4, 0.07 * (e.au16 + 0.5 * e.au20))
        if float(under.max()) > 0.02:
            shapes.append(
                Shape(
                    "front",
                    np.concatenate([xy(x * 0.94, bottom - under), xy(x * 0.94, bottom)[::-1]]),
                    toned((188, 202, 212), 1 - 0.02 * who.tone),
                )
            )
    else:
        shapes.append(Shape("front", stroke(at[1], 0.034 * (1.15 - _T**2)), toned(who.lip_colour, 0.42)))
    for k, s in ((0, -1), (-1, 1)):
        shapes.append(Shape("fine", ellipse(x[k] + s * 0.035, float(line[k]) + 0.01, 0.035, 0.04), 92))
    deep = float(sill[8])
    shapes.append(Shape("soft", ellipse(0, deep + 0.07, 0.2, 0.05), 88))
    shapes.append(Shape("fine", tapered([(-0.05, who.nose_length + 0.05), (-0.045, float(rim[8]) - 0.03)], 0.03), 118))
    if e.au17 > 0.1:
        dent = [(-0.16, low - 0.17), (-0.08, low - 0.25), (0.08, low - 0.25), (0.16, low - 0.17)]
        shapes.append(Shape("fine", tapered(dent, 0.05), 128 - 56 * e.au17))
    if e.au15 > 0.1:
        for s, k in ((-1, 0), (1, -1)):
            droop = [
                (x[k] + s * 0.02, float(line[k])),
                (x[k] + s * 0.06, float(line[k]) + 0.08),
                (x[k] + s * 0.07, float(line[k]) + 0.15),
            ]
            shapes.append(Shape("fine", tapered(droop, 0.04), 128 - 50 * e.au15))
    return shapes
