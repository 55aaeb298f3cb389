"""A small bar chart of the probabilities beside each face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from emotion.faces.images import Box, Image
from emotion.faces.labelled import UNCERTAIN, Face
from emotion.live import layout
from emotion.live.layout import Kind, Layout, Variant
from emotion.video.lettering import SMALLEST, width, write
from emotion.video.palette import Colour, colour, short

_PANEL: Colour = (30, 26, 26)
_TROUGH: Colour = (62, 58, 58)
_NAME: Colour = (196, 196, 196)
_TOP_NAME: Colour = (255, 255, 255)
_BESIDE = (
    *(layout.RIGHT, layout.LEFT, layout.RIGHT_LOW, layout.LEFT_LOW),
    *(layout.BELOW, layout.BELOW_RIGHT, layout.ABOVE, layout.ABOVE_RIGHT),
)
_INSIDE = (layout.INSIDE_LOW_RIGHT, layout.INSIDE_LOW)
#: Each large and small: beside the box, beyond the plate, inside the box.
_CHART = Kind("chart", *[Variant(_BESIDE)] * 2, *[Variant(_BESIDE, joined=True)] * 2, *[Variant(_INSIDE)] * 2)
#: How much of the scene shows through.
_GLASS = 0.2


class Bars:
    """The probabilities of each label, the highest marked, on a dark panel at each face.

    Small and crowded faces get none: a chart is left out where it would cover another face or another chart. The layout
    is shared with other annotators and cleared for each frame.
    """

    #: Letters' height as a fraction of the frame's shorter side, and the steps by which they shrink.
    HEIGHT, STEPS = 0.02, (1.0, 0.75)
    #: A chart may be so many times as high as its face; inside a face it may cover so much of it.
    TALLEST, COVERS = 2.0, 0.2

    def __init__(self, labels: Sequence[str], layout: Layout) -> None:
        self._labels, self._layout = tuple(labels), layout

    def annotate(self, scene: Image, faces: Sequence[Face]) -> Image:
        height, across = scene.shape[:2]
        capitals = [max(SMALLEST, round(self.HEIGHT * min(height, across) * step)) for step in self.STEPS]
        panels = [_measures(self._labels, capital)[4:] for capital in capitals]
        sizes = [self._sizes(face.box, panels) for face in faces]
        boxes, tracks = [face.box for face in faces], [face.track for face in faces]
        gap = max(4, round(min(height, across) / 90))
        places = self._layout.place(_CHART, (across, height), boxes, tracks, sizes, gap)
        for face, placed in zip(faces, places, strict=True):
            if placed is not None:
                _chart(scene, placed.box, face, self._labels, capitals[placed.size % len(capitals)])
        return scene

    def _sizes(self, box: Box, panels: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
        beside = [(w, h, math.floor(box.height - h / self.TALLEST)) for w, h in panels]
        inside = [(w, h, math.floor(min(box.width, box.height) - math.sqrt(w * h / self.COVERS))) for w, h in panels]
        return beside + beside + inside


@lru_cache(maxsize=64)
def _measures(labels: tuple[str, ...], capital: int) -> tuple[int, int, int, int, int, int]:
    """In pixels: padding, row height, left end of the bars, their greatest length; the panel's width and height."""
    pad, row, length = round(0.7 * capital), round(1.6 * capital), round(5.5 * capital)
    start = max((width(short(label), capital, True) for label in labels), default=0) + 2 * pad
    return pad, row, start, length, start + length + pad, row * len(labels) + 2 * pad - (row - capital) // 2


@lru_cache(maxsize=32)
def _panel(labels: tuple[str, ...], capital: int, top: int) -> Image:
    """The chart without its bars; ``top`` is the highest row, or -1."""
    pad, row, start, length, across, height = _measures(labels, capital)
    panel = np.empty((height, across, 3), np.uint8)
    panel[:] = _PANEL
    for number, label in enumerate(labels):
        shade = _TOP_NAME if number == top else _NAME
        y = pad + row * number
        write(panel, short(label), (pad, y + capital), capital, shade, _PANEL, bold=number == top)
        panel[y : y + capital, start : start + length] = _TROUGH
    panel.flags.writeable = False
    return panel


def _chart(scene: Image, box: Box, face: Face, labels: tuple[str, ...], capital: int) -> None:
    pad, row, start, length, _, _ = _measures(labels, capital)
    certain = face.label != UNCERTAIN
    top = int(np.argmax(face.probabilities)) if certain and face.probabilities else -1
    region = scene[box.y : box.y + box.height, box.x : box.x + box.width]
    region[:] = cv2.addWeighted(region, _GLASS, _panel(labels, capital, top), 1 - _GLASS, 0)
    for number, (label, share) in enumerate(zip(labels, face.probabilities, strict=True)):
        end = round(length * min(1.0, max(0.0, share)))
        if end:
            shade = colour(label) if number == top else _dim(colour(label))
            x, y = box.x + start, box.y + pad + row * number
            cv2.rectangle(scene, (x, y), (x + end - 1, y + capital - 1), shade, cv2.FILLED)
    strip = max(2, capital // 5)
    cv2.rectangle(scene, (box.x, box.y), (box.x + box.width - 1, box.y + strip - 1), colour(face.label), cv2.FILLED)


@lru_cache(maxsize=32)
def _dim(shade: Colour) -> Colour:
    b, g, r = (round(0.62 * v + 0.38 * p) for v, p in zip(shade, _PANEL, strict=True))
    return b, g, r
