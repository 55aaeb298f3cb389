"""Tracks faces: a face keeps its number from frame to frame, through short gaps and crossings.

Each box is compared with where each track should be by now (constant velocity), by overlap, distance and size, and the
cheapest assignment wins (Hungarian method; the scheme of SORT, Bewley et al. 2016, with time in seconds in place of
frames, and distance for faces that move far between two frames).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emotion.faces.images import Box

Matrix = np.ndarray[Any, np.dtype[np.float64]]
_Centred = tuple[float, float, float, float]  # a box as centre x, centre y, width, height

#: Seconds over which a velocity is measured: shorter follows turns sooner, longer is less misled by jittering boxes.
_VELOCITY_SECONDS = 0.15
#: Where boxes do not overlap: distance in face sizes from the predicted place allowed: at once, per second, at most.
_REACH, _MAX_SPEED, _MAX_REACH = 0.3, 3.0, 1.5
#: Largest ratio of sizes of boxes that overlap (a cut often puts another face there), and of boxes that do not.
_MAX_RATIO, _MAX_RATIO_APART = 1.7, 1.3
#: Cost from which a pair is as good as none. It keeps the assignment from taking a neighbour's face for one more pair.
_NO_PAIR = 2.0


@dataclass(slots=True)
class _Track:
    id: int
    x: float  # centre of the last box, in pixels; exact, so that results do not depend on where in the frame faces are
    y: float
    width: float
    height: float
    seen: float  # seconds
    vx: float = 0.0  # pixels per second
    vy: float = 0.0
    weight: float = 0.5  # of the velocities so far; the first half stands for "at rest"
    missed: float | None = None  # time of the first frame without it

    def away(self, time: float) -> float:
        """Seconds for which it is known to be out of sight: at a low frame rate, much less than since it was seen."""
        return abs(time - (self.seen if self.missed is None else self.missed))

    def follow(self, time: float, x: float, y: float, width: float, height: float) -> None:
        elapsed = time - self.seen
        if elapsed > 0:
            # An exponentially weighted mean of the velocities so far, that is an alpha-beta filter with alpha = 1.
            decay = math.exp(-elapsed / _VELOCITY_SECONDS)
            self.weight = self.weight * decay + 1 - decay
            gain = (1 - decay) / self.weight
            self.vx += gain * ((x - self.x) / elapsed - self.vx)
            self.vy += gain * ((y - self.y) / elapsed - self.vy)
            self.seen = time
        self.x, self.y, self.width, self.height = x, y, width, height
        self.missed = None


class Tracker:
    """Numbers faces; a face that is out of sight for at most ``max_gap`` seconds keeps its number.

    A box continues a track where the intersection over union with its predicted place is at least ``min_iou``, or, with
    less, where it is near and of nearly the same size.
    """

    def __init__(self, min_iou: float = 0.15, max_gap: float = 0.5) -> None:
        self._min_iou, self._max_gap = min_iou, max_gap
        self._tracks: list[_Track] = []
        self._last = 0

    @property
    def alive(self) -> set[int]:
        """The tracks of the last frame and those that may still come back; all others never do."""
        return {track.id for track in self._tracks}

    def update(self, time: float, boxes: Sequence[Box]) -> list[int]:
        """A number per face of a frame, in the order of the boxes, from 1, never used again for another face.

        The time in seconds may stand still; after a jump of more than ``max_gap``, forwards or back, all faces are new.
        """
        self._tracks = [track for track in self._tracks if track.away(time) <= self._max_gap]
        # Sorted, so that the result does not depend on the detector's order.
        order = sorted(range(len(boxes)), key=lambda i: (boxes[i].x, boxes[i].y, boxes[i].width, boxes[i].height))
        centred = [_centred(boxes[i]) for i in order]
        ids = [0] * len(boxes)
        for row, column in self._pairs(time, centred):
            track = self._tracks[row]
            track.follow(time, *centred[column])
            ids[order[column]] = track.id
        for track in self._tracks:
            if track.missed is None and track.id not in ids:
                track.missed = time
        for column, i in enumerate(order):
            if not ids[i]:
                self._last += 1
                ids[i] = self._last
                self._tracks.append(_Track(self._last, *centred[column], seen=time))
        return ids

    def reset(self) -> None:
        """Forget all faces, as after a cut: the next ones are new."""
        self._tracks = []

    def _pairs(self, time: float, centred: Sequence[_Centred]) -> list[tuple[int, int]]:
        """Positions of tracks and of the boxes that continue them."""
        if not self._tracks or not centred:
            return []
        cost = self._cost(time, np.array(centred))
        fits = cost < _NO_PAIR
        if fits.sum(axis=0).max() <= 1 and fits.sum(axis=1).max() <= 1:
            rows, columns = np.nonzero(fits)  # nothing to decide
        else:
            from scipy.optimize import linear_sum_assignment  # 0.3 s to import, which most sources never need

            rows, columns = linear_sum_assignment(cost)
        return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if fits[r, c]]

    def _cost(self, time: float, boxes: Matrix) -> Matrix:
        """``[tracks, boxes]``: how badly each box continues each track; :data:`_NO_PAIR` where it cannot."""
        rows = [(t.x, t.y, t.width, t.height, t.vx, t.vy, max(0.0, time - t.seen)) for t in self._tracks]
        x, y, width, height, vx, vy, gap = np.array(rows).T[:, :, None]
        other_x, other_y, other_width, other_height = boxes.T[:, None, :]
        dx, dy = np.abs(other_x - x - vx * gap), np.abs(other_y - y - vy * gap)
        shared_width = np.minimum((width + other_width) / 2 - dx, np.minimum(width, other_width))
        shared_height = np.minimum((height + other_height) / 2 - dy, np.minimum(height, other_height))
        shared = np.maximum(shared_width, 0) * np.maximum(shared_height, 0)
        area, other_area = width * height, other_width * other_height
        iou = shared / (area + other_area - shared)
        distance = np.hypot(dx, dy) / np.sqrt((area + other_area) / 2)
        ratio = np.abs(np.log(other_area / area)) / 2
        near = distance <= np.minimum(_REACH + _MAX_SPEED * gap, _MAX_REACH)
        same = (iou >= self._min_iou) & (ratio <= math.log(_MAX_RATIO)) | near & (ratio <= math.log(_MAX_RATIO_APART))
        # A face that was just seen takes precedence over one that is out of sight.
        cost = (1 - iou) + distance / 2 + ratio + gap / 2
        return np.where(same, np.minimum(cost, _NO_PAIR), _NO_PAIR)


def _centred(box: Box) -> _Centred:
    return box.x + box.width / 2, box.y + box.height / 2, float(max(1, box.width)), float(max(1, box.height))
