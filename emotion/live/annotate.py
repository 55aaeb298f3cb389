"""Drawing: a box round each face and a plate with its label."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from emotion.faces import Box, Image
from emotion.labels import EMOTIONS
from emotion.live.classifier import Face

Colour = tuple[int, int, int]

# BGR, told apart by hue and by lightness; warm for the unpleasant, as people expect.
_COLOURS: dict[str, Colour] = dict(
    zip(
        EMOTIONS,
        (
            (60, 60, 230),  # angry: red
            (70, 160, 60),  # disgusted: green
            (190, 70, 150),  # fearful: purple
            (40, 210, 250),  # happy: yellow
            (215, 215, 215),  # neutral: light grey
            (220, 130, 50),  # sad: blue
            (40, 140, 250),  # surprised: orange
        ),
        strict=True,
    )
)
_OTHER: Colour = (215, 215, 215)
_DARK: Colour = (20, 20, 20)
_LIGHT: Colour = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_DUPLEX

#: Height of a capital letter as a fraction of the frame's shorter side, and its least in pixels.
TEXT_HEIGHT, SMALLEST_TEXT = 0.034, 9


def annotate(image: Image, faces: Sequence[Face]) -> Image:
    """Return a copy of a frame with its faces marked.

    Lines and letters grow with the frame, and letters shrink for small faces. A plate sits above its box, inside where
    the frame ends, or below where another plate is.

    Args:
        image: uint8 ``[H, W, 3]``, BGR; left as it is.
        faces: The first get the best places for their plates.
    """
    scene = image.copy()
    line = max(1, round(min(scene.shape[:2]) / 240))
    for face in faces:
        _draw_box(scene, face, line)
    taken: list[Box] = []
    for face in faces:  # plates over all boxes, or a neighbour's line crosses the words
        taken.append(_draw_plate(scene, face, line, taken))
    return scene


def _colour(face: Face) -> Colour:
    return _COLOURS.get(face.label, _OTHER)


def _draw_box(scene: Image, face: Face, line: int) -> None:
    box = face.box
    corners = (box.x, box.y), (box.x + box.width - 1, box.y + box.height - 1)
    cv2.rectangle(scene, *corners, _DARK, line + 2 * max(1, line // 2))  # a dark rim shows on light backgrounds
    cv2.rectangle(scene, *corners, _colour(face), line)


def _draw_plate(scene: Image, face: Face, line: int, taken: Sequence[Box]) -> Box:
    height, width = scene.shape[:2]
    text = f"{face.label} {face.confidence:.0%}"
    scale, stroke, (text_width, text_height), descent = _fit(text, face.box.width, width, height)
    pad = _pad(text_height)
    size = text_width + 2 * pad, text_height + descent + 2 * pad
    plate = _place(face.box, size, line, (width, height), taken)
    colour = _colour(face)
    corners = (plate.x, plate.y), (plate.x + plate.width - 1, plate.y + plate.height - 1)
    cv2.rectangle(scene, *corners, colour, cv2.FILLED)
    cv2.rectangle(scene, *corners, _DARK, max(1, line // 2))
    ink = _DARK if np.dot(colour, (0.114, 0.587, 0.299)) > 110 else _LIGHT  # luma of BGR
    origin = (plate.x + pad, plate.y + pad + text_height)
    cv2.putText(scene, text, origin, _FONT, scale, ink, stroke, cv2.LINE_AA)
    return plate


def _place(box: Box, size: tuple[int, int], line: int, frame: tuple[int, int], taken: Sequence[Box]) -> Box:
    left = max(0, min(box.x - line // 2, frame[0] - size[0]))
    above = box.y - size[1] - line // 2
    first, second = above if above >= 0 else box.y, box.y + box.height + line // 2
    places = [Box(left, max(0, min(top, frame[1] - size[1])), *size) for top in (first, second)]
    return next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])


def _overlap(a: Box, b: Box) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def _pad(text_height: int) -> int:
    return max(2, text_height // 3)


def _fit(text: str, box_width: int, width: int, height: int) -> tuple[float, int, tuple[int, int], int]:
    """Scale, stroke, size and descent of a text that suits the frame, the face and the frame's width."""
    wanted = max(SMALLEST_TEXT, TEXT_HEIGHT * min(width, height))
    least = max(SMALLEST_TEXT, 0.6 * wanted)
    while True:
        stroke = max(1, round(wanted / 16))
        scale = cv2.getFontScaleFromHeight(_FONT, round(wanted), stroke)
        size, descent = cv2.getTextSize(text, _FONT, scale, stroke)
        fits = size[0] <= 1.2 * box_width or wanted <= least
        if (fits and size[0] + 2 * _pad(size[1]) <= width) or wanted <= 4:
            return scale, stroke, (size[0], size[1]), descent
        wanted *= 0.9
