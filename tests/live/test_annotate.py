from __future__ import annotations

from itertools import islice, pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.data.drawing import acting
from emotion.faces.images import Box, Image
from emotion.faces.labelled import UNCERTAIN, Face
from emotion.faces.labels import EMOTIONS
from emotion.live.annotate import Blur, Boxes, Labels, Overlay, Rate, compose
from emotion.live.bars import Bars
from emotion.live.layout import Layout
from emotion.video.lettering import SMALLEST, _font, ascent, letters
from emotion.video.palette import COLOURS, ink, short

TEXT = (0.114, 0.587, 0.299)  # luma of BGR


def _face(box: Box, label: str = "happy", track: int | None = 3, confidence: float = 0.87) -> Face:
    rest = (1 - confidence) / 6
    top = label if label in EMOTIONS else "sad"
    return Face(box, label, confidence, tuple(confidence if e == top else rest for e in EMOTIONS), (), track)


def _scene(height: int, width: int, value: int = 0) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def _changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.any(before != after, axis=2)


def _two_people(size: tuple[int, int], seed: int) -> tuple[Image, list[Face]]:
    """A frame of two drawn people, and their faces as they were drawn to be."""
    seconds = 14  # two for each emotion: half of the first is full expression
    image, moment = next(islice(acting.moments(seconds=seconds, fps=1, size=size, seed=seed, persons=2), 1, None))
    return image, [
        _face(f.box, EMOTIONS[f.emotion], number, confidence=0.9) for number, f in enumerate(moment.faces, start=1)
    ]


class _Spy(Layout):
    """A layout that tells where everything was put."""

    def __init__(self) -> None:
        super().__init__()
        self.placed: dict[str, list[Box]] = {}

    def place(self, kind, *arguments):
        found = super().place(kind, *arguments)
        self.placed[kind.name] = [item.box for item in found if item is not None]
        return found


def _placed(scene: np.ndarray, faces: list[Face]) -> dict[str, list[Box]]:
    spy = _Spy()
    Overlay([Boxes(), Labels(spy), Bars(EMOTIONS, spy)], spy)(scene, faces)
    return spy.placed


def _overlap(a: Box, b: Box) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


# --------------------------------------------------------------------------------------------------------- legible


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("label", [*EMOTIONS, UNCERTAIN])
def test_box_words_and_chart_stand_out_on_any_background(value: int, label: str) -> None:
    scene = _scene(360, 640, value)
    face = _face(Box(200, 150, 120, 120), label)
    placed = _placed(scene, [face])
    after = compose(EMOTIONS, rate=False)(scene, [face])
    assert np.all(scene == value)  # the frame itself is left as it is
    around = after[205:215, 196:204].astype(float) @ TEXT  # the left side of the box
    assert np.abs(around - value).max() > 60
    for box in (*placed["plate"], *placed["chart"]):
        part = after[box.y : box.y + box.height, box.x : box.x + box.width].astype(float) @ TEXT
        assert np.ptp(part) > 100


def _luminance(colour: tuple[int, int, int]) -> float:
    linear = (np.divide(colour, 255) + 0.055) / 1.055
    return float(
        np.dot(
            np.where(np.divide(colour, 255) <= 0.04045, np.divide(colour, 255) / 12.92, linear**2.4),
            (0.0722, 0.7152, 0.2126),
        )
    )


@pytest.mark.parametrize("label", COLOURS)
def test_words_have_the_contrast_that_accessible_text_needs(label: str) -> None:
    a, b = sorted((_luminance(COLOURS[label]), _luminance(ink(COLOURS[label]))))
    assert (b + 0.05) / (a + 0.05) >= 4.5  # WCAG 2.2, level AA


@pytest.mark.parametrize("capital", [SMALLEST, 14, 40])
def test_capitals_are_as_high_as_asked_and_words_whole(capital: int) -> None:
    rows = np.flatnonzero((letters("HE", capital) > 127).any(axis=1))
    assert abs(len(rows) - capital) <= 1
    assert abs(rows[-1] + 1 - ascent(capital)) <= 1  # they stand on the baseline
    for text in ("gypsy", "87 %", "ÉÄ"):
        left, top, right, bottom = _font(capital, False).getbbox(text, anchor="ls")
        below, across = len(letters(text, capital)) - ascent(capital), letters(text, capital).shape[1]
        assert left >= 0
        assert -top <= ascent(capital)
        assert bottom <= below
        assert right <= across + 1


@pytest.mark.parametrize(("height", "width"), [(360, 640), (720, 1280), (2160, 3840), (1280, 720)])
def test_letters_grow_with_the_frame_and_are_never_tiny(height: int, width: int) -> None:
    side = min(height, width) // 3
    placed = _placed(_scene(height, width), [_face(Box(width // 3, height // 2, side, side))])
    (plate,) = placed["plate"]
    assert plate.height >= 2 * SMALLEST
    assert 0.04 < plate.height / min(height, width) < 0.06


def test_names_in_charts_are_the_labels_and_short() -> None:
    names = [short(label) for label in (*EMOTIONS, "bored-to-death")]
    assert names == [*EMOTIONS, "bored-to…"], "the labels' own words, as in logs and plots"


# ------------------------------------------------------------------------------------------ what is drawn, and what not


def _drawn_words(monkeypatch: pytest.MonkeyPatch, face: Face) -> list[str]:
    from emotion.live import annotate
    from emotion.video import lettering

    words: list[str] = []
    write = lettering.write
    monkeypatch.setattr(
        annotate, "write", lambda scene, text, *a, **k: words.append(text) or write(scene, text, *a, **k)
    )
    Labels(Layout()).annotate(_scene(360, 640), [face])
    return words


def test_a_plate_says_track_label_and_confidence(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(200, 150, 120, 120)
    assert _drawn_words(monkeypatch, _face(box)) == ["#3", "happy", "87 %"]
    assert _drawn_words(monkeypatch, _face(box, track=None)) == ["happy", "87 %"]


def test_an_uncertain_face_gets_no_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(200, 150, 120, 120)
    assert _drawn_words(monkeypatch, _face(box, UNCERTAIN)) == ["#3", "uncertain"]
    chart = Bars(EMOTIONS, Layout()).annotate(_scene(360, 640), [_face(box, UNCERTAIN)])
    assert not np.all(chart == COLOURS["sad"], axis=2).any()  # the top bar is not marked
    certain = Bars(EMOTIONS, Layout()).annotate(_scene(360, 640), [_face(box, "sad")])
    assert np.all(certain == COLOURS["sad"], axis=2).any()


def test_bars_are_as_long_as_the_probabilities() -> None:
    box = Box(300, 300, 250, 250)
    drawn = [
        Bars(EMOTIONS, Layout()).annotate(_scene(720, 1280), [_face(box, "sad", 1, share)]) for share in (1.0, 0.5)
    ]
    full, half = (np.all(image == COLOURS["sad"], axis=2) for image in drawn)
    strip = np.flatnonzero(full.any(axis=1))[0]  # the chart's upper edge has the label's colour, too
    lengths = [picture[strip + 10 :].sum(axis=1).max() for picture in (full, half)]
    assert lengths[1] == pytest.approx(lengths[0] / 2, abs=1)


def test_parts_can_be_left_out() -> None:
    scene, faces = _scene(360, 640), [_face(Box(200, 150, 120, 120))]
    names = [
        [type(a).__name__ for a in compose(EMOTIONS, bars=bars, rate=rate, blur=blur).annotators]
        for bars, rate, blur in ((True, True, True), (False, False, False))
    ]
    assert names == [["Blur", "Boxes", "Rate", "Labels", "Bars"], ["Boxes", "Labels"]]
    with_bars, without = (
        _changed(scene, compose(EMOTIONS, bars=b, rate=False)(scene, faces)).sum() for b in (True, False)
    )
    assert with_bars > without + 5000


def test_annotators_draw_in_place() -> None:
    for annotator in (Boxes(), Labels(Layout()), Bars(EMOTIONS, Layout()), Blur(), Rate(Layout())):
        scene = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
        assert annotator.annotate(scene, [_face(Box(200, 150, 120, 120))]) is scene


# ------------------------------------------------------------------------------------------------------ no collisions


def _spread(count: int, height: int, width: int, share: float, seed: int) -> list[Face]:
    rng = np.random.default_rng(seed)
    boxes: list[Box] = []
    while len(boxes) < count:
        side = round(height * share * rng.uniform(0.7, 1.3))
        box = Box(int(rng.integers(0, width - side)), int(rng.integers(0, height - side)), side, side)
        if not any(_overlap(box, other) for other in boxes):
            boxes.append(box)
    boxes.sort(key=lambda box: -box.width)
    return [_face(box, EMOTIONS[i % 7], i + 1) for i, box in enumerate(boxes)]


@pytest.mark.parametrize(("count", "share"), [(2, 0.35), (4, 0.25), (10, 0.15), (50, 0.08)])
@pytest.mark.parametrize(("height", "width"), [(360, 640), (720, 1280), (2160, 3840)])
def test_nothing_is_written_over_anything_else(count: int, share: float, height: int, width: int) -> None:
    faces = _spread(count, height, width, share, seed=count)
    placed = _placed(_scene(height, width), faces)
    things = placed["plate"] + placed["chart"]
    assert not any(_overlap(a, b) for i, a in enumerate(things) for b in things[:i])
    assert all(t.x >= 0 and t.y >= 0 and t.x + t.width <= width and t.y + t.height <= height for t in things)
    # Each face is named, but for a few where 50 plates, none smaller than can be read, have no room.
    assert len(placed["plate"]) >= (0.8 * count if count == 50 else count)
    assert not any(_overlap(chart, face.box) for chart in placed["chart"] for face in faces)
    if count == 2:
        assert len(placed["chart"]) == 2
    if count == 50:
        assert not placed["chart"]  # the first to go


@pytest.mark.parametrize(
    "box", [Box(-20, -20, 110, 110), Box(560, 0, 110, 110), Box(560, 280, 110, 110), Box(-9, 270, 110, 90)]
)
def test_a_face_at_the_border_has_its_plate_and_chart_inside(box: Box) -> None:
    placed = _placed(_scene(360, 640), [_face(box, "surprised", 17, 1.0)])
    for (thing,) in placed.values():
        assert thing.x >= 0
        assert thing.y >= 0
        assert thing.x + thing.width <= 640
        assert thing.y + thing.height <= 360


def test_a_close_up_has_its_chart_in_its_own_corner() -> None:
    (chart,) = _placed(_scene(720, 720), [_face(Box(20, 20, 680, 680))])["chart"]
    assert chart.y > 360  # below the eyes


boxes = st.builds(Box, st.integers(-50, 700), st.integers(-50, 700), st.integers(1, 900), st.integers(1, 900))


@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.lists(boxes, max_size=4),
    st.sampled_from([*EMOTIONS, UNCERTAIN, "a label of another contract", "", "愉快"]),
    st.sampled_from([None, 0, 12345]),
    st.booleans(),
)
def test_anything_can_be_drawn(
    height: int, width: int, found: list[Box], label: str, track: int | None, blur: bool
) -> None:
    image = _scene(height, width, 7)
    overlay = compose(EMOTIONS, blur=blur)
    for _ in range(2):
        after = overlay(image, [_face(box, label, track) for box in found])
    assert after.shape == image.shape
    assert after.dtype == np.uint8
    assert np.all(image == 7)


# --------------------------------------------------------------------------------------------------------------- rate


@pytest.mark.parametrize("true", [7.5, 24.0, 60.0])
def test_the_rate_is_that_of_the_last_second(true: float) -> None:
    now = iter([*np.arange(0, 3, 1 / 100), *np.arange(3, 6, 1 / true)])
    rate = Rate(Layout(), clock=lambda: float(next(now)))
    for _ in range(300 + int(3 * true)):
        rate.annotate(_scene(90, 160), [])
    assert float(rate._text.removesuffix(" fps")) == pytest.approx(true, rel=0.05)


def test_the_rate_does_not_flicker() -> None:
    times = iter(np.arange(0, 2, 0.02) + np.random.default_rng(0).uniform(0, 0.01, 100))
    rate = Rate(Layout(), clock=lambda: float(next(times)))
    texts = []
    for _ in range(100):
        rate.annotate(_scene(90, 160), [])
        texts.append(rate._text)
    assert 1 < sum(a != b for a, b in pairwise(texts)) <= 9  # four times a second at most
    assert texts[0] == ""


def test_the_rate_keeps_its_corner_free() -> None:
    overlay = compose(EMOTIONS, bars=False)
    scene, times = _scene(360, 640), iter(np.arange(0, 9, 0.05))
    rate = next(a for a in overlay.annotators if isinstance(a, Rate))
    rate._clock = lambda: float(next(times))
    alone = [overlay(scene, []) for _ in range(3)][-1]
    corner = _changed(scene, alone)
    assert corner[:60, :120].sum() == corner.sum() > 0
    face = _face(Box(0, 25, 60, 60))  # its plate would be there
    assert np.array_equal(overlay(scene, [face])[corner], alone[corner])


# --------------------------------------------------------------------------------------------------------------- blur


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of what is left when light and dark halves of the face are taken away: what identifies it."""
    fine = [
        g - cv2.GaussianBlur(g, (0, 0), 12)
        for g in (cv2.cvtColor(p, cv2.COLOR_BGR2GRAY).astype(np.float32) for p in (a, b))
    ]
    return float(np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1] * fine[1].std() / fine[0].std())


def test_a_blurred_face_is_no_longer_found_nor_recognised() -> None:
    from emotion.faces import images as faces

    image, found = _two_people((640, 480), seed=1)
    blurred = Blur().annotate(image.copy(), found)
    cascade = faces.load_cascade()
    assert faces.detect(cascade, image)
    assert not faces.detect(cascade, blurred)
    for face in found:
        box = face.box
        parts = [p[box.y : box.y + box.height, box.x : box.x + box.width] for p in (image, blurred)]
        assert _likeness(*parts) < 0.1
        assert _likeness(parts[0], parts[0]) == pytest.approx(1)


@pytest.mark.parametrize(
    "box", [Box(-60, -60, 120, 120), Box(0, 0, 640, 480), Box(620, 460, 300, 300), Box(5, 5, 1, 1)]
)
def test_blur_reaches_to_the_border_and_leaves_the_rest(box: Box) -> None:
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    blurred = Blur().annotate(image.copy(), [_face(box)])
    changed = _changed(image, blurred)
    x0, y0, x1, y1 = max(0, box.x), max(0, box.y), min(640, box.x + box.width), min(480, box.y + box.height)
    assert changed[y0:y1, x0:x1].mean() > 0.9 or box.width == 1
    if x1 - x0 > 20:
        assert blurred[y0:y1, x0:x1].std() < 0.35 * image.std()
    beyond = np.ones((480, 640), bool)
    beyond[
        max(0, box.y - box.height // 2) : y1 + box.height // 2, max(0, box.x - box.width // 2) : x1 + box.width // 2
    ] = False
    assert not changed[beyond].any()


def test_blur_comes_before_what_is_drawn() -> None:
    image, found = _two_people((640, 480), seed=1)
    plain, blurred = (compose(EMOTIONS, rate=False, blur=b)(image, found) for b in (False, True))
    spy = _Spy()
    Overlay([Labels(spy)], spy)(image, found)
    for box in spy.placed["plate"]:
        here = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
        assert np.array_equal(plain[here], blurred[here])
