"""Geometry alone: rectangles in, rectangles out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from emotion.faces.images import Box
from emotion.live import layout
from emotion.live.layout import ANY, Kind, Layout, Placed, Side, Variant

SIDES = (layout.ABOVE, layout.BELOW, layout.ABOVE_RIGHT, layout.BELOW_RIGHT, layout.RIGHT, layout.LEFT, layout.INSIDE)
PLATE = Kind("plate", Variant(SIDES), Variant(SIDES), Variant(SIDES, clear=False))
CHART = Kind("chart", Variant((layout.RIGHT, layout.LEFT, layout.BELOW)), Variant((layout.ABOVE,), joined=True))
WHOLE, SMALL, CHART_SIZE = (90, 20, ANY), (40, 12, ANY), (70, 60, ANY)

frames = st.tuples(st.integers(1, 800), st.integers(1, 500))
boxes = st.builds(Box, st.integers(-60, 800), st.integers(-60, 500), st.integers(1, 300), st.integers(1, 300))


def _overlap(a: Box, b: Box) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def _inside(box: Box, frame: tuple[int, int]) -> bool:
    return box.x >= 0 and box.y >= 0 and box.x + box.width <= frame[0] and box.y + box.height <= frame[1]


def _plates(where: Layout, frame: tuple[int, int], faces: list[Box], tracks: list[int | None]) -> list[Placed | None]:
    return where.place(PLATE, frame, faces, tracks, [[WHOLE, SMALL, SMALL]] * len(faces), 3)


def _charts(where: Layout, frame: tuple[int, int], faces: list[Box], tracks: list[int | None]) -> list[Placed | None]:
    return where.place(CHART, frame, faces, tracks, [[CHART_SIZE, CHART_SIZE]] * len(faces), 5)


@given(frames, st.lists(boxes, max_size=12), boxes, st.booleans())
def test_what_is_placed_is_inside_and_covers_nothing(
    frame: tuple[int, int], faces: list[Box], corner: Box, tracked: bool
) -> None:
    where = Layout()
    tracks: list[int | None] = list(range(len(faces))) if tracked else [None] * len(faces)
    for _ in range(3):
        where.clear()
        where.reserve(corner)
        plates, charts = _plates(where, frame, faces, tracks), _charts(where, frame, faces, tracks)
        things = [thing for thing in (*plates, *charts) if thing is not None]
        assert all(_inside(thing.box, frame) for thing in things)
        everything = [corner, *(thing.box for thing in things)]
        assert not any(_overlap(a, b) for i, a in enumerate(everything) for b in everything[:i])
        for number, plate in enumerate(plates):
            if plate is not None and plate.size < 2:  # those that keep off other faces
                assert not any(_overlap(plate.box, face) for i, face in enumerate(faces) if i != number)
        for number, chart in enumerate(charts):
            if chart is not None:
                assert not any(_overlap(chart.box, face) for i, face in enumerate(faces) if i != number)


@given(st.lists(boxes, min_size=1, max_size=6), st.integers(0, 2**31))
def test_a_face_that_trembles_keeps_its_sides(faces: list[Box], seed: int) -> None:
    """Once placed, a thing stays, or goes to a better place for good: it never goes back and forth."""
    frame, where, rng = (640, 360), Layout(), np.random.default_rng(seed)
    tracks: list[int | None] = list(range(len(faces)))
    last: dict[tuple[str, int], int] = {}
    for _ in range(25):
        dx, dy = rng.integers(-1, 2, (2, len(faces)))
        moved = [Box(f.x + int(x), f.y + int(y), f.width, f.height) for f, x, y in zip(faces, dx, dy, strict=True)]
        where.clear()
        _plates(where, frame, moved, tracks)
        for number in range(len(faces)):
            rank = where._options.get(("plate", number), ANY)
            assert rank <= last.get(("plate", number), ANY)
            last["plate", number] = rank


def test_a_chart_changes_sides_only_when_it_must_and_comes_back_only_with_room_to_spare() -> None:
    where, frame, sides = Layout(), (640, 360), []
    path = [*range(470, 500), *range(500, 450, -1)]  # towards the right border and back
    for x in path:
        where.clear()
        (chart,) = _charts(where, frame, [Box(x, 100, 80, 80)], [1])
        assert chart is not None
        sides.append("right" if chart.box.x > x else "left")
    turns = [x for x, a, b in zip(path[1:], sides, sides[1:], strict=False) if a != b]
    assert sides[0] == "right"
    assert len(turns) == 2
    out, back = turns
    assert out == 640 - 70 - 5 - 80 + 1  # the first pixel where it no longer fits
    assert out - back > 6


def test_a_thing_that_was_left_out_comes_back_only_with_room_to_spare() -> None:
    where, seen = Layout(), []
    for spare in (8, 3, 0, -1, 0, 3, 5, 6, 0):
        where.clear()
        (plate,) = where.place(
            Kind("plate", Variant((layout.ABOVE,))), (640, 360), [Box(200, 200, 80, 80)], [1], [[(90, 20, spare)]], 3
        )
        seen.append(plate is not None)
    assert seen == [True, True, True, False, False, False, False, True, True]


def test_the_first_face_gets_the_best_place() -> None:
    a, b = Box(200, 100, 80, 80), Box(285, 100, 80, 80)
    for faces in ([a, b], [b, a]):
        first, second = _plates(Layout(), (640, 360), faces, [None, None])
        assert first is not None
        assert second is not None
        assert first.box == Box(faces[0].x, 100 - 3 - 20, 90, 20)
        assert (second.box.y < 100) is False


def test_order_does_not_matter_to_those_who_are_placed() -> None:
    """Two faces of nearly the same size take turns at being the first."""
    where, frame, faces, seen = Layout(), (640, 360), [Box(200, 100, 80, 80), Box(285, 100, 80, 80)], set()
    for turn in range(10):
        where.clear()
        order = [0, 1] if turn % 2 else [1, 0]
        placed = _plates(where, frame, [faces[i] for i in order], list(order))
        seen.add(tuple(placed[order.index(i)] for i in (0, 1)))
    assert len(seen) == 1


def test_a_joined_place_is_beyond_what_the_face_has() -> None:
    where, frame, face = Layout(), (180, 400), Box(50, 200, 80, 80)
    (plate,) = where.place(Kind("plate", Variant((layout.ABOVE,))), frame, [face], [None], [[WHOLE]], 3)
    (chart,) = where.place(
        Kind("chart", Variant((layout.ABOVE,), joined=True)), frame, [face], [None], [[CHART_SIZE]], 5
    )
    assert plate is not None
    assert chart is not None
    assert chart.box.y + chart.box.height == plate.box.y - 5


@pytest.mark.parametrize("kind", [PLATE, CHART])
def test_nothing_is_placed_where_it_does_not_fit(kind: Kind) -> None:
    sizes = [[(90, 20, ANY)] * len(kind.variants)]
    assert Layout().place(kind, (89, 400), [Box(10, 10, 20, 20)], [1], sizes, 3) == [None]
    assert Layout().place(kind, (400, 19), [Box(10, 10, 20, 20)], [1], sizes, 3) == [None]
    assert Layout().place(kind, (400, 400), [], [], [], 3) == []


def test_memory_is_bounded() -> None:
    where = Layout(memory=10)
    for track in range(1000):
        where.clear()
        _plates(where, (640, 360), [Box(200, 100, 80, 80)], [track])
    assert list(where._options) == [("plate", track) for track in range(990, 1000)]


@given(st.sampled_from([v for k, v in vars(layout).items() if isinstance(v, Side)]), boxes)
def test_sides_touch_their_box_or_are_a_gap_away(side: Side, box: Box) -> None:
    frame = (3000, 3000)
    box = Box(box.x + 1000, box.y + 1000, box.width, box.height)
    (placed,) = Layout().place(Kind("thing", Variant((side,))), frame, [box], [None], [[(40, 20, ANY)]], 5)
    assume(placed is not None)
    thing = placed.box
    apart = max(
        thing.x - box.x - box.width,
        box.x - thing.x - thing.width,
        thing.y - box.y - box.height,
        box.y - thing.y - thing.height,
    )
    assert apart == 5 or (side.x[2] == side.y[2] == 0 and apart < 0)
