from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.errors import UserError
from emotion.faces import Box
from emotion.labels import EMOTIONS
from emotion.live import sinks
from emotion.live.classifier import Face
from emotion.live.sinks import Lines, Video
from emotion.live.source import Frame, frames

FACE = Face(Box(3, 4, 20, 21), "happy", 0.4, (0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1))


def _picture(height: int = 48, width: int = 64, value: int = 200) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "OUT.MP4", "wörter und mehr.mp4"])
def test_video_has_every_frame_its_size_and_its_rate(tmp_path: Path, name: str) -> None:
    with Video(tmp_path / name, 12.5) as sink:
        for i in range(9):
            assert sink.write(Frame(i, i / 12.5, _picture()), [], _picture(value=20 * i))
    got = list(frames(tmp_path / name))
    assert [f.image.mean() for f in got] == pytest.approx([20 * i for i in range(9)], abs=4)
    assert got[0].image.shape == (48, 64, 3)
    assert cv2.VideoCapture(str(tmp_path / name)).get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)


def test_a_frame_of_another_size_is_fitted_into_the_first(tmp_path: Path) -> None:
    with Video(tmp_path / "out.avi", 10) as sink:
        for i, (height, width) in enumerate([(48, 64), (48, 32), (200, 300), (1, 1)]):
            sink.write(Frame(i, i / 10, _picture()), [], _picture(height, width))
    got = [f.image for f in frames(tmp_path / "out.avi")]
    assert [g.shape for g in got] == [(48, 64, 3)] * 4
    assert got[1][:, 20:44].mean() > 190  # the picture in the middle
    assert got[1][:, :12].mean() < 10  # black beside it


@given(st.integers(1, 300), st.integers(1, 300), st.integers(16, 200), st.integers(16, 200))
def test_fitting_keeps_the_proportions(height: int, width: int, to_height: int, to_width: int) -> None:
    fitted = sinks._fit(_picture(height, width), (to_width, to_height))
    assert fitted.shape == (to_height, to_width, 3)
    rows, columns = np.flatnonzero(fitted.any(axis=(1, 2))), np.flatnonzero(fitted.any(axis=(0, 2)))
    assert len(rows) == to_height or len(columns) == to_width
    scale = min(to_height / height, to_width / width)
    assert abs(len(rows) - height * scale) <= 1
    assert abs(len(columns) - width * scale) <= 1


def test_a_recording_of_a_slow_camera_keeps_its_time(tmp_path: Path) -> None:
    with Video(tmp_path / "out.mp4", 30, steady=True) as sink:
        for i in range(10):
            sink.write(Frame(i, i / 10, _picture()), [], _picture(value=20 * i))
    assert len(list(frames(tmp_path / "out.mp4"))) == 28  # 0.9 s and the first frame


def test_a_recording_of_a_fast_camera_keeps_its_time(tmp_path: Path) -> None:
    with Video(tmp_path / "out.mp4", 10, steady=True) as sink:
        for i in range(60):
            sink.write(Frame(i, i / 60, _picture()), [], _picture())
    assert len(list(frames(tmp_path / "out.mp4"))) == 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.mkv", r"must end in \.mp4 or \.avi"),
        ("out", r"must end in \.mp4 or \.avi"),
        ("missing/out.mp4", "no such folder.*mkdir -p"),
        ("folder.mp4", "is a folder"),
    ],
)
def test_a_video_that_cannot_be_is_refused_before_the_first_frame(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UserError, match=message):
        Video(tmp_path / name, 25)


def test_a_missing_codec_is_not_a_silent_no_op(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sinks.CODECS, ".mp4", "????")  # no encoder has this name
    with pytest.raises(UserError, match=r"cannot write .* with codec"), Video(tmp_path / "out.mp4", 25) as sink:
        sink.write(Frame(0, 0.0, _picture()), [], _picture())


def test_tiny_frames_are_refused_before_the_encoder_aborts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too small"), Video(tmp_path / "out.mp4", 25) as sink:
        sink.write(Frame(0, 0.0, _picture(3, 3)), [], _picture(3, 3))


@pytest.mark.slow
def test_a_full_disk_is_noticed(tmp_path: Path) -> None:
    """A process that may write 20 kB to a file stands for a full disk: OpenCV swallows both."""
    code = (
        "import resource, sys; import numpy as np\n"
        "from emotion.errors import UserError; from emotion.faces import Box\n"
        "from emotion.live.classifier import Face\n"
        "from emotion.live.sinks import Lines, Video; from emotion.live.source import Frame\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)\n"
        "face = Face(Box(1, 2, 3, 4), 'happy', 0.5, (0.5, 0.5))\n"
        "for sink in (Video(sys.argv[1], 25), Lines(sys.argv[2], ('happy', 'sad'))):\n"
        "    try:\n"
        "        with sink:\n"
        "            for i in range(300): sink.write(Frame(i, i / 25, noise), [face], noise)\n"
        "    except UserError as error: print(error)\n"
    )
    video, log = tmp_path / "out.mp4", tmp_path / "faces.jsonl"
    done = subprocess.run([sys.executable, "-c", code, str(video), str(log)], capture_output=True, text=True)
    assert f"save: '{video}' could not be written whole" in done.stdout, done.stderr
    assert f"log: cannot write '{log}'" in done.stdout, done.stderr
    lines = log.read_text().splitlines(keepends=True)
    assert [json.loads(line)["frame"] for line in lines] == list(range(len(lines)))
    assert lines[-1].endswith("\n")


def test_lines_are_one_json_object_a_face_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "faces.jsonl"
    with Lines(path, EMOTIONS) as sink:
        for i, count in enumerate([1, 0, 2]):
            sink.write(Frame(i, i / 8, _picture()), [FACE] * count, _picture())
            text = path.read_text()  # flushed, whole lines only
            assert text.endswith("\n")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [r["frame"] for r in records] == [0, 2, 2]
    assert records[1] == {
        "frame": 2,
        "time": 0.25,
        "box": [3, 4, 20, 21],
        "label": "happy",
        "confidence": 0.4,
        "probabilities": dict(zip(EMOTIONS, FACE.probabilities, strict=True)),
    }


@pytest.mark.parametrize(("name", "message"), [("no/faces.jsonl", "no such folder"), (".", "is a folder")])
def test_a_log_that_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Lines(tmp_path / name, EMOTIONS)


def test_a_log_on_a_full_disk_is_an_error_not_a_traceback() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(UserError, match="No space left"), Lines("/dev/full", EMOTIONS) as sink:
        sink.write(Frame(0, 0.0, _picture()), [FACE], _picture())


def test_a_machine_without_a_display_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux says by its environment whether there is a display")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UserError, match=r"display: .*(no display|without windows).*display=none save="):
        sinks.Window()


def test_a_build_without_windows_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "\n  GUI:                           NONE\n")
    assert "without windows" in str(sinks.no_window())


@pytest.mark.slow
def test_a_display_that_does_not_answer_is_no_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("X11")
    monkeypatch.setenv("DISPLAY", ":7357")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert sinks.no_window() is not None


class _Screen:
    """What a window sink sees of OpenCV: keys that come, and whether the window is still there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, keys: list[int], visible: float = 1.0) -> None:
        self.keys, self.shown, self.waits = keys, 0, []
        monkeypatch.setattr(sinks, "no_window", lambda: None)
        for name in ("namedWindow", "resizeWindow", "destroyAllWindows"):
            monkeypatch.setattr(cv2, name, lambda *_: None)
        monkeypatch.setattr(cv2, "imshow", self._show)
        monkeypatch.setattr(cv2, "waitKey", self._wait)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: visible)

    def _show(self, name: str, image: np.ndarray) -> None:
        self.shown += 1

    def _wait(self, milliseconds: int) -> int:
        self.waits.append(milliseconds)
        return self.keys.pop(0) if self.keys else -1


@pytest.mark.parametrize(("key", "goes_on"), [(-1, True), (ord("x"), True), (ord("q"), False), (27, False)])
def test_q_and_escape_end_the_loop(monkeypatch: pytest.MonkeyPatch, key: int, goes_on: bool) -> None:
    _Screen(monkeypatch, [key])
    with sinks.Window() as window:
        assert window.write(Frame(0, 0.0, _picture()), [], _picture()) is goes_on


def test_closing_the_window_ends_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    _Screen(monkeypatch, [], visible=0.0)
    with sinks.Window() as window:
        assert window.write(Frame(0, 0.0, _picture()), [], _picture()) is False


def test_a_picture_stays_until_a_key_or_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = _Screen(monkeypatch, [-1, -1, -1, ord("q")])
    with sinks.Window(hold=True) as window:
        assert window.write(Frame(0, 0.0, _picture()), [], _picture()) is False
    assert len(screen.waits) == 4
    screen.waits.clear()
    with sinks.Window(hold=True, stopped=lambda: len(screen.waits) >= 2) as window:
        window.write(Frame(0, 0.0, _picture()), [], _picture())
    assert len(screen.waits) == 2


def test_a_file_plays_at_its_own_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = _Screen(monkeypatch, [])
    with sinks.Window(pace=True) as window:
        window.write(Frame(0, 0.0, _picture()), [], _picture())
        window.write(Frame(1, 30.0, _picture()), [], _picture())
    assert screen.waits[0] == 1
    assert 1000 < screen.waits[1] <= 30_000  # it is early by nearly all of the 30 seconds
