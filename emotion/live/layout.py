"""Where plates and charts go: rectangles in, rectangles out.

A thing that belongs to a face has several places round its box, and comes in several sizes; each pair is an option, and
options are ranked. What is placed stays inside the frame and never covers another thing that is placed. So that nothing
jumps from side to side while a face trembles, a face with a track keeps its option while that fits at all, and takes
another only where that one fits with room to spare.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emotion.faces.images import Box

Rectangles = np.ndarray[Any, np.dtype[np.int64]]  # [..., 4]: left, top, right, bottom; right and bottom exclusive
Flags = np.ndarray[Any, np.dtype[np.bool_]]

#: More pixels than any frame has.
ANY = 10**6


@dataclass(frozen=True)
class Side:
    """A place at a box, ``x = left + a * box width + b * own width + c * gap``, and ``y`` likewise."""

    x: tuple[float, int, int]
    y: tuple[float, int, int]


ABOVE, ABOVE_RIGHT = Side((0, 0, 0), (0, -1, -1)), Side((1, -1, 0), (0, -1, -1))
BELOW, BELOW_RIGHT = Side((0, 0, 0), (1, 0, 1)), Side((1, -1, 0), (1, 0, 1))
RIGHT, RIGHT_LOW = Side((1, 0, 1), (0, 0, 0)), Side((1, 0, 1), (1, -1, 0))
LEFT, LEFT_LOW = Side((0, -1, -1), (0, 0, 0)), Side((0, -1, -1), (1, -1, 0))
INSIDE, INSIDE_RIGHT = Side((0, 0, 0), (0, 0, 0)), Side((1, -1, 0), (0, 0, 0))
INSIDE_LOW, INSIDE_LOW_RIGHT = Side((0, 0, 0), (1, -1, 0)), Side((1, -1, 0), (1, -1, 0))


@dataclass(frozen=True)
class Variant:
    """How a thing is placed in one of its sizes.

    Attributes:
        sides: Where it may be, best first.
        clear: It keeps off the other faces' boxes.
        joined: Its place is round the box and what the face already has there, instead of round the box alone.
    """

    sides: tuple[Side, ...]
    clear: bool = True
    joined: bool = False


class Kind:
    """A kind of thing that is placed at faces.

    Args:
        name: Options are remembered by it and the track.
        variants: One for each of the sizes that it comes in, best first.
    """

    def __init__(self, name: str, *variants: Variant) -> None:
        self.name = name
        options = [(size, variant, side) for size, variant in enumerate(variants) for side in variant.sides]
        self.size = np.array([size for size, _, _ in options])  # [K], of each option
        self.clear = np.array([variant.clear for _, variant, _ in options])  # [K]
        self.joined = np.array([int(variant.joined) for _, variant, _ in options])  # [K]
        formulas = np.array([(side.x, side.y) for _, _, side in options], float)  # [K, 2, 3]
        self.of_box, self.of_own, self.of_gap = np.moveaxis(formulas, 2, 0)


@dataclass(frozen=True)
class Placed:
    """Where a thing is, and which of its sizes it has."""

    box: Box
    size: int


class Layout:
    """Places things in one frame after the other, so that they keep off each other.

    Args:
        memory: How many tracks' last options are kept; the longest unseen are forgotten.
    """

    def __init__(self, memory: int = 256) -> None:
        self._memory = memory
        self._options: OrderedDict[tuple[str, Hashable], int] = OrderedDict()
        self._taken: list[tuple[Box, int]] = []  # with the face that each belongs to, or -1

    def clear(self) -> None:
        """Begin the next frame: nothing is placed yet."""
        self._taken = []

    def reserve(self, box: Box) -> None:
        """Keep things off a rectangle, in this frame."""
        self._taken.append((box, -1))

    def place(
        self,
        kind: Kind,
        frame: tuple[int, int],
        boxes: Sequence[Box],
        tracks: Sequence[Hashable | None],
        sizes: Sequence[Sequence[tuple[int, int, int]]],
        gap: int,
    ) -> list[Placed | None]:
        """Place one thing for each face, and reserve where they are.

        Args:
            kind: What they are.
            frame: Width and height in pixels.
            boxes: The faces; the first get the best places.
            tracks: Their numbers; None places without memory.
            sizes: For each face and each of the kind's sizes: width, height, and by how many pixels the box is larger
                than the least that this size is for (:data:`ANY`: it suits every box).
            gap: Pixels between a box and what is beside it.

        Returns:
            A place for each face, or None where there is none.
        """
        if not boxes:
            return []
        keys = [None if track is None else (kind.name, track) for track in tracks]
        edges, joined = _edges(boxes), _edges(boxes)
        for box, owner in self._taken:
            if owner >= 0:
                start, end = (box.x, box.y), (box.x + box.width, box.y + box.height)
                joined[owner] = *np.minimum(joined[owner, :2], start), *np.maximum(joined[owner, 2:], end)
        rectangles, room = _options(kind, frame, np.stack([edges, joined], axis=1), np.array(sizes, np.int64), gap)
        slack = max(6, min(frame) // 60)
        chosen = settle(
            rectangles,
            room,
            kind.clear,
            edges,
            _edges([box for box, _ in self._taken]),
            [owner for _, owner in self._taken],
            [None if key is None else self._options.get(key) for key in keys],
            [0 if key is None else slack for key in keys],
        )
        self._remember(keys, chosen)
        placed: list[Placed | None] = []
        for face, option in enumerate(chosen):
            if option is None:
                placed.append(None)
                continue
            left, top, right, bottom = rectangles[face, option].tolist()
            box = Box(left, top, right - left, bottom - top)
            placed.append(Placed(box, int(kind.size[option])))
            self._taken.append((box, face))
        return placed

    def _remember(self, keys: Sequence[tuple[str, Hashable] | None], chosen: Sequence[int | None]) -> None:
        for key, option in zip(keys, chosen, strict=True):
            if key is None:
                continue
            self._options.pop(key, None)
            if option is not None:
                self._options[key] = option
        while len(self._options) > self._memory:
            self._options.popitem(last=False)


def _edges(boxes: Sequence[Box]) -> Rectangles:
    return np.array([(b.x, b.y, b.x + b.width, b.y + b.height) for b in boxes], np.int64).reshape(-1, 4)


def _options(
    kind: Kind, frame: tuple[int, int], edges: Rectangles, sizes: Rectangles, gap: int
) -> tuple[Rectangles, Rectangles]:
    """Every option of every face, from boxes ``[N, 2, 4]``, alone and joined, and sizes ``[N, T, 3]``.

    Returns:
        Rectangles ``[N, K, 4]``, and the pixels to spare ``[N, K]``: to the frame's border on the side that the thing
        is pushed to, and to the least box; negative where it cannot be.
    """
    start, end = edges[:, kind.joined, :2], edges[:, kind.joined, 2:]  # [N, K, 2]
    own, spare = sizes[:, kind.size, :2], sizes[:, kind.size, 2]  # [N, K, 2], [N, K]
    wanted = (start + kind.of_box * (end - start) + kind.of_own * own + kind.of_gap * gap).astype(np.int64)
    limit = np.array(frame) - own
    corner = np.maximum(np.minimum(wanted, limit), 0)
    # A thing slides along a border, but it is not pushed back over its own box.
    outward = np.where(kind.of_gap < 0, wanted, np.where(kind.of_gap > 0, limit - wanted, ANY)).min(axis=2)
    outward[(limit < 0).any(axis=2)] = -1
    return np.concatenate([corner, corner + own], axis=2), np.minimum(outward, spare)


def settle(
    rectangles: Rectangles,
    room: Rectangles,
    clear: Flags,
    boxes: Rectangles,
    taken: Rectangles,
    owners: Sequence[int],
    kept: Sequence[int | None],
    slack: Sequence[int],
) -> list[int | None]:
    """Choose an option for each face.

    First each face keeps what it has, if that still fits. Then those without get the best that fits with ``slack``
    pixels to spare, in the order of the faces. Last, those that have kept a lesser option get a better one if that fits
    with as much to spare. While no box moves by more than a quarter of the slack, ranks can only improve, so nothing
    goes back and forth.

    Args:
        rectangles: ``[N, K, 4]``, best option first.
        room: ``[N, K]``, pixels to spare, negative where an option cannot be.
        clear: ``[K]``, whether an option keeps off other faces' boxes.
        boxes: ``[N, 4]``, the faces.
        taken: ``[M, 4]``, where nothing may be.
        owners: The face that each of ``taken`` belongs to and moves with, so that it needs no slack there, or -1.
        kept: Each face's option in the frame before, or None.
        slack: Pixels, for each face.

    Returns:
        The option of each face, or None.
    """
    count = len(rectangles)
    walls = np.concatenate([np.full((count, 4), -ANY), taken])  # the first are what is placed here
    owned = np.concatenate([np.full(count, -1), np.asarray(owners, np.int64)])
    chosen: list[int | None] = [None] * count

    def fitting(face: int, options: slice, spare: int) -> np.ndarray[Any, np.dtype[np.intp]]:
        candidates, keep_off = rectangles[face, options], clear[options]
        own_wall, own_box = walls[face].copy(), boxes[face].copy()
        walls[face] = boxes[face] = -ANY
        free = (room[face, options] >= spare) & ~_overlap(candidates, walls, np.where(owned == face, 0, spare))
        if keep_off.any():
            free &= ~(keep_off & _overlap(candidates, boxes, np.full(count, spare)))
        walls[face], boxes[face] = own_wall, own_box
        return np.flatnonzero(free)

    def choose(face: int, option: int) -> None:
        chosen[face] = option
        walls[face] = rectangles[face, option]

    for face, option in enumerate(kept):
        if option is not None and option < rectangles.shape[1] and len(fitting(face, slice(option, option + 1), 0)):
            choose(face, option)
    possible = room.max(axis=1) >= 0
    without = [face for face, option in enumerate(chosen) if option is None and possible[face]]
    for face in without + [face for face, option in enumerate(chosen) if option]:
        better = fitting(face, slice(0, chosen[face]), slack[face])
        if len(better):
            choose(face, int(better[0]))
    return chosen


def _overlap(rectangles: Rectangles, others: Rectangles, spare: Rectangles) -> Flags:
    """Whether each of ``[K, 4]`` comes nearer than ``spare`` pixels, ``[M]``, to any of ``[M, 4]``."""
    left, top, right, bottom = rectangles.T[:, :, None]
    west, north, east, south = others.T
    near: Flags = np.less(left, east + spare)
    near &= (right > west - spare) & (top < south + spare) & (bottom > north - spare)
    return np.logical_or.reduce(near, axis=1)
