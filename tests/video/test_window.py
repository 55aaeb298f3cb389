"""The window under a real X server, with real keys and screenshots; and why there may be none."""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from emotion.base.errors import UserError
from emotion.video import window_probe
from emotion.video.window import Window, save_snapshot
from emotion.video.window_probe import gui
from tests.helpers.pictures import read_picture
from tests.helpers.xvfb import PATIENCE, Screen, screen, until

# Shows frames whose blue says how old the source is, in steps of 1/20 s, and whose green says their number.
CHILD = """
import json, logging, signal, sys, time
import numpy as np
from emotion.video.frame import Frame
from emotion.video.window import Window

options = json.loads(sys.argv[1])
sizes = options.pop("sizes", [[360, 640]])
count = options.pop("count", 100000)
rate = options.pop("rate", 20)
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
asked = []
signal.signal(signal.SIGINT, lambda *_: asked.append(1))
started, shown = time.monotonic(), 0
with Window(stopped=lambda: bool(asked), **options) as window:
    for number in range(count):
        picture = np.empty((*sizes[min(number, len(sizes) - 1)], 3), np.uint8)
        picture[:] = int((time.monotonic() - started) * 20) % 250, number % 250, 99
        kept = picture.copy()
        go_on = window.write(Frame(number, number / rate, picture), [], picture)
        assert (picture == kept).all(), "the window drew on the frame that others save"
        shown += 1
        if not go_on:
            break
print("ended", go_on, shown, time.monotonic() - started, flush=True)
"""


@pytest.fixture(scope="module")
def desk() -> Iterator[Screen]:
    with screen() as found:
        yield found


class _Show:
    """A process that shows frames, and what it said when it has ended."""

    def __init__(self, desk: Screen, options: str) -> None:
        line = [sys.executable, "-c", CHILD, options]
        self._process = subprocess.Popen(
            line, env=desk.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid

    def check(self) -> None:
        assert self._process.poll() is None, self._process.communicate()

    def end(self) -> str:
        try:
            out, error = self._process.communicate(timeout=PATIENCE)
        finally:
            self._process.kill()
        assert self._process.returncode == 0, error
        assert error == ""  # neither Qt nor OpenCV says a word
        return out


@pytest.fixture
def show(desk: Screen) -> Iterator[object]:
    started: list[_Show] = []

    def start(options: str = "{}") -> tuple[_Show, str]:
        started.append(_Show(desk, options))
        return started[-1], desk.window("emotion", started[-1].check, lambda shot: bool(shot[5, 5, 2] == 99))

    yield start
    for one in started:
        one._process.kill()
        one._process.communicate()


def _age(desk: Screen) -> int:
    return int(desk.shot()[5, 5, 0])


def _number(desk: Screen) -> int:
    return int(desk.shot()[5, 5, 1])


def _text_on(shot: np.ndarray, where: tuple[slice, slice]) -> bool:
    """Whether there are white letters on a dark panel."""
    part = shot[where]
    return bool((part.min(axis=2) > 200).sum() > 30 and (part.max(axis=2) < 40).sum() > 300)


MIDDLE, FOOT = np.s_[80:270, 150:490], np.s_[300:360, 100:540]


@pytest.mark.slow
@pytest.mark.parametrize("key", ["q", "Escape", "shift+q", "close"])
def test_keys_and_the_cross_end_it(desk: Screen, show, key: str) -> None:
    process, number = show()
    if key == "close":
        desk.close(number)
    else:
        desk.press(key)
    assert process.end().startswith("ended False")
    assert not desk.xdotool("search", "--onlyvisible", "--name", "^emotion$")


@pytest.mark.slow
def test_other_keys_do_nothing(desk: Screen, show) -> None:
    process, _ = show()
    for key in ("x", "Left", "Down", "Tab", "F1"):  # the lower byte of Left is Q
        desk.press(key)
    before = _age(desk)
    until(lambda: _age(desk) != before, "frames that go on")
    desk.press("q")
    process.end()


@pytest.mark.slow
def test_space_pauses_while_the_source_goes_on(desk: Screen, show) -> None:
    process, _ = show()
    until(lambda: not _text_on(desk.shot(), FOOT), "the first message to go")
    desk.press("space")
    until(lambda: _text_on(desk.shot(), FOOT), "the word 'paused'")
    still = desk.shot()
    for _ in range(5):
        assert np.array_equal(desk.shot(), still)
    desk.press("n")
    stepped = until(lambda: (number := _number(desk)) != still[5, 5, 1] and number, "the next frame")
    assert (stepped - int(still[5, 5, 1])) % 250 == 1
    assert _number(desk) == stepped  # and it stands still again
    desk.press("space")
    until(lambda: _number(desk) not in (stepped, stepped + 1), "frames that go on")
    assert not _text_on(desk.shot(), FOOT)
    desk.press("space")
    until(lambda: _text_on(desk.shot(), FOOT), "the word 'paused'")
    desk.press("q")  # keys are heard in a pause
    assert process.end().startswith("ended False")


@pytest.mark.slow
@pytest.mark.parametrize("options", ['{"hold": true}', "{}"])
def test_ctrl_c_ends_what_waits(desk: Screen, show, options: str) -> None:
    process, _ = show(options)
    desk.press("h" if "hold" in options else "space")
    until(lambda: _text_on(desk.shot(), MIDDLE if "hold" in options else FOOT), "help, or a pause")
    os.kill(process.pid, signal.SIGINT)
    assert "ended False" in process.end()


@pytest.mark.slow
def test_s_saves_the_picture_without_the_help(desk: Screen, show, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "snapshots"
    process, _ = show(f'{{"hold": true, "snapshots": "{folder}"}}')
    desk.press("h")
    until(lambda: _text_on(desk.shot(), MIDDLE), "the help")
    desk.press("s")
    until(lambda: len([*folder.glob("*.png")]) == 1, "a snapshot")
    desk.press("s")
    first, second = until(lambda: len(found := sorted(folder.glob("*.png"))) == 2 and found, "another snapshot")
    until(lambda: _text_on(desk.shot(), FOOT), "the message where it is")
    desk.press("q")
    said = process.end()
    assert f"snapshot: {first}" in said
    assert f"snapshot: {second}" in said
    picture = read_picture(first)
    assert picture.shape == (360, 640, 3)
    assert (picture == picture[0, 0]).all()  # the frame alone


@pytest.mark.slow
def test_a_snapshot_that_cannot_be_saved_is_no_end(desk: Screen, show, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process, _ = show(f'{{"snapshots": "{tmp_path / "file" / "folder"}"}}')
    until(lambda: not _text_on(desk.shot(), FOOT), "the first message to go")
    desk.press("s")
    until(lambda: _text_on(desk.shot(), FOOT), "the message")
    before = _age(desk)
    until(lambda: _age(desk) != before, "frames that go on")
    desk.press("q")
    assert f"snapshot: cannot write in '{tmp_path / 'file' / 'folder'}': Not a directory" in process.end()


@pytest.mark.slow
def test_h_shows_and_hides_the_help(desk: Screen, show) -> None:
    process, _ = show()
    assert not _text_on(desk.shot(), MIDDLE)
    desk.press("h")
    until(lambda: _text_on(desk.shot(), MIDDLE), "the help")
    desk.press("h")
    until(lambda: not _text_on(desk.shot(), MIDDLE), "the help to go")
    desk.press("q")
    process.end()


@pytest.mark.slow
def test_pictures_wait_for_a_key_each(desk: Screen, show) -> None:
    process, _ = show('{"hold": true, "count": 4}')
    for number, key in enumerate(("space", "n", "Right", "space")):
        until(functools.partial(lambda n: _number(desk) == n, number), f"picture {number}")
        desk.press(key)
    assert process.end().startswith("ended True 4")


@pytest.mark.slow
def test_a_file_plays_no_faster_than_its_own_speed(desk: Screen) -> None:
    _, _, shown, seconds = _Show(desk, '{"pace": true, "count": 21, "rate": 10}').end().split()
    assert int(shown) == 21
    assert float(seconds) >= 2.0  # the time of the last frame


@pytest.mark.slow
def test_large_frames_are_fitted_and_sizes_may_change(desk: Screen, show) -> None:
    process, number = show('{"hold": true, "sizes": [[2160, 3840], [480, 640], [1280, 720], [90, 160]]}')
    for size in ((1280, 720), (640, 480), (720, 1280), (640, 360)):
        until(functools.partial(lambda wanted: desk.size_of(number) == wanted, size), f"a window of {size}")
        desk.press("n")
    desk.press("q")
    process.end()


@pytest.mark.slow
def test_a_display_that_is_not_there_is_no_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("X11")
    monkeypatch.setenv("DISPLAY", ":7357")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UserError, match=r"display: the display ':7357' cannot be opened.*display=none save="):
        Window()


@pytest.mark.slow
def test_a_display_that_says_nothing_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("X11")
    monkeypatch.setattr(window_probe, "PROBE_SECONDS", 2)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0/tmp/.X11-unix/X7358")  # accepts, and never says a word
        server.listen()
        monkeypatch.setenv("DISPLAY", ":7358")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        with window_probe.probe() as obstacle:
            assert "does not answer" in str(obstacle)


def test_a_machine_without_a_display_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux says by its environment whether there is a display")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UserError, match=r"display: .*(no display|without windows).*display=none save="):
        Window()


# What cv2.getBuildInformation() says in the wheels of 4.14: opencv-python on Linux, and opencv-python-headless.
WITH_QT = """
    OpenEXR:                     build (ver 2.3.0)

  GUI:                           QT5
    QT:                          YES (ver 5.15.19 )
      QT OpenGL support:         NO
    GTK+:                        NO
    VTK support:                 NO
"""
HEADLESS = """
    OpenEXR:                     build (ver 2.3.0)

  GUI:                           NONE
    VTK support:                 NO
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [(WITH_QT, "QT5"), (HEADLESS, None), ("  GUI:  WIN32UI\n", "WIN32UI"), ("  GUI:\n", None), ("", None)],
)
def test_a_build_says_whether_it_has_windows(text: str, found: str | None) -> None:
    assert gui(text) == found


def test_snapshots_replace_nothing_and_leave_nothing_half(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    paths = [save_snapshot(picture, tmp_path / "new") for _ in range(20)]
    assert len(set(paths)) == 20
    assert all(np.array_equal(read_picture(path), picture) for path in paths)
    with pytest.raises(OSError, match="Not a directory"):
        save_snapshot(picture, paths[0])
    assert sorted((tmp_path / "new").iterdir()) == sorted(paths)


@pytest.mark.slow
def test_a_full_disk_leaves_no_half_snapshot(tmp_path: Path) -> None:
    """A process that may write 20 kB to a file stands for a full disk."""
    code = (
        "import resource, sys; import numpy as np; from pathlib import Path\n"
        "from emotion.video.window import save_snapshot\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try: save_snapshot(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8), Path(sys.argv[1]))\n"
        "except OSError as error: print(error.strerror)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert not [*tmp_path.iterdir()]
