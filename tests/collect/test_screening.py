"""Which pictures pass, and how their faces are cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from emotion.collect.candidates import Candidate
from emotion.collect.screening import Crop, Screened, find, screen, sharpness
from emotion.data.fingerprint import hash_pixels
from emotion.faces import decoding, images
from emotion.faces.contract import Contract
from tests.helpers.bing_server import png_bomb
from tests.helpers.collected import SCREEN, drawn, write


def seen(path: Path, **changes: object) -> Screened:
    return screen(Candidate(str(path), "happy", "folder", path), replace(SCREEN, **changes))  # type: ignore[arg-type]


def reason(path: Path, **changes: object) -> str | None:
    """Why a picture with at most one face is refused."""
    result = seen(path, **changes)
    return result.reason or (None if isinstance(result.crops[0], Crop) else result.crops[0][1])


def test_a_face_is_cut_with_the_margin_and_written_without_loss(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", drawn(0))
    result = seen(path)
    (crop,) = result.crops
    assert isinstance(crop, Crop)
    expected = images.prepare(images.crop(drawn(0), crop.box, 0.1), SCREEN.contract)
    np.testing.assert_array_equal(decoding.decode(crop.png)[:, :, ::-1], expected)
    assert crop.pixels == hash_pixels(expected[:, :, ::-1])
    assert result.size == (400, 400)


def test_grey_crops_have_one_channel(tmp_path: Path) -> None:
    (crop,) = seen(write(tmp_path / "a.png", drawn(0)), contract=Contract(48, 48, "gray", 0.1)).crops
    assert isinstance(crop, Crop)
    raw = cv2.imdecode(np.frombuffer(crop.png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert raw.shape == (48, 48)
    assert crop.pixels == hash_pixels(decoding.decode(crop.png))  # as the folder will be read


def test_what_is_no_whole_picture_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.jpg", drawn(0)).read_bytes()
    contents = {
        "not an image": b"<html>Not found</html>",
        "unreadable: truncated": whole[: len(whole) // 2],
        "too many pixels (50000x50000)": png_bomb(50_000, 50_000),
        "no face": cv2.imencode(".png", np.full((300, 300, 3), 90, np.uint8))[1].tobytes(),
    }
    path = tmp_path / "b"
    for expected, content in contents.items():
        path.write_bytes(content)
        assert reason(path) == expected
    assert reason(tmp_path / "gone") == "unreadable: No such file or directory"


def test_small_and_blurred_faces_are_refused(tmp_path: Path) -> None:
    small = write(tmp_path / "small.png", cv2.resize(drawn(0), None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA))
    assert (reason(small) or "").startswith("face too small (")
    assert reason(small, min_face=24) is None
    blurred = write(tmp_path / "blurred.png", cv2.GaussianBlur(drawn(0), (0, 0), 4))
    assert (reason(blurred) or "").startswith("blurred (")
    assert reason(blurred, min_sharpness=0) is None


def test_turned_photos_are_read_upright(tmp_path: Path) -> None:
    """By their EXIF orientation, as cameras write it."""
    path = tmp_path / "turned.jpg"
    exif = Pillow.Exif()
    exif[0x0112] = 6  # to be turned right by 90 degrees
    turned = np.rot90(drawn(0)[:, :, ::-1])
    Pillow.fromarray(np.ascontiguousarray(turned)).save(path, exif=exif, quality=95)
    assert reason(path) is None
    Pillow.fromarray(np.ascontiguousarray(turned)).save(path, quality=95)
    assert reason(path) == "no face"


@pytest.mark.slow
def test_large_pictures_are_searched_small(tmp_path: Path) -> None:
    large = write(tmp_path / "large.png", cv2.resize(drawn(0), None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC))
    (box,), (small,) = find(decoding.read(large), SCREEN), find(drawn(0), SCREEN)
    scaled = images.Box(small.x * 6, small.y * 6, small.width * 6, small.height * 6)
    assert images.overlap(box, scaled) > 0.8


@pytest.mark.slow
def test_how_many_faces_are_taken(shared: Path) -> None:
    path = shared / "media" / "multi_face.jpg"
    assert seen(path).reason == "several faces (4)"
    largest = seen(path, faces="largest")
    assert len(largest.boxes) == 4
    assert [c.box for c in largest.crops if isinstance(c, Crop)] == [largest.boxes[0]]
    every = seen(path, faces="all")
    assert [c.box for c in every.crops if isinstance(c, Crop)] == list(every.boxes)


@pytest.mark.slow
def test_real_photos_are_sharp_and_their_blurred_copies_are_not(shared: Path) -> None:
    """How the default of min_sharpness was chosen: between sharp faces and those blurred by 3 % of their side."""
    for name in ("grace_hopper.bmp", "obama_small.jpg", "multi_face.jpg"):
        image = decoding.read(shared / "media" / name)
        for box in find(image, SCREEN):
            blurred = cv2.GaussianBlur(image, (0, 0), 0.03 * box.width)
            assert sharpness(image, box) > 5 * SCREEN.min_sharpness
            assert sharpness(blurred, box) < SCREEN.min_sharpness  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["free-mountain-vector-01.jpg"])
def test_a_picture_without_people_has_no_face(shared: Path, name: str) -> None:
    assert seen(shared / "media" / name).reason == "no face"
