from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import pytest
import scipy.optimize  # noqa: F401 - here, so that no example has to wait for it
from hypothesis import given
from hypothesis import strategies as st

from emotion.faces import images
from emotion.faces.images import Box
from emotion.video.source import frames
from emotion.video.tracker import Tracker

RATES = (5, 15, 30, 60)


def _box(x: float, y: float, side: float, rng: random.Random | None = None) -> Box:
    """A box round a centre; with a generator, as unsteady as a Haar cascade's."""
    noise = [rng.gauss(0, 0.02 * side) for _ in range(3)] if rng else [0, 0, 0]
    side += noise[2]
    return Box(round(x - side / 2 + noise[0]), round(y - side / 2 + noise[1]), round(side), round(side))


boxes = st.builds(Box, st.integers(-50, 700), st.integers(-50, 700), st.integers(0, 400), st.integers(0, 400))
scenes = st.lists(st.tuples(st.sampled_from([0.0, 0.02, 0.2, 0.6, -0.1]), st.lists(boxes, max_size=6)), max_size=8)
near = st.builds(Box, st.integers(0, 60), st.integers(0, 60), st.integers(40, 60), st.integers(40, 60))
crowds = st.lists(st.tuples(st.sampled_from([0.02, 0.2]), st.lists(near, max_size=6)), max_size=8)


def _play(scene: Sequence[tuple[float, Sequence[Box]]]) -> list[list[int]]:
    tracker, time, ids = Tracker(), 0.0, []
    for step, found in scene:
        time += step
        ids.append(tracker.update(time, found))
    return ids


@given(scenes)
def test_ids_are_unique_in_a_frame_and_never_come_back_from_the_dead(scene) -> None:
    tracker, time = Tracker(), 0.0
    dead: set[int] = set()
    seen: set[int] = set()
    for step, found in scene:
        time += step
        ids = tracker.update(time, found)
        assert len(ids) == len(found) == len(set(ids))
        assert not dead & set(ids)
        new = set(ids) - seen
        assert not new or min(new) == max(seen, default=0) + 1
        seen |= new
        assert set(ids) <= tracker.alive
        dead |= seen - tracker.alive


@given(st.one_of(scenes, crowds), st.randoms(use_true_random=False))
def test_the_order_of_boxes_does_not_matter(scene, rng: random.Random) -> None:
    shuffled, orders = [], []
    for step, found in scene:
        order = rng.sample(range(len(found)), len(found))
        orders.append(order)
        shuffled.append((step, [found[i] for i in order]))
    for ids, other, order, (_, found) in zip(_play(scene), _play(shuffled), orders, scene, strict=True):
        straight = sorted((astuple(box), i) for box, i in zip(found, ids, strict=True))
        assert straight == sorted((astuple(found[j]), i) for j, i in zip(order, other, strict=True))


@given(st.one_of(scenes, crowds), st.integers(-5000, 5000), st.integers(-5000, 5000))
def test_the_place_in_the_frame_does_not_matter(scene, dx: int, dy: int) -> None:
    moved = [(step, [Box(b.x + dx, b.y + dy, b.width, b.height) for b in found]) for step, found in scene]
    assert _play(moved) == _play(scene)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("speed", [0.0, 1.0, 3.0])
def test_a_moving_face_is_one_track_at_any_frame_rate(rate: int, speed: float) -> None:
    rng, tracker = random.Random(0), Tracker()
    for i in range(3 * rate):
        assert tracker.update(i / rate, [_box(100 + 100 * speed * i / rate, 200, 100, rng)]) == [1]


def _cross(rate: int, hidden: float, speed: float, seed: int) -> tuple[dict[int, int], dict[int, int]]:
    """Two faces of 100 pixels pass each other; the second is not seen while centres are this many faces apart."""
    rng, tracker = random.Random(seed), Tracker()
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for i in range(3 * rate + 1):
        way = speed * 100 * i / rate
        left, right = 100 + way, 100 + 300 * speed - way
        visible = [0] if abs(left - right) < hidden * 100 else [0, 1]
        found = [_box((left, right)[who], (200, 215)[who], (100, 95)[who], rng) for who in visible]
        last = dict(zip(visible, tracker.update(i / rate, found), strict=True))
        first = first or last
    return first, last


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("hidden", "speed"), [(0.0, 1.0), (0.4, 1.0), (0.7, 2.0), (0.7, 3.0)])
def test_faces_that_cross_keep_their_ids(rate: int, hidden: float, speed: float) -> None:
    for seed in range(10):
        first, last = _cross(rate, hidden, speed, seed)
        assert first == last == {0: 1, 1: 2}


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("gap", "same"), [(0.3, True), (0.9, False)])
def test_a_short_gap_keeps_the_id_and_a_long_one_does_not(rate: int, gap: float, same: bool) -> None:
    rng, tracker = random.Random(1), Tracker()
    for i in range(3 * rate):
        time = i / rate
        found = [] if 1 < time < 1 + gap else [_box(100 + 80 * time, 200, 100, rng)]
        ids = tracker.update(time, found)
        assert ids == ([] if not found else [1] if same or time <= 1 else [2])


def test_max_gap_is_in_seconds() -> None:
    tracker = Tracker(max_gap=2.0)
    assert tracker.update(0.0, [Box(10, 10, 50, 50)]) == [1]
    assert tracker.update(1.9, [Box(10, 10, 50, 50)]) == [1]
    assert tracker.update(2.0, []) == []
    assert tracker.update(3.9, []) == []
    assert tracker.alive == {1}
    assert tracker.update(4.1, []) == []
    assert tracker.alive == set()


@pytest.mark.parametrize(
    "other",
    [Box(300, 100, 60, 60), Box(160, 160, 140, 140), Box(90, 90, 220, 220), Box(500, 100, 100, 100)],
    ids=["smaller, beside", "larger, touching", "twice as large, around", "same size, far off"],
)
def test_a_cut_does_not_hand_the_id_to_another_person(other: Box) -> None:
    tracker = Tracker()
    for i in range(10):
        tracker.update(i / 25, [Box(100, 100, 100, 100)])
    assert tracker.update(10 / 25, [other]) == [2]


def test_after_a_reset_everybody_is_new() -> None:
    tracker = Tracker()
    assert tracker.update(0.0, [Box(10, 10, 50, 50)]) == [1]
    tracker.reset()
    assert tracker.alive == set()
    assert tracker.update(0.0, [Box(10, 10, 50, 50)]) == [2]


def test_a_clock_that_stands_still_or_jumps() -> None:
    tracker, box = Tracker(), Box(10, 10, 50, 50)
    assert [tracker.update(time, [box]) for time in (5.0, 5.0, 5.0, 4.98, 5.02)] == [[1]] * 5
    assert tracker.update(60.0, [box]) == [2]
    assert tracker.update(0.0, [box]) == [3]
    assert tracker.alive == {3}


def test_a_neighbour_is_not_robbed_for_the_sake_of_one_pair_more() -> None:
    """The right face goes, and one appears on the left: the middle one stays who it is."""
    tracker = Tracker()
    for i in range(5):
        assert tracker.update(i / 10, [Box(200, 100, 60, 60), Box(250, 100, 60, 60)]) == [1, 2]
    assert tracker.update(0.5, [Box(145, 100, 60, 60), Box(202, 100, 60, 60)]) == [3, 1]


def test_fifty_faces() -> None:
    rng, tracker = random.Random(0), Tracker()
    for i in range(20):
        found = [_box(60 + 70 * (k % 10), 60 + 70 * (k // 10), 66, rng) for k in range(50)]
        ids = tracker.update(i / 30, found)
        assert ids == sorted(ids, key=ids.index)
        if i == 0:
            first = ids
        assert ids == first


@pytest.mark.slow
def test_one_face_in_a_real_clip_is_one_track(shared: Path) -> None:
    cascade, tracker, ids = images.load_cascade(), Tracker(), []
    for frame in frames(shared / "media" / "single_face.mp4"):
        ids.append(tracker.update(frame.time, images.detect(cascade, frame.image)))
    assert len(ids) == 72
    assert {tuple(i) for i in ids} == {(1,)}


@pytest.mark.slow
def test_drawn_people_are_who_they_are(drawn) -> None:
    path, truth = drawn
    cascade, tracker = images.load_cascade(), Tracker()
    people: dict[int, set[int]] = {}
    for frame, moment in zip(frames(path), truth, strict=True):
        found = images.detect(cascade, frame.image)
        for box, track in zip(found, tracker.update(frame.time, found), strict=True):
            middle = box.x + box.width / 2
            who = [s.person for s in moment.faces if abs(s.box.x + s.box.width / 2 - middle) < 30]
            people.setdefault(track, set()).update(who)
    assert sorted(people.values(), key=min) == [{0}, {1}]
