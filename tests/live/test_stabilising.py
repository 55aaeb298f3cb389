from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.faces.face import Face
from emotion.faces.images import Box
from emotion.live.stabilising import LINGERING, BoxStabiliser


def _face(x: float, y: float = 50, side: float = 100, track: int | None = 1, label: str = "happy") -> Face:
    return Face(Box(round(x), round(y), round(side), round(side)), label, 0.9, (0.9, 0.1), (0.8, 0.2), track)


@pytest.mark.parametrize("rate", [15, 30, 60])
def test_a_still_face_trembles_less(rate: int) -> None:
    random, steady = np.random.default_rng(0), BoxStabiliser()
    found = [_face(200 + random.normal(0, 4), side=100 + random.normal(0, 4)) for _ in range(4 * rate)]
    drawn = [steady.update(i / rate, [face])[0] for i, face in enumerate(found)]
    steps = [np.abs(np.diff([face.box.x for face in faces])).mean() for faces in (found, drawn)]
    assert steps[1] < 0.75 * steps[0]
    assert np.mean([face.box.width for face in drawn]) == pytest.approx(100, abs=1)


@pytest.mark.parametrize("rate", [10, 30, 60])
def test_a_moving_face_is_not_left(rate: int) -> None:
    """Two of its own widths a second: the box stays on it, whatever the frame rate."""
    steady = BoxStabiliser()
    for i in range(2 * rate):
        drawn = steady.update(i / rate, [_face(200 * i / rate)])[0]
        assert abs(drawn.box.x - 200 * i / rate) <= 20


def test_a_missed_frame_does_not_blink_but_a_face_that_left_is_gone() -> None:
    steady = BoxStabiliser()
    (drawn,) = steady.update(0.0, [_face(10)])
    assert steady.update(0.5 * LINGERING, []) == [drawn]
    assert steady.update(LINGERING, []) == [drawn]
    assert steady.update(LINGERING + 0.01, []) == []
    assert steady.update(0.1, []) == []


def test_faces_that_are_blurred_may_stay_longer() -> None:
    steady = BoxStabiliser(0.5)
    shown = steady.update(0.0, [_face(10)])
    assert steady.update(0.45, []) == shown
    assert steady.update(0.51, []) == []


def test_time_that_runs_back_shows_nothing_old() -> None:
    steady = BoxStabiliser()
    steady.update(5.0, [_face(10)])
    assert steady.update(1.0, []) == []


def test_a_cut_shows_nothing_old() -> None:
    steady = BoxStabiliser()
    steady.update(0.0, [_face(10)])
    steady.reset()
    assert steady.update(0.01, []) == []


def test_faces_without_tracks_pass() -> None:
    alone = [_face(10, track=None), _face(200, track=None)]
    assert BoxStabiliser().update(0.0, alone) == alone


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 5)), max_size=20))
def test_everything_but_the_box_is_kept(moves: list[tuple[int, int]]) -> None:
    steady = BoxStabiliser()
    for i, (x, track) in enumerate(moves):
        face = _face(x, track=track, label=f"label {i}")
        first, *lingering = steady.update(i / 30, [face])
        assert (first.label, first.track, first.probabilities) == (face.label, face.track, face.probabilities)
        assert track not in [other.track for other in lingering]
