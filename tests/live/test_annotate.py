from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.faces import Box
from emotion.labels import EMOTIONS
from emotion.live import annotate as module
from emotion.live.annotate import annotate
from emotion.live.classifier import Face


def _face(box: Box, label: str = "happy", confidence: float = 0.87) -> Face:
    return Face(box, label, confidence, (0.0,) * 7)


def _changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.any(before != after, axis=2)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("label", EMOTIONS)
def test_box_and_words_stand_out_on_any_background(value: int, label: str) -> None:
    image = np.full((360, 640, 3), value, np.uint8)
    after = annotate(image, [_face(Box(200, 150, 120, 120), label)])
    assert np.all(image == value)  # the frame itself is left as it is
    assert _changed(image, after)[210, 196:204].any()  # left side
    plate = after[118:148, 199:300].astype(float) @ (0.114, 0.587, 0.299)
    assert np.ptp(plate) > 80  # words against their plate


@pytest.mark.parametrize(("height", "width"), [(360, 640), (1080, 1920), (2160, 3840)])
def test_letters_grow_with_the_frame(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    box = Box(width // 3, height // 2, height // 3, height // 3)
    after = annotate(image, [_face(box)])
    rows = np.flatnonzero(_changed(image, after).any(axis=1))
    assert 0.05 < (box.y - rows[0]) / height < 0.09  # the plate's height


@pytest.mark.parametrize("box", [Box(0, 0, 90, 90), Box(550, 0, 90, 90), Box(550, 270, 90, 90), Box(0, 270, 90, 90)])
def test_words_of_border_faces_are_whole(box: Box) -> None:
    _, _, (text_width, text_height), _ = module._fit("surprised 100%", box.width, 640, 360)
    image = np.zeros((360, 640, 3), np.uint8)
    after = annotate(image, [_face(box, "surprised", 1.0)])
    plate = np.all(after == module._COLOURS["surprised"], axis=2)
    rows = np.flatnonzero(plate.sum(axis=1) > text_width * 0.2)
    assert len(rows) >= text_height
    assert np.flatnonzero(plate[rows].any(axis=0)).size >= text_width


def test_plates_of_neighbours_do_not_cover_each_other() -> None:
    taken: list[Box] = []
    image = np.zeros((360, 640, 3), np.uint8)
    for box in (Box(200, 120, 70, 70), Box(275, 125, 70, 70)):
        taken.append(module._draw_plate(image, _face(box, "disgusted"), 2, taken))
    assert not module._overlap(*taken)


boxes = st.builds(Box, st.integers(-50, 700), st.integers(-50, 700), st.integers(1, 900), st.integers(1, 900))


@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.lists(boxes, max_size=4),
    st.sampled_from([*EMOTIONS, "a label of another contract"]),
)
def test_anything_can_be_drawn(height: int, width: int, found: list[Box], label: str) -> None:
    image = np.full((height, width, 3), 7, np.uint8)
    after = annotate(image, [_face(box, label) for box in found])
    assert after.shape == image.shape
    assert after.dtype == np.uint8
    assert np.all(image == 7)
