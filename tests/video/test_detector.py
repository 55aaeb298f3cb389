"""The fast search against OpenCV's own search of every whole frame."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion import load
from emotion.base.errors import UserError
from emotion.config import commands
from emotion.data import synthetic
from emotion.faces import images
from emotion.faces.images import Box, Image, overlap
from emotion.video.detector import VIDEO_MIN_SIZE, Detector
from emotion.video.source import frames
from tests.helpers.tiers import rest_nightly

EXACT = commands.Detector(mode="exact")

boxes = st.builds(Box, st.integers(-50, 200), st.integers(-50, 200), st.integers(1, 150), st.integers(1, 150))


def _agreement(pictures: Sequence[Image], settings: commands.Detector | None = None) -> tuple[float, float]:
    """Share of the exact search's faces that are found, and faces beyond them as a share of them."""
    fast, exact = Detector(settings), Detector(EXACT)
    found = beyond = total = 0
    for picture in pictures:
        wanted, given_out = exact(picture), fast(picture)
        left, pairs = list(given_out), 0
        for box in wanted:
            match = next((other for other in left if overlap(box, other) >= 0.5), None)
            if match is not None:
                left.remove(match)
                pairs += 1
        found, beyond, total = found + pairs, beyond + len(given_out) - pairs, total + len(wanted)
    assert total, "nothing to compare"
    return found / total, beyond / total


@given(boxes, boxes)
def test_overlap_is_the_share_of_pixels_in_both(a: Box, b: Box) -> None:
    canvas = np.zeros((2, 420, 420), bool)
    for layer, box in zip(canvas, (a, b), strict=True):
        layer[box.y + 60 : box.y + 60 + box.height, box.x + 60 : box.x + 60 + box.width] = True
    expected = (canvas[0] & canvas[1]).sum() / (canvas[0] | canvas[1]).sum()
    assert overlap(a, b) == pytest.approx(expected)
    assert overlap(b, a) == overlap(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clip", "height", "least"),
    rest_nightly(
        [("single_face.mp4", 360, 0.98), ("single_face.mp4", 720, 0.98), ("short_hamilton_clip.mp4", 360, 0.9)]
    ),
)
def test_agrees_with_the_exact_search_on_real_video(shared: Path, clip: str, height: int, least: float) -> None:
    size = height * 16 // 9, height
    pictures = [cv2.resize(f.image, size, interpolation=cv2.INTER_CUBIC) for f in frames(shared / "media" / clip)]
    found, beyond = _agreement(pictures)  # type: ignore[arg-type]
    assert found >= least
    assert beyond <= 0.05


@pytest.mark.slow
def test_agrees_with_the_exact_search_on_drawn_faces(drawn) -> None:
    found, beyond = _agreement([frame.image for frame in frames(drawn[0])])
    assert found >= 0.9
    assert beyond <= 0.05


@pytest.mark.slow
def test_exact_mode_is_the_search_of_every_whole_frame(drawn) -> None:
    detector, cascade = Detector(EXACT), images.load_cascade()
    for frame in frames(drawn[0], 5):
        assert detector(frame.image) == images.detect(cascade, frame.image, min_size=VIDEO_MIN_SIZE)


@pytest.fixture(scope="module")
def face() -> tuple[Image, Box]:
    image, box = synthetic.frame(1, 3, noise=0.3)
    assert Detector(EXACT)(image), "the picture is there to be found"
    return image, box


def test_a_cut_is_searched_whole_at_once(face: tuple[Image, Box]) -> None:
    image, box = face
    detector = Detector(commands.Detector(spread=100))
    assert detector(np.full_like(image, 5)) == []
    assert any(overlap(found, box) > 0.4 for found in detector(image))


def test_a_face_that_comes_without_a_cut_is_found_within_the_spread(face: tuple[Image, Box]) -> None:
    """The face fades in over the empty frame's own border, so that no frame differs much from the one before."""
    image, box = face
    empty = np.full_like(image, int(image.mean()))
    detector = Detector(commands.Detector(spread=4))
    for weight in np.linspace(0, 1, 12):
        detector(cv2.addWeighted(image, weight, empty, 1 - weight, 0))  # type: ignore[arg-type]
    assert any(overlap(found, box) > 0.4 for _ in range(16) for found in detector(image))


def test_a_lost_face_is_let_go(face: tuple[Image, Box]) -> None:
    """A face that fades out is not reported from memory, and nobody looks for it for ever."""
    image, _ = face
    empty = np.full_like(image, int(image.mean()))
    detector = Detector(commands.Detector(hold=3))
    assert detector(image)
    for weight in np.linspace(1, 0, 12):
        detector(cv2.addWeighted(image, weight, empty, 1 - weight, 0))  # type: ignore[arg-type]
    assert [detector(empty) for _ in range(6)] == [[]] * 6
    assert not detector._known


def test_a_change_of_size_is_a_cut(face: tuple[Image, Box]) -> None:
    image, _ = face
    detector = Detector()
    small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert detector.scan(image).is_cut
    assert not detector.scan(image).is_cut
    assert detector.scan(small).is_cut  # type: ignore[arg-type]
    assert detector.find(detector.scan(image)) == Detector()(image)


def test_reset_searches_the_next_frame_whole(face: tuple[Image, Box]) -> None:
    detector = Detector()
    detector(face[0])
    detector.reset()
    assert detector.scan(face[0]).is_cut


def test_frames_larger_than_the_working_size_are_scaled_and_boxes_scaled_back(face: tuple[Image, Box]) -> None:
    image, box = face
    large = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    detector = Detector(commands.Detector(working_size=max(image.shape)))
    scan = detector.scan(large)  # type: ignore[arg-type]
    assert max(scan.pyramid.gray.shape) == max(image.shape)
    expected = Box(3 * box.x, 3 * box.y, 3 * box.width, 3 * box.height)
    assert any(overlap(found, expected) > 0.4 for found in detector.find(scan))


@pytest.mark.parametrize("shape", [(1, 1), (10, 400), (24, 24), (30, 23), (2000, 25), (9000, 3)])
def test_pictures_too_small_for_a_face(shape: tuple[int, int]) -> None:
    detector = Detector()
    for value in (0, 5, 255):
        assert detector(np.full((*shape, 3), value, np.uint8)) == []


def test_grey_frames(face: tuple[Image, Box]) -> None:
    gray = cv2.cvtColor(face[0], cv2.COLOR_BGR2GRAY)
    assert Detector()(gray) == Detector()(face[0])  # type: ignore[arg-type]


@pytest.mark.slow
def test_scanning_and_finding_may_run_in_two_threads(drawn) -> None:
    """Each side has a cascade of its own; sharing one makes OpenCV fail or answer for the other's picture."""
    pictures = [frame.image for frame in frames(drawn[0])]
    alone = [detector(picture) for detector in [Detector()] for picture in pictures]
    for _ in range(3):
        detector = Detector()
        scans: list[Any] = []
        found: list[Any] = []
        begun = threading.Semaphore(0)

        def scan(detector=detector, scans=scans, begun=begun) -> None:
            for picture in pictures:
                scans.append(detector.scan(picture))
                begun.release()

        thread = threading.Thread(target=scan)
        thread.start()
        for i in range(len(pictures)):
            begun.acquire()
            found.append(detector.find(scans[i]))
        thread.join()
        assert found == alone


def test_a_lamp_is_no_cut(face: tuple[Image, Box]) -> None:
    """The frame is searched whole, for shadows may hide or show faces; but the people are those of the frame before."""
    image, _ = face
    detector = Detector()
    detector(image)
    brighter = cv2.add(image, np.array([30, 30, 30, 0], np.float64))
    scan = detector.scan(np.asarray(brighter, np.uint8))
    assert scan.whole
    assert not scan.is_cut
    other = detector.scan(image[::-1, ::-1])
    assert other.is_cut


@pytest.fixture(scope="module")
def group_photo(shared: Path) -> tuple[Image, list[Box]]:
    """2048x1536 pixels: five people of 32 to 60 pixels behind one of 384, and where the six faces are."""
    media, cascade = shared / "media", images.load_cascade()
    people = [
        (image, box)
        for name in ("multi_face.jpg", "obama_small.jpg", "grace_hopper.bmp")
        for image in [cv2.imread(str(media / name))]
        for box in images.detect(cascade, image)  # type: ignore[arg-type]
    ]
    *behind, (front, face) = people
    photo = cv2.resize(cv2.imread(str(media / "free-mountain-vector-01.jpg")), (2048, 1536))
    places = []
    for number, ((image, box), size) in enumerate(zip(behind, (60, 52, 45, 38, 32), strict=True)):
        x, y = 250 + 330 * number, 240 + 40 * (number % 2)
        head = cv2.resize(images.crop(image, box, 0.5), (2 * size, 2 * size), interpolation=cv2.INTER_AREA)  # type: ignore[arg-type]
        photo[y : y + 2 * size, x : x + 2 * size] = head
        places.append(Box(x + size // 2, y + size // 2, size, size))
    larger = cv2.resize(front, None, fx=1.7, fy=1.7)
    top = 1536 - larger.shape[0]
    photo[top:, 600 : 600 + larger.shape[1]] = larger
    x, y, side = (round(1.7 * value) for value in (face.x, face.y, face.width))
    return photo, [*places, Box(600 + x, top + y, side, side)]  # type: ignore[return-value]


def _found(boxes: Sequence[Box], places: Sequence[Box]) -> list[bool]:
    return [any(overlap(box, place) > 0.4 for box in boxes) for place in places]


@pytest.mark.slow
def test_an_image_is_searched_for_the_people_behind_and_video_for_who_is_in_front(
    group_photo: tuple[Image, list[Box]],
) -> None:
    photo, places = group_photo
    assert _found(Detector(still=True)(photo), places) == [True] * 6
    assert _found(Detector()(photo), places) == [False] * 5 + [True]
    assert _found(Detector(commands.Detector(min_size=0.1), still=True)(photo), places) == [False] * 5 + [True]


@pytest.mark.slow
def test_a_photo_by_its_path_and_a_frame_of_video(group_photo: tuple[Image, list[Box]], tmp_path: Path) -> None:
    photo, places = group_photo
    assert cv2.imwrite(str(tmp_path / "group.png"), photo)
    model = load("pretrained")
    (answer,) = model.predict(tmp_path / "group.png")
    assert _found([face.box for face in answer], places) == [True] * 6
    assert _found([face.box for face in model.session().step(photo, 0.0)], places) == [False] * 5 + [True]


def test_tiny_images_are_searched_as_before() -> None:
    image, box = synthetic.frame(3, 3)
    small = cv2.resize(images.crop(image, box, 0.5), (56, 56), interpolation=cv2.INTER_AREA)
    assert Detector(still=True)(small) == Detector()(small) != []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (commands.Detector(mode="exakt"), "detector.mode: 'exakt' is not one of fast, exact"),
        (commands.Detector(scale_factor=1.0), "detector.scale_factor: 1.0 is out of range"),
        (commands.Detector(spread=0), "detector.spread: 0 is out of range"),
        (commands.Detector(min_size="x"), "detector: Value 'x'"),  # type: ignore[arg-type]
    ],
)
def test_settings_are_checked(settings: commands.Detector, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Detector(settings)
