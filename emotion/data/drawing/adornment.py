"""What people wear and grow: hair, beards, freckles, glasses, scarves, as polygons like the face's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from emotion.data.drawing.facs import Expression
from emotion.data.drawing.people import Identity
from emotion.data.drawing.portrait import chin, mouth_height
from emotion.data.drawing.shapes import Half, Line, Points, Shape, ellipse, mirrored, smooth, stroke, tapered

_TEMPLE: Half = ((0.94, -0.13), (0.88, -0.48))
_STRAIGHT = ((0.63, 0.0, 0.0), (0.21, 0.0, -0.05), (-0.21, 0.0, -0.05), (-0.63, 0.0, 0.0))


@dataclass(frozen=True)
class _Style:
    """The shape of a hair style."""

    crown: float = 1.42  #: height above the eyes' line
    side: float = 0.1  #: how far it falls beside the face, below the eyes' line
    temple: Half = _TEMPLE  #: the hairline's ends at the image's right
    #: What lies between the ends: x, how far x moves with the parting, and y below the hairline's height.
    forehead: tuple[tuple[float, float, float], ...] = _STRAIGHT
    outline_behind: Half = ()  #: right half of what is behind the head
    curls: tuple[float, float, float, int] | None = None  #: behind the head: half width and height, y, number of curls


_STYLES = {
    "short": _Style(1.36),
    "parted": _Style(
        temple=[(0.94, -0.1), (0.86, -0.48)],
        forehead=((0.62, 0.0, 0.1), (0.0, 0.5, -0.2), (-0.12, 0.5, -0.1), (-0.62, 0.0, 0.06)),
    ),
    "fringe": _Style(
        side=0.45,
        forehead=((-0.1, 0.0, -0.54),),  # whatever the height of the hairline
        temple=[(0.92, 0.1), (0.88, -0.3), (0.7, -0.52), (0.3, -0.56)],
        outline_behind=[(0.6, -1.25), (1.05, -0.75), (1.16, 0.1), (1.0, 0.5)],
    ),
    "long": _Style(
        side=0.9,
        temple=[(0.94, 0.6), (0.9, -0.1), (0.72, -0.6)],
        forehead=((0.06, 0.4, -0.22), (-0.06, 0.4, -0.22)),
        outline_behind=[(0.6, -1.25), (1.05, -0.75), (1.28, 0.2), (1.3, 1.2), (1.15, 2.0), (0.5, 2.1)],
    ),
    "bob": _Style(
        side=0.8,
        temple=[(0.92, 0.6), (0.88, -0.1), (0.74, -0.52)],
        forehead=((0.06, 0.45, -0.16), (-0.06, 0.45, -0.16)),
        outline_behind=[(0.6, -1.25), (1.06, -0.75), (1.3, 0.1), (1.28, 0.85), (0.95, 1.15), (0.3, 1.1)],
    ),
    "curly": _Style(1.48, curls=(1.2, 1.3, -0.25, 16)),
    "afro": _Style(1.6, curls=(1.5, 1.36, -0.42, 22)),
    "bun": _Style(1.3),
    "receding": _Style(1.3, 0.05, temple=[(0.98, -0.1), (0.93, -0.55), (0.68, -1.0), (0.3, -0.94)], forehead=()),
    "buzz": _Style(1.3, -0.1),
}

_SCARF_OUTER: Half = [
    (0.8, -1.28), (1.16, -0.6), (1.14, 0.4), (0.98, 1.15), (1.12, 1.7), (1.3, 2.15), (0.7, 2.5), (0.2, 2.58),
]  # fmt: skip
_GLASSES_RIM: Half = [
    (0.12, -0.1), (0.3, -0.19), (0.62, -0.17), (0.74, -0.02), (0.64, 0.2), (0.4, 0.26), (0.17, 0.15),
]  # fmt: skip


@lru_cache(maxsize=64)
def hair_behind(person: Identity) -> list[Shape]:
    """What is behind the head and the neck."""
    style = _STYLES.get(person.hair, _Style())
    if person.hair == "scarf":
        return [Shape("back", ellipse(0, 0.5, 1.05, 1.3), 255, flat=True)]
    if person.hair == "bun":
        return [Shape("back", ellipse(0.15 * person.parting, -1.5, 0.42, 0.36), 255, lift=-0.4, flat=True)]
    if style.outline_behind:
        return [Shape("back", smooth([(0, -1.36), *mirrored(style.outline_behind)]), 255, flat=True)]
    if style.curls:
        return [Shape("back", _curls(person, *style.curls), 255, lift=-0.2, flat=True)]
    return []


def _curls(person: Identity, rx: float, ry: float, y: float, count: int) -> Points:
    angles = np.linspace(0, 2 * np.pi, count * 4, endpoint=False)
    radius = 1 + 0.035 * np.cos(count * angles) + 0.02 * np.sin(5 * angles + person.texture % 7)
    return np.stack([rx * radius * np.cos(angles), y + ry * radius * np.sin(angles)], axis=1)


def _hairline(person: Identity, style: _Style) -> Points:
    """Where hair ends and face begins, from the image's right to its left."""
    line = 0.0 if person.hair == "fringe" else -person.hairline
    middle = [(turn * person.parting + x, line + y) for x, turn, y in style.forehead]
    return smooth(mirrored(style.temple, middle), closed=False)


def _strand(points: Half, width: float, level: float) -> Shape:
    return Shape("strand", tapered(points, width), level, flat=True)


def _scarf(person: Identity) -> list[Shape]:
    outer = smooth([(0, -1.45), *mirrored(_SCARF_OUTER)])
    face = [(0.45, -0.8), (0.8, -0.45), (0.89, 0.25), (0.8, 0.85), (0.45, person.length - 0.02)]
    inner = smooth([(0, -0.84), *mirrored(face)])
    ring = np.concatenate([outer, outer[:1], inner[:1], inner[:0:-1], inner[:1], outer[:1]])
    return [
        Shape("fine", stroke(np.concatenate([inner, inner[:1]]), 0.12), 92, flat=True),
        Shape("hair", ring, 255, flat=True),
        _strand([(-0.5, -1.2), (0.1, -0.98), (0.75, -0.85)], 0.07, 96),
        _strand([(0.93, -0.3), (1.0, 0.4), (0.8, 1.1)], 0.07, 100),
        _strand([(-0.75, 1.35), (0, person.length + 0.3), (0.7, 1.5)], 0.12, 84),
        _strand([(-0.95, 1.75), (-0.1, 2.2), (0.6, 2.1)], 0.09, 96),
        _strand([(-1.02, -0.3), (-1.04, 0.4), (-0.86, 1.1)], 0.06, 104),
    ]


@lru_cache(maxsize=64)
def hair(person: Identity) -> list[Shape]:
    """What frames the forehead, with a few strands."""
    if person.hair == "bald":
        return []
    if person.hair == "scarf":
        return _scarf(person)
    style = _STYLES[person.hair]
    edge = _hairline(person, style)
    half = [(-1.04, style.side), (-1.08, -0.4), (-0.88, -0.98), (-0.45, -style.crown + 0.06)]
    cap = np.concatenate([smooth(mirrored(half, [(0, -style.crown)]), closed=False), edge])
    if style.curls:
        cap = cap * (1 + 0.03 * np.sin(np.arange(len(cap)) * 1.9 + person.texture % 5)[:, None] * 0.8)
    shadow = Shape("fine", stroke(edge + np.array([0, 0.05]), 0.07), 96, flat=True)
    if person.hair == "buzz":
        return [Shape("back", cap, 255, flat=True), shadow, Shape("hair", cap, 150, flat=True)]
    shapes = [shadow, Shape("hair", cap, 255, flat=True)]
    return shapes if person.hair == "receding" else [*shapes, *_strands(person, style)]


def _strands(person: Identity, style: _Style) -> Iterator[Shape]:
    rng = np.random.default_rng(person.texture)
    shifts, levels = rng.normal(0, 0.05, 9), rng.normal(0, 22, 9)
    for a, shift, level in zip(np.linspace(-0.9, 0.9, 9), shifts, levels, strict=True):
        root = 0.6 * a + 0.25 * person.parting * (person.hair == "parted"), 0.06 - style.crown
        tip = a + shift, -person.hairline - 0.25 * (1 - abs(a))
        bend = 0.8 * a + shift, (root[1] + tip[1]) / 2 - 0.03
        yield _strand([root, bend, tip], min(0.08, 0.2 * (tip[1] - root[1])), float(np.clip(122 + level, 66, 180)))
    for s in (-1, 1):
        if person.hair in ("long", "bob"):
            for x, level in ((1.0, 160), (1.12, 100), (1.2, 150)):
                yield _strand([(s * 0.8, -0.9), (s * x, -0.2), (s * x, style.side)], 0.07, level)
        top = [(s * 0.12, 0.2 - style.crown), (s * 0.45, 0.27 - style.crown), (s * 0.8, -0.86)]
        yield _strand(top, 0.16, 168)


def beard(person: Identity, expression: Expression) -> list[Shape]:
    """Opacity of the beard."""
    if person.beard == "none":
        return []
    low, up, mouth = chin(person, expression), person.nose_length, mouth_height(person)
    lips = ellipse(0, mouth + 0.02 + 0.1 * expression.au26, 0.27, 0.075 + 0.1 * expression.au26)
    upper = mirrored([(-0.42, mouth + 0.05), (-0.3, up + 0.13)], [(0, up + 0.08)])
    moustache = smooth([*upper, (0.3, mouth - 0.02), (0, mouth - 0.03), (-0.3, mouth - 0.02)])
    if person.beard == "moustache":
        return [Shape("beard", moustache, 215)]
    if person.beard == "goatee":
        patch = smooth([*mirrored([(-0.34, mouth), (-0.3, low - 0.12)], [(0, low + 0.02)]), (0, mouth + 0.2)])
        return [Shape("beard", moustache, 200), Shape("beard", patch, 210), Shape("beard", lips, 0)]
    strength = 84 if person.beard == "stubble" else 225
    cheek = [(1.02, 0.4), (0.98, 0.1), (0.86, 0.42), (0.66, 0.74), (0.44, mouth - 0.12), (0.2, up + 0.1)]
    jaw = mirrored([(-person.jaw - 0.1, low - 0.3), (-0.5, low + 0.1)], [(0, low + 0.14)])
    full = smooth([*mirrored(cheek, [(0, up + 0.12)]), *jaw])
    return [Shape("beard", full, strength), Shape("beard", lips, strength // 5)]


@lru_cache(maxsize=64)
def freckles(person: Identity) -> list[Shape]:
    if not person.freckles:
        return []
    rng = np.random.default_rng(person.texture)
    x, y = rng.uniform(0.1, 0.62, 18) * rng.choice((-1, 1), 18), rng.normal(0.34, 0.09, 18)
    return [Shape("fine", ellipse(a, b, 0.016, 0.014), 84) for a, b in zip(x, y, strict=True)]


@lru_cache(maxsize=64)
def glasses(person: Identity) -> list[Shape]:
    if person.glasses is None:
        return []
    lines: list[tuple[Line, float]] = []
    for s in (-1, 1):
        rim = smooth(np.array(_GLASSES_RIM) * (s, 1))
        lines += [(stroke(np.concatenate([rim, rim[:1]]), 0.038), 0.12)]
        lines += [(stroke([(s * 0.73, -0.06), (s * 0.97, -0.04)], 0.045), 0.0)]
    lines += [(tapered([(-0.14, -0.07), (0, -0.1), (0.14, -0.07)], 0.05), 0.16)]
    return [Shape("top", line, person.glasses, lift) for line, lift in lines]
