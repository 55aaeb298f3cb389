from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion.base.errors import UserError
from emotion.video import capture, reconnect, video_file
from emotion.video.source import frames, opened

pytestmark = pytest.mark.timeout(60)


def _video(path: Path, rate: float, count: int, size: tuple[int, int] = (64, 48)) -> Path:
    codec = {".mp4": "mp4v", ".avi": "MJPG"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, size)
    for i in range(count):
        writer.write(np.full((size[1], size[0], 3), 10 * i % 250, np.uint8))
    writer.release()
    return path


def _mess(path: Path, start: float, end: float) -> Path:
    """Overwrite a part of an MP4's frames, given by fractions of them."""
    data = bytearray(path.read_bytes())
    first, last = data.index(b"mdat") + 4, data.index(b"moov") - 4
    a, b = (round(first + part * (last - first)) for part in (start, end))
    data[a:b] = bytes(b - a)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_video_frames_come_in_order_with_their_own_times(tmp_path: Path, ending: str) -> None:
    path = _video(tmp_path / f"clip{ending}", 20.0, 12)
    with opened(path) as stream:
        assert (stream.kind, stream.rate, stream.total) == ("video", 20.0, 12)
        assert not stream.live
        assert not stream.independent
        got = list(stream.frames)
    assert [f.index for f in got] == list(range(12))
    assert [f.time for f in got] == pytest.approx([i / 20 for i in range(12)], abs=1e-3)
    assert [f.image.mean() for f in got] == pytest.approx([10 * i for i in range(12)], abs=4)
    assert all(f.image.shape == (48, 64, 3) and f.image.dtype == np.uint8 for f in got)


def test_max_frames_ends_early_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(_video(tmp_path / "clip.mp4", 20.0, 12), max_frames=5) as stream:
        assert stream.total == 5
        assert len(list(stream.frames)) == 5
    assert not caplog.records


def test_stride_keeps_the_index_and_time_of_the_source(tmp_path: Path) -> None:
    with opened(_video(tmp_path / "clip.mp4", 20.0, 11), stride=4) as stream:
        assert stream.total == 3
        got = list(stream.frames)
    assert [f.index for f in got] == [0, 4, 8]
    assert [f.time for f in got] == pytest.approx([0, 0.2, 0.4], abs=1e-3)
    assert [f.image.mean() for f in got] == pytest.approx([0, 40, 80], abs=4)


def test_a_looped_file_goes_on_at_an_even_pace(tmp_path: Path) -> None:
    with opened(_video(tmp_path / "clip.mp4", 20.0, 7), max_frames=10, stride=2, loop=True) as stream:
        assert stream.total == 10
        got = list(stream.frames)
    assert [f.index for f in got] == list(range(0, 20, 2))
    assert [f.time for f in got] == pytest.approx([i / 20 for i in range(0, 20, 2)], abs=1e-3)
    assert [f.image.mean() for f in got] == pytest.approx([10 * (i % 7) for i in range(0, 20, 2)], abs=4)


def test_a_looped_file_tells_its_damage_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _mess(_video(tmp_path / "clip.mp4", 10.0, 40), 0.5, 1)
    with opened(path, max_frames=90, loop=True) as stream:
        got = list(stream.frames)
    assert all(b.index > a.index and b.time > a.time for a, b in itertools.pairwise(got))
    assert len(caplog.records) == 1


def test_a_looped_file_that_goes_away_is_an_error_in_words(tmp_path: Path) -> None:
    path = _video(tmp_path / "clip.mp4", 10.0, 4)
    with opened(path, loop=True) as stream:
        next(stream.frames)
        path.unlink()
        with pytest.raises(UserError, match="No such file"):
            list(stream.frames)


def test_stride_must_be_a_count(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="stride: must be 1"), opened(tmp_path, stride=0):
        pass


def test_a_path_may_be_a_number_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _video(tmp_path / "clip.avi", 10.0, 3).rename(tmp_path / "7")
    assert len(list(frames("7"))) == 3


def test_a_name_with_a_colon_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such names")
    monkeypatch.chdir(tmp_path)
    _video(tmp_path / "clip.avi", 10.0, 3).rename(tmp_path / "12:30.avi")
    assert len(list(frames("12:30.avi"))) == 3
    assert len(list(frames(f"file://{tmp_path}/12:30.avi"))) == 3


def test_a_size_change_mid_stream_is_survived(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = [(48, 64)] * 4 + [(96, 128)] * 4
    pictures = [rng.integers(0, 255, (*size, 3), np.uint8) for size in sizes]
    path = tmp_path / "sizes.mjpeg"  # nothing but JPEG files, one after the other
    path.write_bytes(b"".join(cv2.imencode(".jpg", p)[1].tobytes() for p in pictures))
    assert len(list(frames(path))) == len(sizes)


def test_grey_frames_become_colour(tmp_path: Path) -> None:
    path = tmp_path / "grey.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48), isColor=False)
    for _ in range(3):
        writer.write(np.full((48, 64), 90, np.uint8))
    writer.release()
    assert [f.image.shape for f in frames(path)] == [(48, 64, 3)] * 3
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for image in (grey, grey[..., None]):
        assert (capture.bgr(image) == grey[..., None]).all()
        assert capture.bgr(image).shape == (3, 4, 3)


def test_a_damaged_end_is_told_with_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    got = list(frames(_mess(_video(tmp_path / "clip.mp4", 10.0, 40), 0.5, 1)))
    assert 0 < len(got) < 36
    assert f"ended after frame {got[-1].index} ({got[-1].time:.2f} s), though it announces 40 frames" in caplog.text


def test_a_damaged_middle_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _mess(_video(tmp_path / "clip.mp4", 10.0, 100), 0.4, 0.6)
    got = list(frames(path))
    lost = 100 - len(got)
    assert 0 < lost < 40
    assert got[-1].index == 99
    assert [f.time for f in got] == pytest.approx([f.index / 10 for f in got], abs=1e-3)
    assert f"{lost} damaged frames skipped" in caplog.text
    assert "ended after" not in caplog.text


def test_a_damaged_file_is_not_read_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_file, "MOST_FAILED", 3)
    path = _mess(_video(tmp_path / "clip.mp4", 10.0, 100), 0.4, 0.6)
    assert 0 < len(list(frames(path))) < 60


def test_a_truncated_avi_gives_what_is_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _video(tmp_path / "clip.avi", 10.0, 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 5 < len(list(frames(path))) < 30
    assert "ended after" in caplog.text


@pytest.mark.slow
def test_nobody_but_us_talks_of_damage(tmp_path: Path) -> None:
    path = _mess(_video(tmp_path / "clip.mp4", 10.0, 100), 0.4, 0.6)
    code = "import sys; from emotion.video.source import frames; print(len(list(frames(sys.argv[1]))))"
    environment = {k: v for k, v in os.environ.items() if k != "OPENCV_FFMPEG_LOGLEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, env=environment, check=True
    )
    assert 0 < int(done.stdout) < 100
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if "damaged frames skipped" in line]


def _not_video(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    return path


def _cut_jpeg(path: Path) -> Path:
    data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8))[1].tobytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def _cut_mp4(path: Path) -> Path:
    _video(path, 10.0, 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def _text(path: Path) -> Path:
    path.write_text("not a video\n" * 100)  # FFmpeg would render it as one
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda p: p, "missing.mp4", "no such file.*camera's number.*a folder or glob.*rtsp://"),
        (lambda p: p, "www.host/video", "no such file.*rtsp://"),
        (lambda p: p, "x" * 5000, "no such file"),
        (_not_video, "noise.mp4", "not a video or image.*convert it"),
        (_empty, "empty.mp4", "it is empty"),
        (_text, "notes.txt", "it is text"),
        (_cut_jpeg, "cut.jpg", "truncated"),
        (_cut_mp4, "cut.mp4", "index .*moov.* is missing.*Copy it again"),
        (_pipe, "pipe", "neither a file nor a folder"),
    ],
)
def test_what_is_no_source_is_refused(tmp_path: Path, make, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        next(frames(make(tmp_path / name)))


def test_a_mistyped_name_is_guessed(tmp_path: Path) -> None:
    _video(tmp_path / "hallway.mp4", 10.0, 3)
    with pytest.raises(UserError, match=r"Did you mean 'hallway.mp4'\?"):
        next(frames(tmp_path / "halway.mp4"))


@pytest.mark.parametrize("number", [97, "97", "/dev/video97"])
def test_a_camera_that_is_not_there_is_refused_with_the_next_step(number: int | str, capfd) -> None:
    there = capture.cameras()
    step = f"These answer: {there[0]}" if there else "No other camera answers.*source=clip.mp4"
    with pytest.raises(UserError, match=f"no camera 97 here.*{step}"):
        next(frames(number))
    assert capfd.readouterr().err == ""  # OpenCV's own warnings would bury the message


@pytest.mark.parametrize("value", [-1, True, None])
def test_odd_values_are_refused(value) -> None:
    with pytest.raises(UserError, match="source"):
        next(frames(value))


class _Camera:
    """A camera that is unplugged and comes back: real captures of files that end, or None where opening fails."""

    def __init__(self, *captures: cv2.VideoCapture | None) -> None:
        self.captures, self.attempts = list(captures), 0

    def __call__(self) -> cv2.VideoCapture | None:
        self.attempts += 1
        return self.captures.pop(0) if self.captures else None


def _at_its_end(path: Path) -> cv2.VideoCapture:
    opened_file = capture.file(path)
    while opened_file.grab():
        pass
    return opened_file


@pytest.mark.slow
def test_a_camera_that_comes_back_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnect, "FIRST_WAIT", 0.01)
    first, second = _video(tmp_path / "a.avi", 20, 5), _video(tmp_path / "b.avi", 20, 4, (96, 64))
    # It fails to open twice, then opens and gives nothing, then is there again, and then never more.
    camera = _Camera(None, None, _at_its_end(first), capture.file(second))
    worker = reconnect.Worker(lambda: False)
    got = list(reconnect.read(capture.file(first), camera, "camera 0", worker, 1, 0.5))
    assert [f.index for f in got] == list(range(9))
    assert [f.image.shape[:2] for f in got] == [(48, 64)] * 5 + [(64, 96)] * 4
    assert all(b.time >= a.time for a, b in itertools.pairwise(got))
    assert camera.attempts > 4
    assert not camera.captures
    messages = [record.getMessage() for record in caplog.records]
    assert "nothing came after frame 4" in messages[0]
    assert "back after" in messages[1]
    assert "did not come back within 0.5 s; ended after frame 8" in messages[-1]


def test_a_camera_that_never_gave_a_frame_is_an_error(tmp_path: Path) -> None:
    live = _at_its_end(_video(tmp_path / "a.avi", 20, 2))
    with pytest.raises(UserError, match="camera 0 was opened, but gave no frame"):
        list(reconnect.read(live, lambda: None, "camera 0", reconnect.Worker(lambda: False), 1, 9.0))


def test_who_asks_to_stop_need_not_wait_for_a_camera(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    live = capture.file(_video(tmp_path / "a.avi", 20, 3))

    def stopped() -> bool:
        return "trying to reach it again" in caplog.text

    got = list(reconnect.read(live, lambda: None, "camera 0", reconnect.Worker(stopped), 1, 10_000.0))
    assert len(got) == 3
    assert "did not come back" not in caplog.text
