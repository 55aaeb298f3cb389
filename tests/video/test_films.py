"""Films keep their shape and their times, whatever their container says; what holds no film is said."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emotion.base.errors import UserError
from emotion.faces.images import Image
from emotion.live import film
from emotion.live.saving import save_sink
from emotion.video import containers
from emotion.video.source import frames, opened
from tests.helpers import mp4


@pytest.fixture(params=[True, False], ids=["pyav", "opencv"])
def pyav(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With PyAV, and as if it were not installed."""
    if request.param:
        pytest.importorskip("av")
    else:
        monkeypatch.setattr(film, "can_write", lambda suffix: False)


def _saved(source: Path, target: Path, stride: int = 1) -> tuple[list[tuple[float, Image]], float]:
    """What is seen at which time of a film that was saved as it is, and how long it lasts."""
    with opened(source, stride=stride) as stream, save_sink(target, stream, stride) as sink:
        for frame in stream.frames:
            sink.write(frame, [], frame.image)
    capture = cv2.VideoCapture(str(target))
    seconds = capture.get(cv2.CAP_PROP_FRAME_COUNT) / capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return [(f.time, f.image) for f in frames(target)], seconds


@pytest.mark.parametrize(
    ("across", "down", "shape"),
    [(2, 1, (48, 128)), (1, 2, (96, 64)), (64, 45, (48, 91)), (8, 9, (54, 64)), (1, 1, (48, 64)), (100, 1, (48, 64))],
)
@pytest.mark.usefixtures("pyav")
def test_pixels_that_are_not_square(tmp_path: Path, across: int, down: int, shape: tuple[int, int]) -> None:
    path = mp4.film(tmp_path / "a.mp4", mp4.grey(5))
    mp4.pixel_shape(path, across, down)
    assert {f.image.shape[:2] for f in frames(path)} == {shape}
    ((_, image), *_), _ = _saved(path, tmp_path / "out.mp4")
    assert np.abs(np.subtract(image.shape[:2], shape)).max() <= 1  # encoders take even sides


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("across", [1, 2])
def test_rotation(tmp_path: Path, degrees: int, across: int) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:20, :28] = 255  # the upper left corner
    path = mp4.film(tmp_path / "a.mp4", [image] * 3)
    mp4.rotation(path, degrees)
    if across == 2:
        mp4.pixel_shape(path, 2, 1)
    wide = cv2.resize(image, (64 * across, 48))
    turn = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}[degrees]
    expected = cv2.rotate(wide, turn)
    for frame in frames(path):
        assert frame.image.shape == expected.shape
        assert np.abs(frame.image.astype(float) - expected).mean() < 8


@pytest.mark.parametrize("factor", [1, 2, 10])
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("ending", ["mp4", "webm", "avi"])
@pytest.mark.usefixtures("pyav")
def test_a_saved_film_has_its_source_s_times(tmp_path: Path, factor: int, stride: int, ending: str) -> None:
    """20 frames in the first second, and 10 that stand longer each."""
    path = mp4.film(tmp_path / "a.mp4", mp4.grey(30))
    mp4.slow_end(path, 20, 10, factor)
    source = [f for f in frames(path) if f.index % stride == 0]
    saved, seconds = _saved(path, tmp_path / f"out.{ending}", stride)
    for frame in source:
        at = min(saved, key=lambda pair: abs(pair[0] - frame.time))[1]
        assert abs(float(at.mean()) - float(frame.image.mean())) < 4 + 8 * (stride - 1), frame.time
    step = saved[1][0]
    assert abs(seconds - (1.0 + 0.5 * factor)) <= max(0.11, stride * step), "as long as its source"


@pytest.mark.parametrize("cover", [False, True])
def test_sound_alone(tmp_path: Path, cover: bool) -> None:
    picture = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes() if cover else None
    path = mp4.sound(tmp_path / "a.m4a", picture)
    with pytest.raises(UserError, match="it holds sound and no video"):
        list(frames(path))


@pytest.mark.parametrize("start", [b"ID3\4\0\0", b"fLaC", b"OggS\0", b"RIFF\0\1\0\0WAVEfmt ", b"\xff\xfb\x90\0"])
def test_sound_files_are_named(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(start + bytes(4000))
    with pytest.raises(UserError, match="it holds sound and no video"):
        list(frames(path))


def test_a_film_with_sound_is_a_film(shared: Path) -> None:
    assert next(iter(frames(shared / "media" / "short_hamilton_clip.mp4"))).image.size


def test_what_is_known_of_a_file_without_an_index_is_said_and_no_more(tmp_path: Path) -> None:
    path = mp4.film(tmp_path / "a.mp4", mp4.grey(30))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(UserError, match=r"its index .* is missing, as where a recording or a copy was cut off"):
        list(frames(path))


# ------------------------------------------------------------------------------------------------------ several tracks


def _film_with(path: Path, *tracks: tuple[str, int, int]) -> Path:
    """A file with a track for each codec, number of frames, and grey value of its frames."""
    av: Any = pytest.importorskip("av")
    with av.open(str(path), "w") as out:
        streams = []
        for codec, _, _ in tracks:
            stream = out.add_stream(codec, rate=20)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
            streams.append(stream)
        for stream, (_, count, grey) in zip(streams, tracks, strict=True):
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8), format="bgr24")
                frame.pts = number
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    return path


@pytest.mark.parametrize("ending", ["mkv", "mp4", "mov"])
def test_a_film_behind_pictures_is_found_and_said(
    tmp_path: Path, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    covers = [("mjpeg", 1, 200)] * (2 if ending == "mkv" else 1)
    path = _film_with(tmp_path / f"a.{ending}", *covers, ("libx264", 30, 60))
    before = path.read_bytes()
    for _ in range(2):
        seen = [f.image.mean() for f in frames(path)]
        assert len(seen) == 30
        assert seen == pytest.approx([60] * 30, abs=5)
    assert caplog.text.count("begins with a single picture, such as a cover; the film behind it is read") == 1
    assert path.read_bytes() == before


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_of_two_films_the_first_is_read_and_the_other_named(
    tmp_path: Path, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = _film_with(tmp_path / f"a.{ending}", ("libx264", 10, 60), ("libx264", 10, 200))
    assert next(iter(frames(path))).image.mean() == pytest.approx(60, abs=5)
    assert "holds 2 video tracks; the first is read. For another: ffmpeg" in caplog.text


def test_tracks_of_what_is_none_are_none(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    films = [_film_with(tmp_path / f"a.{ending}", ("libx264", 3, 60)).read_bytes() for ending in ("mkv", "mp4")]
    for number in range(200):
        data = np.frombuffer(films[number % 2], np.uint8).copy()
        data[draw.integers(0, min(len(data), 600), 4)] = draw.integers(0, 256, 4)
        path = tmp_path / "damaged"
        path.write_bytes(data[: draw.integers(1, len(data))].tobytes())
        assert len(containers.tracks(path)) < 5


def test_a_full_disk_says_how_to_take_the_film_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _film_with(tmp_path / "a.mkv", ("mjpeg", 1, 200), ("libx264", 30, 60))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UserError, match=r"(?s)No space left on device.*ffmpeg -i <file> -map 0:v:1"):
        list(frames(path))
