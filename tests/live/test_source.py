from __future__ import annotations

import socket
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion.errors import UserError
from emotion.live import source
from emotion.live.source import frames, opened


def _video(path: Path, rate: float, count: int, size: tuple[int, int] = (64, 48)) -> Path:
    codec = {".mp4": "mp4v", ".avi": "MJPG"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, size)
    for i in range(count):
        writer.write(np.full((size[1], size[0], 3), 10 * i % 250, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_video_frames_come_in_order_with_their_own_times(tmp_path: Path, ending: str) -> None:
    path = _video(tmp_path / f"clip{ending}", 20.0, 12)
    with opened(path) as stream:
        assert (stream.kind, stream.rate) == ("video", 20.0)
        got = list(stream.frames)
    assert [f.index for f in got] == list(range(12))
    assert [f.time for f in got] == pytest.approx([i / 20 for i in range(12)], abs=1e-3)
    assert [f.image.mean() for f in got] == pytest.approx([10 * i for i in range(12)], abs=4)
    assert all(f.image.shape == (48, 64, 3) and f.image.dtype == np.uint8 for f in got)


def test_max_frames_ends_early_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(list(frames(_video(tmp_path / "clip.mp4", 20.0, 12), max_frames=5))) == 5
    assert not caplog.records


def test_a_path_may_be_a_number_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _video(tmp_path / "clip.avi", 10.0, 3).rename(tmp_path / "7")
    assert len(list(frames("7"))) == 3


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp"])
def test_a_picture_is_one_frame_in_bgr(tmp_path: Path, ending: str) -> None:
    red = np.zeros((30, 40, 3), np.uint8)
    red[..., 2] = 255
    path = tmp_path / f"red.{ending}"
    cv2.imwrite(str(path), red)
    with opened(path) as stream:
        (frame,) = stream.frames
        assert stream.kind == "picture"
    assert (frame.index, frame.time) == (0, 0.0)
    assert np.abs(frame.image.astype(int) - red).max() <= 2


def test_a_size_change_mid_stream_is_survived(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = [(48, 64)] * 4 + [(96, 128)] * 4
    pictures = [rng.integers(0, 255, (*size, 3), np.uint8) for size in sizes]
    path = tmp_path / "sizes.mjpeg"  # nothing but JPEG files, one after the other
    path.write_bytes(b"".join(cv2.imencode(".jpg", p)[1].tobytes() for p in pictures))
    assert len(list(frames(path))) == len(sizes)


def test_a_damaged_video_ends_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _video(tmp_path / "clip.mp4", 10.0, 40)
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[(start + end) // 2 : end] = bytes(end - (start + end) // 2)
    path.write_bytes(data)
    assert 0 < len(list(frames(path))) < 36
    assert "may be damaged" in caplog.text
    assert "40" in caplog.text


def _not_video(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    return path


def _cut_jpeg(path: Path) -> Path:
    data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8))[1].tobytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def _text(path: Path) -> Path:
    path.write_text("not a video\n" * 100)  # FFmpeg would render it as one
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda p: p, "missing.mp4", "no such file"),
        (lambda p: p.parent, "folder", "is a folder"),
        (_not_video, "noise.mp4", "not a video or picture"),
        (_empty, "empty.mp4", "not a video or picture"),
        (_text, "notes.txt", "not a video or picture"),
        (_cut_jpeg, "cut.jpg", "truncated"),
    ],
)
def test_what_is_no_source_is_refused(tmp_path: Path, make, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        next(frames(make(tmp_path / name)))


@pytest.mark.parametrize("number", [97, "97"])
def test_a_camera_that_is_not_there_is_refused_with_the_next_step(number: int | str, capfd) -> None:
    with pytest.raises(UserError, match=r"no camera 97 here.*source="):
        next(frames(number))
    assert capfd.readouterr().err == ""  # OpenCV's own warnings would bury the message


@pytest.mark.parametrize("value", [-1, True, None])
def test_odd_values_are_refused(value) -> None:
    with pytest.raises(UserError, match="source"):
        next(frames(value))


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "TIMEOUT_MSEC", 300)
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and never says a word
        url = f"http://127.0.0.1:{server.getsockname()[1]}/clip.mp4"
        with pytest.raises(UserError, match=r"gave no video within 0\.3 seconds"):
            next(frames(url))
