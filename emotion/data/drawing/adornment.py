"""What people wear and grow: hair, beards, freckles, glasses, scarves, as polygons like the face's own."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from emotion.data.drawing.facs import Expression
from emotion.data.drawing.people import Identity
from emotion.data.drawing.portrait import chin
from emotion.data.drawing.shapes import Points, Shape, ellipse, smooth, stroke, tapered


def _mirror(half: list[tuple[float, float]], top: tuple[float, float] | None = None) -> Points:
    middle = [top] if top else []
    return smooth([*middle, *half, *[(-x, y) for x, y in half[::-1]]])


@lru_cache(maxsize=64)
def hair_behind(who: Identity) -> list[Shape]:
    """What is behind the head and the neck."""
    outlines = {
        "long": [(0.6, -1.25), (1.05, -0.75), (1.28, 0.2), (1.3, 1.2), (1.15, 2.0), (0.5, 2.1)],
        "bob": [(0.6, -1.25), (1.06, -0.75), (1.3, 0.1), (1.28, 0.85), (0.95, 1.15), (0.3, 1.1)],
        "fringe": [(0.6, -1.25), (1.05, -0.75), (1.16, 0.1), (1.0, 0.5)],
    }
    if who.hair == "scarf":
        return [Shape("back", ellipse(0, 0.5, 1.05, 1.3), 255, flat=True)]
    if who.hair in outlines:
        return [Shape("back", _mirror(outlines[who.hair], (0, -1.36)), 255, flat=True)]
    if who.hair == "afro":
        return [Shape("back", _curls(who, 1.5, 1.36, -0.42, 22), 255, lift=-0.2, flat=True)]
    if who.hair == "curly":
        return [Shape("back", _curls(who, 1.2, 1.3, -0.25, 16), 255, lift=-0.2, flat=True)]
    if who.hair == "bun":
        return [Shape("back", ellipse(0.15 * who.parting, -1.5, 0.42, 0.36), 255, lift=-0.4, flat=True)]
    return []


def _curls(who: Identity, rx: float, ry: float, y: float, count: int) -> Points:
    angles = np.linspace(0, 2 * np.pi, count * 4, endpoint=False)
    radius = 1 + 0.035 * np.cos(count * angles) + 0.02 * np.sin(5 * angles + who.texture % 7)
    return np.stack([rx * radius * np.cos(angles), y + ry * radius * np.sin(angles)], axis=1)


def _across(half: list[tuple[float, float]], middle: tuple[tuple[float, float], ...] = ()) -> Points:
    """A line from one side of the head to the other: this half, what is between, the half's mirror image."""
    return smooth([*half, *middle, *[(-x, y) for x, y in half[::-1]]], closed=False)


def _hairline(who: Identity) -> Points:
    """Where hair ends and face begins, from the picture's right to its left."""
    line, p = -who.hairline, who.parting
    parting: tuple[tuple[float, float], ...]
    if who.hair == "parted":
        parting = ((0.62, line + 0.1), (0.5 * p, line - 0.2), (0.5 * p - 0.12, line - 0.1), (-0.62, line + 0.06))
        return _across([(0.94, -0.1), (0.86, -0.48)], parting)
    if who.hair == "fringe":
        return _across([(0.92, 0.1), (0.88, -0.3), (0.7, -0.52), (0.3, -0.56)], ((-0.1, -0.54),))
    if who.hair == "long":
        parting = ((0.4 * p + 0.06, line - 0.22), (0.4 * p - 0.06, line - 0.22))
        return _across([(0.94, 0.6), (0.9, -0.1), (0.72, -0.6)], parting)
    if who.hair == "bob":
        parting = ((0.45 * p + 0.06, line - 0.16), (0.45 * p - 0.06, line - 0.16))
        return _across([(0.92, 0.6), (0.88, -0.1), (0.74, -0.52)], parting)
    if who.hair == "receding":
        return _across([(0.98, -0.1), (0.93, -0.55), (0.68, -1.0), (0.3, -0.94)])
    return _across([(0.94, -0.13), (0.88, -0.48), (0.63, line), (0.21, line - 0.05)])


def _scarf(who: Identity) -> list[Shape]:
    outer = _mirror(
        [(0.8, -1.28), (1.16, -0.6), (1.14, 0.4), (0.98, 1.15), (1.12, 1.7), (1.3, 2.15), (0.7, 2.5), (0.2, 2.58)],
        (0, -1.45),
    )
    inner = _mirror([(0.45, -0.8), (0.8, -0.45), (0.89, 0.25), (0.8, 0.85), (0.45, who.length - 0.02)], (0, -0.84))
    ring = np.concatenate([outer, outer[:1], inner[:1], inner[:0:-1], inner[:1], outer[:1]])
    folds = [
        (96, 0.07, [(-0.5, -1.2), (0.1, -0.98), (0.75, -0.85)]),
        (100, 0.07, [(0.93, -0.3), (1.0, 0.4), (0.8, 1.1)]),
        (84, 0.12, [(-0.75, 1.35), (0, who.length + 0.3), (0.7, 1.5)]),
        (96, 0.09, [(-0.95, 1.75), (-0.1, 2.2), (0.6, 2.1)]),
        (104, 0.06, [(-1.02, -0.3), (-1.04, 0.4), (-0.86, 1.1)]),
    ]
    return [
        Shape("fine", stroke(np.concatenate([inner, inner[:1]]), 0.12), 92, flat=True),
        Shape("hair", ring, 255, flat=True),
        *[Shape("strand", tapered(line, width), level, flat=True) for level, width, line in folds],
    ]


@lru_cache(maxsize=64)
def hair(who: Identity) -> list[Shape]:
    """What frames the forehead, with a few strands."""
    if who.hair == "bald":
        return []
    if who.hair == "scarf":
        return _scarf(who)
    line, p = -who.hairline, who.parting
    crown = {"short": 1.36, "bun": 1.3, "receding": 1.3, "buzz": 1.3, "curly": 1.48, "afro": 1.6}.get(who.hair, 1.42)
    side = {"long": 0.9, "bob": 0.8, "fringe": 0.45, "buzz": -0.1, "receding": 0.05}.get(who.hair, 0.1)
    edge = _hairline(who)
    outer = _across([(-1.04, side), (-1.08, -0.4), (-0.88, -0.98), (-0.45, -crown + 0.06)], ((0, -crown),))
    cap = np.concatenate([outer, edge])
    if who.hair in ("curly", "afro"):
        wave = 0.03 * np.sin(np.arange(len(cap)) * 1.9 + who.texture % 5)
        cap = cap * (1 + wave[:, None] * 0.8)
    shadow = edge + np.array([0, 0.05])
    shapes = [
        Shape("fine", stroke(shadow, 0.07), 96, flat=True),
        Shape("hair", cap, 150 if who.hair == "buzz" else 255, flat=True),
    ]
    if who.hair == "buzz":
        return [Shape("back", cap, 255, flat=True), *shapes]
    if who.hair == "receding":
        return shapes
    rng = np.random.default_rng(who.texture)
    for a, shift, level in zip(np.linspace(-0.9, 0.9, 9), rng.normal(0, 0.05, 9), rng.normal(0, 22, 9), strict=True):
        root, tip = (0.6 * a + 0.25 * p * (who.hair == "parted"), 0.06 - crown), (a + shift, line - 0.25 * (1 - abs(a)))
        bend = 0.8 * a + shift, (root[1] + tip[1]) / 2 - 0.03
        shapes.append(
            Shape(
                "strand",
                tapered([root, bend, tip], min(0.08, 0.2 * (tip[1] - root[1]))),
                float(np.clip(122 + level, 66, 180)),
                flat=True,
            )
        )
    for s in (-1, 1):
        if who.hair in ("long", "bob"):
            for x, level in ((1.0, 160), (1.12, 100), (1.2, 150)):
                shapes.append(
                    Shape("strand", tapered([(s * 0.8, -0.9), (s * x, -0.2), (s * x, side)], 0.07), level, flat=True)
                )
        shapes.append(
            Shape(
                "strand",
                tapered([(s * 0.12, -crown + 0.2), (s * 0.45, -crown + 0.27), (s * 0.8, -0.86)], 0.16),
                168,
                flat=True,
            )
        )
    return shapes


def beard(who: Identity, how: Expression) -> list[Shape]:
    """Opacity of the beard."""
    if who.beard == "none":
        return []
    low, up = chin(who, how), who.nose_length
    mouth = up + 0.37 * (who.length - up)
    bare = ellipse(0, mouth + 0.02 + 0.1 * how.au26, 0.27, 0.075 + 0.1 * how.au26)
    moustache = smooth(
        [
            (-0.42, mouth + 0.05),
            (-0.3, up + 0.13),
            (0, up + 0.08),
            (0.3, up + 0.13),
            (0.42, mouth + 0.05),
            (0.3, mouth - 0.02),
            (0, mouth - 0.03),
            (-0.3, mouth - 0.02),
        ]
    )
    if who.beard == "moustache":
        return [Shape("beard", moustache, 215)]
    if who.beard == "goatee":
        patch = smooth(
            [(-0.34, mouth), (-0.3, low - 0.12), (0, low + 0.02), (0.3, low - 0.12), (0.34, mouth), (0, mouth + 0.2)]
        )
        return [Shape("beard", moustache, 200), Shape("beard", patch, 210), Shape("beard", bare, 0)]
    strength = 84 if who.beard == "stubble" else 225
    half = [(0.98, 0.1), (0.86, 0.42), (0.66, 0.74), (0.44, mouth - 0.12), (0.2, up + 0.1)]
    jaw = [
        (-who.jaw - 0.1, low - 0.3),
        (-0.5, low + 0.1),
        (0, low + 0.14),
        (0.5, low + 0.1),
        (who.jaw + 0.1, low - 0.3),
    ]
    full = smooth([(1.02, 0.4), *half, (0, up + 0.12), *[(-x, y) for x, y in half[::-1]], (-1.02, 0.4), *jaw])
    return [Shape("beard", full, strength), Shape("beard", bare, strength // 5)]


@lru_cache(maxsize=64)
def freckles(who: Identity) -> list[Shape]:
    if not who.freckles:
        return []
    rng = np.random.default_rng(who.texture)
    x, y = rng.uniform(0.1, 0.62, 18) * rng.choice((-1, 1), 18), rng.normal(0.34, 0.09, 18)
    return [Shape("fine", ellipse(a, b, 0.016, 0.014), 84) for a, b in zip(x, y, strict=True)]


@lru_cache(maxsize=64)
def glasses(who: Identity) -> list[Shape]:
    if who.glasses is None:
        return []
    shapes = []
    for s in (-1, 1):
        rim = smooth(
            [
                (s * 0.12, -0.1),
                (s * 0.3, -0.19),
                (s * 0.62, -0.17),
                (s * 0.74, -0.02),
                (s * 0.64, 0.2),
                (s * 0.4, 0.26),
                (s * 0.17, 0.15),
            ]
        )
        shapes.append(Shape("top", stroke(np.concatenate([rim, rim[:1]]), 0.038), who.glasses, lift=0.12))
        shapes.append(Shape("top", stroke([(s * 0.73, -0.06), (s * 0.97, -0.04)], 0.045), who.glasses))
    shapes.append(Shape("top", tapered([(-0.14, -0.07), (0, -0.1), (0.14, -0.07)], 0.05), who.glasses, lift=0.16))
    return shapes
