"""The windows of OpenCV's whole-frame search, one scale and one part of a frame at a time, and their grouping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from emotion.faces.images import Box, Image

#: Side in pixels of the faces that the cascade was trained on: its window at scale 1.
WINDOW = 24
#: OpenCV moves its window by two pixels of a scale up to this factor, and by one above it.
FINE_FROM = 2.0
#: Two windows belong to one face when their edges differ by less than this share of their size; OpenCV's value.
GROUPING = 0.2
#: Offsets of the window at scale 1, where OpenCV looks at every second pixel in both directions: one call sees a fourth
#: of a scale's windows.
EVERY_FOURTH = ((0, 0),)
THE_OTHERS = ((1, 0), (0, 1), (1, 1))

Hit = tuple[int, int, int, int]


@dataclass(frozen=True)
class Scale:
    """A scale of the search: how much smaller than the frame, and the side of its window in the frame's pixels."""

    factor: float
    window: int


class Pyramid:
    """A grey image at the scales of OpenCV's search, each computed when it is first used."""

    def __init__(self, gray: Image) -> None:
        self.gray = gray
        self._levels: dict[float, Image] = {}

    def at(self, factor: float) -> Image:
        if factor not in self._levels:
            height, width = self.gray.shape
            size = max(1, round(width / factor)), max(1, round(height / factor))
            # The interpolation of cv::CascadeClassifier: any other finds other windows.
            self._levels[factor] = cv2.resize(self.gray, size, interpolation=cv2.INTER_LINEAR_EXACT)  # type: ignore[assignment]
        return self._levels[factor]


def scales_of(gray: Image, scale_factor: float, smallest: float, largest: float = float("inf")) -> list[Scale]:
    """The scales of the whole-frame search whose windows have a side from ``smallest`` to ``largest``."""
    largest = min(largest, *gray.shape)
    scales, factor = [], 1.0
    while round(WINDOW * factor) <= largest:
        if round(WINDOW * factor) >= smallest:
            scales.append(Scale(factor, round(WINDOW * factor)))
        factor *= scale_factor
    return scales


def search(
    cascade: cv2.CascadeClassifier,
    pyramid: Pyramid,
    scales: Iterable[Scale],
    area: tuple[float, float, float, float],
    offsets: Sequence[tuple[int, int]],
) -> list[Hit]:
    """The windows in an area (left, top, right, bottom in the frame's pixels) that the cascade takes for a face.

    ``offsets`` are :data:`EVERY_FOURTH`, :data:`THE_OTHERS`, or both.
    """
    hits: list[Hit] = []
    for scale in scales:
        level = pyramid.at(scale.factor)
        factor, side = scale.factor, scale.window
        left, top = (max(0, int(edge / factor)) & ~1 for edge in area[:2])  # even, to stay on the grid
        right, bottom = int(area[2] / factor) + 1, int(area[3] / factor) + 1
        for dx, dy in offsets:
            part = level[top + dy : bottom, left + dx : right]
            if min(part.shape) < WINDOW:
                continue
            size = (WINDOW, WINDOW)
            for x, y, _, _ in cascade.detectMultiScale(part, 1.1, 0, minSize=size, maxSize=size):
                hits.append((round((left + dx + x) * factor), round((top + dy + y) * factor), side, side))
    return hits


def grouped(hits: Sequence[Hit], min_neighbors: int) -> list[tuple[Box, int]]:
    """OpenCV's grouping of overlapping windows: a box and its number of windows for each group that is large enough."""
    if len(hits) <= min_neighbors:
        return []
    boxes, neighbors = cv2.groupRectangles([list(hit) for hit in hits], min_neighbors, GROUPING)
    return [(Box(*map(int, box)), int(n)) for box, n in zip(boxes, np.ravel(neighbors), strict=True)]


def is_inside(box: Box, other: Box) -> bool:
    """Whether a box lies in another, as OpenCV's grouping has it."""
    dx, dy = GROUPING * other.width, GROUPING * other.height
    return (
        box.x >= other.x - dx
        and box.y >= other.y - dy
        and box.x + box.width <= other.x + other.width + dx
        and box.y + box.height <= other.y + other.height + dy
    )
