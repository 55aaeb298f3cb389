from __future__ import annotations

from pathlib import Path
from random import Random

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.video import image_files
from emotion.video.frame import Unreadable
from emotion.video.source import frames, opened


def _picture(path: Path, value: int = 90, size: tuple[int, int] = (30, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), value, np.uint8))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures 1 to 12 as bright as their number says, of changing size, one of them cut off; and other things."""
    root = tmp_path / "pictures"
    for i in range(1, 13):
        _picture(root / f"face{i}.png", 10 * i, (20 + i, 30))
    cut = root / "face7.png"
    cut.write_bytes(cut.read_bytes()[:-20])
    (root / "notes.txt").write_text("not a picture")
    _picture(root / ".hidden.png")
    _picture(root / "below" / "face99.png", 200)
    return root


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp"])
def test_a_picture_is_one_frame_in_bgr(tmp_path: Path, ending: str) -> None:
    red = np.zeros((30, 40, 3), np.uint8)
    red[..., 2] = 255
    path = tmp_path / f"red.{ending}"
    cv2.imwrite(str(path), red)
    with opened(path) as stream:
        (frame,) = stream.frames
        assert (stream.kind, stream.total, stream.independent, stream.live) == ("pictures", 1, True, False)
    assert (frame.index, frame.time, frame.name) == (0, 0.0, None)
    assert np.abs(frame.image.astype(int) - red).max() <= 2


def test_a_folder_is_read_in_natural_order_past_what_is_damaged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(folder) as stream:
        assert (stream.kind, stream.total, stream.rate) == ("pictures", 12, 1.0)
        got = list(stream.frames)
    numbers = [i for i in range(1, 13) if i != 7]
    assert [f.name for f in got] == [f"face{i}.png" for i in numbers]
    assert [f.image.mean() for f in got] == [10 * i for i in numbers]
    assert [f.index for f in got] == [i - 1 for i in numbers]
    assert [f.time for f in got] == [i - 1 for i in numbers]
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder}: 1 image in folders below it is left out (in below). "
        f"To label them too, give a glob: source='{folder}/**/*.png'",
        f"{folder / 'face7.png'}: skipped, truncated",
    ]
    assert stream.unreadable == [Unreadable(6, "face7.png", "truncated")]


@pytest.mark.parametrize("name", ["cut.gif", "cut.png"])
def test_of_an_animation_that_is_cut_off_the_frames_before_are_read(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 40, 30, 3), np.uint8)
    first, *rest = (PIL.Image.fromarray(picture) for picture in noise)
    first.save(tmp_path / name, save_all=True, append_images=rest, duration=50)
    whole = (tmp_path / name).read_bytes()
    for share, at_least in ((0.6, 3), (0.2, 1)):
        caplog.clear()
        (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
        with opened(tmp_path / name) as stream:
            assert stream.rate == pytest.approx(20, rel=0.1)
            got = list(stream.frames)
        assert at_least <= len(got) < 8
        assert f"ended after frame {len(got) - 1}: " in caplog.text


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("face1*.png", ["face1.png", "face10.png", "face11.png", "face12.png"]),
        ("face[89].png", ["face8.png", "face9.png"]),
        ("**/face9*.png", ["below/face99.png", "face9.png"]),
        ("b*/face??.png", ["below/face99.png"]),
    ],
)
def test_a_glob_names_its_pictures(folder: Path, pattern: str, names: list[str]) -> None:
    assert [f.name for f in frames(f"{folder}/{pattern}")] == names


def test_a_glob_is_seen_from_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert [f.name for f in frames("*/face2.png")] == ["pictures/face2.png"]


def test_a_file_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    assert len(list(frames(_picture(tmp_path / "face[1].png")))) == 1


def test_stride_and_max_frames_count_pictures(folder: Path) -> None:
    with opened(folder, stride=3, max_frames=3) as stream:
        assert stream.total == 3
        assert [f.name for f in stream.frames] == ["face1.png", "face4.png", "face10.png"]


def test_many_unreadable_pictures_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for i in range(image_files.MOST_REPORTED + 5):
        (tmp_path / f"{i}.jpg").write_bytes(b"\xff\xd8 no more")
    _picture(tmp_path / "whole.jpg")
    assert len(list(frames(tmp_path))) == 1
    assert len(caplog.records) == image_files.MOST_REPORTED + 1
    assert "15 of 16 images could not be read" in caplog.text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("empty", "no image in the folder"),
        ("empty/*.png", "matches no file"),
        ("nowhere/*.png", "there is no folder '.*nowhere'"),
        ("damaged", "none of the 2 files of .* is an image that can be read"),
        ("damaged/*", "none of the 2 files of .* is an image that can be read"),
        ("[", "matches no file"),
        ("a**b/*.png", "not a glob|matches no file"),
    ],
)
def test_what_holds_no_picture_is_refused(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    for name in ("a.png", "b.jpg"):
        (tmp_path / "damaged" / name).write_bytes(b"\x89PNG and no more")
    with pytest.raises(UserError, match=message):
        list(frames(f"{tmp_path}/{source}"))


@pytest.mark.parametrize("source", ["", "*.png", "face1.png"])
def test_pictures_do_not_start_again(folder: Path, source: str) -> None:
    with pytest.raises(UserError, match="loop: only for video files"), opened(folder / source, loop=True):
        pass


@given(st.lists(st.integers(0, 10**6), unique=True), st.text(st.characters(codec="utf-8"), max_size=5))
def test_numbers_sort_by_their_value(numbers: list[int], stem: str) -> None:
    names = [f"{stem}_{n}.png" for n in numbers]
    assert sorted(names, key=image_files.natural) == [f"{stem}_{n}.png" for n in sorted(numbers)]


@given(st.lists(st.text(max_size=8), unique=True), st.randoms(use_true_random=False))
def test_any_names_have_one_order(names: list[str], random: Random) -> None:
    shuffled = random.sample(names, len(names))
    assert sorted(names, key=image_files.natural) == sorted(shuffled, key=image_files.natural)
