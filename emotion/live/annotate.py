"""Drawing on frames: the faces, their labels, and how confident the model is.

Small classes in the style of `supervision <https://supervision.roboflow.com>`_: each has one method
``annotate(scene, faces)`` that draws on the scene in place and returns it. :func:`compose` puts them together:

>>> overlay = compose(EMOTIONS)
>>> annotated = overlay(frame.image, faces)  # a copy; the frame itself is left as it is
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import cv2
import numpy as np

from emotion.faces.images import Box, Image
from emotion.faces.labelled import UNCERTAIN, Face
from emotion.live import layout
from emotion.live.bars import Bars
from emotion.live.layout import ANY, Kind, Layout, Variant
from emotion.video.lettering import SMALLEST, width, write
from emotion.video.palette import DARK, LIGHT, colour, ink

_SIDES = (
    *(layout.ABOVE, layout.BELOW, layout.ABOVE_RIGHT, layout.BELOW_RIGHT),
    *(layout.RIGHT, layout.LEFT, layout.INSIDE, layout.INSIDE_LOW),
)
#: Whole, smaller, as small as can be, without the confidence, then over another box, and the track alone.
_PLATE = Kind("plate", *[Variant(_SIDES)] * 4, *[Variant(_SIDES, clear=False)] * 2)


class Annotator(Protocol):
    """Draws on frames."""

    def annotate(self, scene: Image, faces: Sequence[Face]) -> Image:
        """Draw on uint8 BGR ``[H, W, 3]`` in place, and return it. The first faces are the most important."""
        ...


class Overlay:
    """Copies a frame once and lets annotators draw on the copy, in order; the layout is cleared for each frame."""

    def __init__(self, annotators: Sequence[Annotator], layout: Layout) -> None:
        self.annotators = tuple(annotators)
        self._layout = layout

    def __call__(self, image: Image, faces: Sequence[Face]) -> Image:
        """An annotated copy of uint8 BGR ``[H, W, 3]``. The first faces get the best places."""
        scene = image.copy()
        self._layout.clear()
        for annotator in self.annotators:
            scene = annotator.annotate(scene, faces)
        return scene


def compose(labels: Sequence[str], bars: bool = True, rate: bool = True, blur: bool = False) -> Overlay:
    """The overlay that ``python -m emotion.live`` draws: boxes and plates, and what is asked for in addition.

    Args:
        labels: The contract's, in the order of the probabilities.
        bars: A small bar chart of the probabilities beside each face.
        rate: Frames per second, in the corner.
        blur: Make the faces unrecognisable first.
    """
    layout = Layout()
    annotators: list[Annotator] = [Blur()] if blur else []
    annotators += [Boxes(), Rate(layout)] if rate else [Boxes()]
    annotators += [Labels(layout), Bars(labels, layout)] if bars else [Labels(layout)]
    return Overlay(annotators, layout)


class Blur:
    """Makes each face unrecognisable, hair and chin included.

    The pixels are averaged over cells first, so that what remains is no more than :data:`CELLS` x :data:`CELLS`
    colours, which no sharpening restores; the cells are then blended into each other.
    """

    #: Cells along a side, and how far it reaches beyond the box on each side: Haar boxes end at brows and lower lip.
    CELLS, MARGIN = 6, 0.25

    def annotate(self, scene: Image, faces: Sequence[Face]) -> Image:
        height, across = scene.shape[:2]
        for face in faces:
            box = face.box
            dx, dy = round(self.MARGIN * box.width), round(self.MARGIN * box.height)
            left, right = np.clip((box.x - dx, box.x + box.width + dx), 0, across).tolist()
            top, bottom = np.clip((box.y - dy, box.y + box.height + dy), 0, height).tolist()
            if left < right and top < bottom:
                region = scene[top:bottom, left:right]
                cells = min(self.CELLS, right - left), min(self.CELLS, bottom - top)
                averages = cv2.resize(region, cells, interpolation=cv2.INTER_AREA)
                region[:] = cv2.resize(averages, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        return scene


class Boxes:
    """A rectangle round each face in its label's colour, with a dark rim that shows on light scenes."""

    def annotate(self, scene: Image, faces: Sequence[Face]) -> Image:
        line = max(2, round(min(scene.shape[:2]) / 300))
        for face in reversed(faces):
            box = face.box
            rim = Box(box.x - line // 2, box.y - line // 2, box.width + line // 2 * 2, box.height + line // 2 * 2)
            _outline(scene, rim, line // 2 * 2 + line, DARK)
            _outline(scene, box, line, colour(face.label))
        return scene


def _outline(scene: Image, box: Box, line: int, shade: tuple[int, int, int]) -> None:
    """The border of a box, drawn inwards. Four bars: OpenCV's thick lines take ten times as long."""
    left, top, right, bottom = box.x, box.y, box.x + box.width - 1, box.y + box.height - 1
    line -= 1
    cv2.rectangle(scene, (left, top), (right, top + line), shade, cv2.FILLED)
    cv2.rectangle(scene, (left, bottom - line), (right, bottom), shade, cv2.FILLED)
    cv2.rectangle(scene, (left, top), (left + line, bottom), shade, cv2.FILLED)
    cv2.rectangle(scene, (right - line, top), (right, bottom), shade, cv2.FILLED)


class Labels:
    """A plate at each face with its track, label and confidence, such as ``#3 happy 87 %``.

    An uncertain face gets no confidence: ``#3 uncertain``. In a crowd plates become smaller, then shorter, and are left
    out where they would cover each other. The layout is shared with other annotators and cleared for each frame.
    """

    #: Letters' height as a fraction of the frame's shorter side, and the steps by which they shrink in a crowd.
    HEIGHT, STEPS = 0.026, (1.0, 0.75, 0.55)

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def annotate(self, scene: Image, faces: Sequence[Face]) -> Image:
        height, across = scene.shape[:2]
        # One for each of the sizes of `_PLATE`, as in `_texts`.
        normal, small, smallest = (max(SMALLEST, round(self.HEIGHT * min(height, across) * s)) for s in self.STEPS)
        capitals = (normal, small, smallest, smallest, smallest, smallest)
        texts = [_texts(face) for face in faces]
        sizes = [_sizes(text, capitals, face.box.width) for text, face in zip(texts, faces, strict=True)]
        boxes, tracks = [face.box for face in faces], [face.track for face in faces]
        gap = max(2, round(min(height, across) / 300))
        places = self._layout.place(_PLATE, (across, height), boxes, tracks, sizes, gap)
        for face, text, placed in zip(faces, texts, places, strict=True):
            if placed is not None:
                _plate(scene, placed.box, text[placed.size], colour(face.label), capitals[placed.size])
        return scene


#: So many times its face's width a plate may have before its letters shrink.
_WIDEST = 2
_Text = tuple[str, str, str]  # track, label, confidence; each may be empty


def _texts(face: Face) -> tuple[_Text, ...]:
    tag = "" if face.track is None else f"#{face.track}"
    share = "" if face.label == UNCERTAIN else f"{face.confidence:.0%}".replace("%", " %")
    full, short = (tag, face.label, share), (tag, face.label, "")
    return full, full, full, short, short, (tag, "", "") if tag else short


def _pad(capital: int) -> int:
    return math.ceil(0.46 * capital)


def _sizes(texts: Sequence[_Text], capitals: Sequence[int], box: int) -> list[tuple[int, int, int]]:
    sizes = []
    for (tag, label, share), capital in zip(texts, capitals, strict=True):
        pad = _pad(capital)
        across = (width(tag, capital) + 2 * pad if tag else 0) + (width(label, capital, True) + 2 * pad if label else 0)
        across += width(share, capital) + pad if share else 0
        least = box - across // _WIDEST if capital > capitals[-1] else ANY
        sizes.append((across, capital + 2 * pad, least))
    return sizes


def _plate(scene: Image, box: Box, text: _Text, shade: tuple[int, int, int], capital: int) -> None:
    tag, label, share = text
    pad = _pad(capital)
    x, bottom = box.x, box.y + box.height - 1
    baseline = box.y + pad + capital
    cv2.rectangle(scene, (x, box.y), (x + box.width - 1, bottom), DARK, cv2.FILLED)
    if tag:
        x += pad
        x += write(scene, tag, (x, baseline), capital, LIGHT, DARK) + pad
    if not label:
        cv2.rectangle(scene, (box.x, bottom - max(1, capital // 6)), (x - 1, bottom), shade, cv2.FILLED)
        return
    rim = max(1, capital // 12)
    cv2.rectangle(scene, (x, box.y + rim), (box.x + box.width - 1 - rim, bottom - rim), shade, cv2.FILLED)
    x += pad
    x += write(scene, label, (x, baseline), capital, ink(shade), shade, bold=True) + pad
    if share:
        write(scene, share, (x - pad // 4, baseline), capital, ink(shade), shade)


class Rate:
    """Frames per second over the last second, in the top left corner; measured between its calls."""

    HEIGHT, SECONDS, REFRESH = 0.022, 1.0, 0.25

    def __init__(self, layout: Layout, clock: Callable[[], float] = time.monotonic) -> None:
        self._layout, self._clock = layout, clock
        self._calls: deque[float] = deque()
        self._text, self._written = "", float("-inf")

    def annotate(self, scene: Image, faces: Sequence[Face]) -> Image:
        text = self._rate(self._clock())
        if not text:
            return scene
        capital = max(SMALLEST, round(self.HEIGHT * min(scene.shape[:2])))
        pad = _pad(capital)
        # As wide as three digits need, so that the plate does not change its width.
        box = Box(pad, pad, width("000.0 fps", capital) + 2 * pad, capital + 2 * pad)
        self._layout.reserve(box)
        cv2.rectangle(scene, (box.x, box.y), (box.x + box.width - 1, box.y + box.height - 1), DARK, cv2.FILLED)
        at = box.x + (box.width - width(text, capital)) // 2, box.y + pad + capital
        write(scene, text, at, capital, LIGHT, DARK)
        return scene

    def _rate(self, now: float) -> str:
        self._calls.append(now)
        while len(self._calls) > 2 and self._calls[0] < now - self.SECONDS:
            self._calls.popleft()
        passed = now - self._calls[0]
        if passed > 0 and now - self._written >= self.REFRESH:  # digits that change with every frame cannot be read
            self._text, self._written = f"{(len(self._calls) - 1) / passed:.1f} fps", now
        return self._text
