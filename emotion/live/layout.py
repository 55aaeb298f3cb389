"""Where plates and charts go: rectangles in, rectangles out.

A thing that belongs to a face has several places round its box, and comes in several sizes; each pair is an option, and
options are ranked. What is placed stays inside the frame and never covers another thing that is placed. A face with a
track keeps its option while that fits, so that nothing flickers while the face trembles.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from emotion.faces.images import Box

_Edges = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom exclusive

#: More pixels than any frame has.
ANY = 10**6


@dataclass(frozen=True)
class Side:
    """A place at a box, ``x = left + a * box width + b * own width + c * gap``, and ``y`` likewise."""

    x: tuple[int, int, int]
    y: tuple[int, int, int]


ABOVE, ABOVE_RIGHT = Side((0, 0, 0), (0, -1, -1)), Side((1, -1, 0), (0, -1, -1))
BELOW, BELOW_RIGHT = Side((0, 0, 0), (1, 0, 1)), Side((1, -1, 0), (1, 0, 1))
RIGHT, RIGHT_LOW = Side((1, 0, 1), (0, 0, 0)), Side((1, 0, 1), (1, -1, 0))
LEFT, LEFT_LOW = Side((0, -1, -1), (0, 0, 0)), Side((0, -1, -1), (1, -1, 0))
INSIDE, INSIDE_LOW, INSIDE_LOW_RIGHT = (Side((a, -a, 0), (b, -b, 0)) for a, b in ((0, 0), (0, 1), (1, 1)))


@dataclass(frozen=True)
class Variant:
    """How a thing is placed in one of its sizes."""

    sides: tuple[Side, ...]  # best first
    clear: bool = True  # it keeps off the other faces' boxes
    joined: bool = False  # its place is round the box and what the face already has there, not round the box alone


class Kind:
    """A kind of thing that is placed at faces, with a variant for each size, best first."""

    def __init__(self, name: str, *variants: Variant) -> None:
        self.name, self.variants = name, variants
        self.options = [(size, variant, side) for size, variant in enumerate(variants) for side in variant.sides]


@dataclass(frozen=True)
class Placed:
    """Where a thing is, and which of its sizes it has."""

    box: Box
    size: int


class Layout:
    """Places things in one frame after the other, so that they keep off each other.

    The last options of ``memory`` tracks are kept; the longest unseen are forgotten.
    """

    def __init__(self, memory: int = 256) -> None:
        self._memory = memory
        self._options: OrderedDict[tuple[str, Hashable], int] = OrderedDict()
        self._taken: list[tuple[int, _Edges]] = []  # with the face that each belongs to, or -1

    def clear(self) -> None:
        """Begin the next frame: nothing is placed yet."""
        self._taken = []

    def reserve(self, box: Box) -> None:
        """Keep things off a rectangle, in this frame."""
        self._taken.append((-1, _edges(box)))

    def place(
        self,
        kind: Kind,
        frame: tuple[int, int],
        boxes: Sequence[Box],
        tracks: Sequence[Hashable | None],
        sizes: Sequence[Sequence[tuple[int, int, int]]],
        gap: int,
    ) -> list[Placed | None]:
        """Place one thing for each face, None where there is no room, and reserve where they are.

        First each face keeps its last option, if that still fits. Then those without one, and last those that could
        have a better one, get the best that fits with room to spare. While no box moves by more than a quarter of that
        room, ranks can only improve, so nothing goes back and forth.

        Args:
            kind: What they are.
            frame: Width and height in pixels.
            boxes: The faces; the first get the best places.
            tracks: Their numbers; None places without memory.
            sizes: For each face and each of the kind's sizes: width, height, and by how many pixels the box is larger
                than the least that this size is for (:data:`ANY`: it suits every box).
            gap: Pixels between a box and what is beside it.
        """
        search = _Search(kind, frame, [_edges(box) for box in boxes], sizes, gap, self._taken)
        remembered = {face: (kind.name, track) for face, track in enumerate(tracks) if track is not None}
        for face, key in remembered.items():
            if key in self._options:
                search.choose(face, (self._options.pop(key),), 0)
        for face in sorted(range(len(boxes)), key=set(search.chosen).__contains__):
            better = search.chosen[face][0] if face in search.chosen else len(kind.options)
            search.choose(face, range(better), max(6, min(frame) // 60) if face in remembered else 0)
        placed: list[Placed | None] = [None] * len(boxes)
        for face, (option, (left, top, right, bottom)) in sorted(search.chosen.items()):
            placed[face] = Placed(Box(left, top, right - left, bottom - top), kind.options[option][0])
            self._taken.append((face, (left, top, right, bottom)))
            if face in remembered:
                self._options[remembered[face]] = option
        while len(self._options) > self._memory:
            self._options.popitem(last=False)
        return placed


@dataclass
class _Search:
    """The options of one kind in one frame, and those that were chosen, with their rectangles, by face."""

    kind: Kind
    frame: tuple[int, int]
    faces: Sequence[_Edges]
    sizes: Sequence[Sequence[tuple[int, int, int]]]
    gap: int
    taken: Sequence[tuple[int, _Edges]]
    chosen: dict[int, tuple[int, _Edges]] = field(default_factory=dict)

    def choose(self, face: int, options: Iterable[int], spare: int) -> None:
        """Give a face the first of the options that fits with so many pixels to spare."""
        for option in options:
            rectangle = self._rectangle(face, option, spare)
            if rectangle is not None:
                self.chosen[face] = option, rectangle
                return

    def _rectangle(self, face: int, option: int, spare: int) -> _Edges | None:
        size, variant, side = self.kind.options[option]
        width, height, larger = self.sizes[face][size]
        if larger < spare:
            return None
        around = [self.faces[face]]
        if variant.joined:
            around += [edges for owner, edges in self.taken if owner == face]
        lefts, tops, rights, bottoms = zip(*around, strict=True)
        left, room_x = _along(side.x, min(lefts), max(rights), width, self.gap, self.frame[0])
        top, room_y = _along(side.y, min(tops), max(bottoms), height, self.gap, self.frame[1])
        rectangle = left, top, left + width, top + height
        if min(room_x, room_y) < spare:
            return None
        obstacles = [(edges, 0 if owner == face else spare) for owner, edges in self.taken]  # its own move with it
        obstacles += [(edges, spare) for other, (_, edges) in self.chosen.items() if other != face]
        if variant.clear:
            obstacles += [(edges, spare) for other, edges in enumerate(self.faces) if other != face]
        return None if any(_near(rectangle, edges, distance) for edges, distance in obstacles) else rectangle


def _edges(box: Box) -> _Edges:
    return box.x, box.y, box.x + box.width, box.y + box.height


def _along(formula: tuple[int, int, int], start: int, end: int, own: int, gap: int, frame: int) -> tuple[int, int]:
    """Where a thing begins along one axis, and its room: pixels to the border that it is pushed to, or negative.

    A thing slides along a border, but it is not pushed back over its own box.
    """
    of_box, of_own, of_gap = formula
    wanted, limit = start + of_box * (end - start) + of_own * own + of_gap * gap, frame - own
    room = -1 if limit < 0 else wanted if of_gap < 0 else limit - wanted if of_gap > 0 else ANY
    return max(0, min(wanted, limit)), room


def _near(a: _Edges, b: _Edges, spare: int) -> bool:
    """Whether two rectangles come nearer to each other than so many pixels."""
    return a[0] < b[2] + spare and a[2] > b[0] - spare and a[1] < b[3] + spare and a[3] > b[1] - spare
