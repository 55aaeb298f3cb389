"""Live sources against real servers on loopback, which fall silent, are killed, and come back."""

from __future__ import annotations

import itertools
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.video import capture, diagnose, reconnect
from emotion.video.source import opened
from tests.helpers import servers

pytestmark = pytest.mark.timeout(60)

SYSTEM_PYTHON = Path("/usr/bin/python3")
RTSP_SERVER = Path(servers.__file__).with_name("rtsp_server.py")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    clip = tmp_path_factory.mktemp("served") / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 20.0, servers.SIZE)
    for image in servers.drawn() * 3:
        writer.write(image)
    writer.release()
    with servers.mjpeg(clip) as address:
        yield address


@pytest.fixture
def started() -> Iterator[Callable[[subprocess.Popen[str]], int]]:
    """Waits for a server process to print its port, and ends it after the test."""
    processes: list[subprocess.Popen[str]] = []

    def wait(process: subprocess.Popen[str]) -> int:
        processes.append(process)
        assert process.stdout
        line = process.stdout.readline()
        if not line and process.wait() == 3:
            pytest.skip("no RTSP server: apt-get install the packages that tests/helpers/rtsp_server.py names")
        return int(line)

    yield wait
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def _rtsp(folder: Path, port: int = 0, *login: str) -> subprocess.Popen[str]:
    for i, image in enumerate(servers.drawn()):
        cv2.imwrite(str(folder / f"{i}.jpg"), image)
    line = [str(SYSTEM_PYTHON), str(RTSP_SERVER), str(port), str(folder), *login]
    return subprocess.Popen(line, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def serve(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[int], subprocess.Popen[str]]:
    """Starts the server of the parametrized protocol on a port."""
    if request.param == "http":
        return servers.process
    if not SYSTEM_PYTHON.exists():
        pytest.skip(f"no RTSP server: its bindings need {SYSTEM_PYTHON}")
    return lambda port: _rtsp(tmp_path, port)


both = pytest.mark.parametrize(
    ("serve", "address"),
    [("http", "http://127.0.0.1:{}/video"), ("rtsp", "rtsp://127.0.0.1:{}/live")],
    indirect=["serve"],
)


def _is_drawn(image: np.ndarray) -> bool:
    """Whether this is one of the frames that the servers send, but for JPEG's losses."""
    return image.shape == (240, 320, 3) and min(float(cv2.absdiff(image, d).mean()) for d in servers.drawn()) < 8


@pytest.mark.slow
@both
def test_frames_go_on_after_the_server_was_killed_and_brought_back(
    serve, address: str, started, caplog: pytest.LogCaptureFixture
) -> None:
    process = serve(0)
    port = started(process)
    with opened(address.format(port)) as stream:
        assert (stream.kind, stream.live, stream.independent, stream.total) == ("stream", True, False, None)
        frames = stream.frames
        before = list(itertools.islice(frames, 6))
        process.kill()
        process.wait()
        again = serve(port)
        after = list(itertools.takewhile(lambda _: "back after" not in caplog.text, frames))
        after += itertools.islice(frames, 6)
        assert started(again) == port
    got = [*before, *after]
    assert [f.index for f in got][: len(before)] == list(range(6))
    assert all(b.index > a.index and b.time >= a.time for a, b in itertools.pairwise(got))
    assert all(_is_drawn(f.image) for f in got)
    assert "nothing came after frame" in caplog.text


@pytest.mark.slow
@both
def test_a_server_that_stays_away_ends_the_frames(
    serve, address: str, started, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnect, "RECONNECT_SECONDS", 1.2)
    process = serve(0)
    with opened(address.format(started(process))) as stream:
        count = 0
        for frame in stream.frames:
            count += 1
            if frame.index == 3:
                process.kill()
    assert count >= 4
    assert "did not come back within 1.2 s; ended after frame" in caplog.text


@pytest.mark.slow
def test_an_rtsp_path_that_is_not_there(tmp_path: Path, started) -> None:
    if not SYSTEM_PYTHON.exists():
        pytest.skip(f"no RTSP server: its bindings need {SYSTEM_PYTHON}")
    port = started(_rtsp(tmp_path))
    with (
        pytest.raises(UserError, match=r"gave no video; .*nothing at '/door' \(404"),
        opened(f"rtsp://127.0.0.1:{port}/door"),
    ):
        pass


@pytest.mark.slow
def test_motion_jpeg_over_http(server: str) -> None:
    with opened(f"{server}/video", max_frames=9, stride=2) as stream:
        assert (stream.kind, stream.total) == ("stream", 9)
        got = list(itertools.islice(stream.frames, stream.limit))
    assert [f.index for f in got] == list(range(0, 18, 2))
    assert got[0].time == 0
    assert all(b.time >= a.time for a, b in itertools.pairwise(got))
    assert all(_is_drawn(f.image) for f in got)


def test_a_video_on_a_web_server_is_finite(server: str) -> None:
    with opened(f"{server}/clip") as stream:
        assert (stream.kind, stream.live, stream.rate, stream.total) == ("video", False, 20.0, 21)
        assert [f.time for f in stream.frames] == pytest.approx([i / 20 for i in range(21)], abs=1e-3)


def test_a_web_server_without_ranges_cannot_serve_every_video(server: str) -> None:
    with pytest.raises(UserError, match="Download it and give the file"), opened(f"{server}/whole") as stream:
        list(stream.frames)


def test_a_password_is_used_and_never_shown(server: str) -> None:
    with opened(server.replace("://", "://me:secret@") + "/private", max_frames=2) as stream:
        assert "secret" not in stream.name
        assert next(stream.frames).image.any()
    with (
        pytest.raises(UserError, match="wants a user and a password") as error,
        opened(server.replace("://", "://me:geheim@") + "/private"),
    ):
        pass
    assert "geheim" not in str(error.value)


@pytest.mark.slow
def test_an_rtsp_camera_with_digest_and_a_password_of_odd_characters(tmp_path: Path, started) -> None:
    if not SYSTEM_PYTHON.exists():
        pytest.skip(f"no RTSP server: its bindings need {SYSTEM_PYTHON}")
    password = "a?b/c#d@e[f] %g:h"
    port = started(_rtsp(tmp_path, 0, "me", password))
    with opened(f"rtsp://me:{quote(password, safe='')}@127.0.0.1:{port}/live") as stream:
        assert stream.name == f"rtsp://127.0.0.1:{port}/live"
        assert next(stream.frames).image.any()
    for login, why in (("me:geheim@", "Digest.* the user and the password are wrong"), ("", "wants a user and a pass")):
        with pytest.raises(UserError, match=why) as error, opened(f"rtsp://{login}127.0.0.1:{port}/live"):
            pass
        assert "geheim" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/missing", r"nothing at '/missing' \(404"),
        ("/page", "sends a web page, not video"),
        ("/empty", r"cannot be decoded as video \(nothing at all\)"),
        ("/private", "wants a user and a password"),
    ],
)
def test_what_a_server_sends_instead_of_video_is_told(server: str, path: str, why: str) -> None:
    with pytest.raises(UserError, match=f"gave no video; .*{why}"), opened(server + path):
        pass


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_server_that_is_not_there_is_told(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        pytest.raises(UserError, match=f"nothing listens at 127.0.0.1:{port}"),
        opened(f"{scheme}://127.0.0.1:{port}/x"),
    ):
        pass


@pytest.mark.parametrize("address", ["ftp//x://y", "gopher://host/x", "http://", "http://host:port/x"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(UserError, match=r"gave no video; .*(check the address|names no host)"), opened(address):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch, scheme: str, capfd) -> None:
    monkeypatch.setattr(capture, "TIMEOUT_MSEC", 300)
    monkeypatch.setattr(diagnose, "TIMEOUT", 0.3)
    with servers.silent() as port:
        address = f"{scheme}://127.0.0.1:{port}/clip.mp4"
        with pytest.raises(UserError, match="takes the connection and sends nothing"), opened(address):
            pass
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_server_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "TIMEOUT_MSEC", 300)
    monkeypatch.setattr(diagnose, "LONGEST", 0.5)
    given_up = pytest.raises(UserError, match="gave no")
    with servers.dripping() as port, given_up, opened(f"http://127.0.0.1:{port}/clip.mp4"):
        pass


def test_who_asks_to_stop_need_not_wait_for_a_silent_server() -> None:
    asked = itertools.count()
    with servers.silent() as port, opened(f"http://127.0.0.1:{port}/x", stopped=lambda: next(asked) > 1) as stream:
        assert list(stream.frames) == []


@pytest.mark.timeout(20)
def test_who_asks_to_stop_need_not_wait_for_the_next_frame(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setattr(capture, "TIMEOUT_MSEC", 40_000)
    looks: list[int] = []
    got = []
    with servers.mjpeg() as other, opened(f"{other}/stall", stopped=lambda: len(looks) > 3) as stream:
        for frame in stream.frames:
            got.append(frame)
            looks += [0] * (frame.index == 4) * 4
    assert len(got) == 5


@pytest.mark.slow
def test_a_stream_that_stalls_counts_as_gone(monkeypatch: pytest.MonkeyPatch, server: str, caplog, capfd) -> None:
    monkeypatch.setattr(capture, "TIMEOUT_MSEC", 500)
    with opened(f"{server}/stall") as stream:
        got = list(itertools.islice(stream.frames, 8))
    assert [f.index for f in got] == list(range(8))  # five, then from the next connection
    assert caplog.text.count("back after") == 1
    assert capfd.readouterr().err == ""


def test_an_endless_stream_cannot_start_again(server: str) -> None:
    with pytest.raises(UserError, match="loop: only for video files"), opened(f"{server}/video", loop=True):
        pass


@given(st.text(max_size=9), st.text(max_size=9), st.sampled_from(["rtsp", "http"]))
def test_no_password_is_shown(user: str, password: str, scheme: str) -> None:
    user, password = (text.translate({ord(c): None for c in "/?#"}) for text in (user, password))
    assert diagnose.shown(f"{scheme}://{user}:{password}@host:1/path") == f"{scheme}://host:1/path"


def test_a_camera_that_wants_digest_is_not_said_to_want_another_password(server: str) -> None:
    address = server.replace("http://", "http://me:secret@")
    assert "Digest" in diagnose.diagnose(f"{address}/digest")
    assert "wants a user and a password" in diagnose.diagnose(f"{server}/digest")


def test_a_password_does_not_travel_with_a_redirect(server: str) -> None:
    address = server.replace("http://", "http://me:secret@")
    assert "web page" in diagnose.diagnose(f"{address}/told"), "the page shows that it was told"
    assert "text/plain" in diagnose.diagnose(f"{address}/moved")


def test_passwords_in_odd_places_are_hidden() -> None:
    assert diagnose.shown("rtsp://me:gehe/im@host/x") == "rtsp://host/x"
    assert diagnose.shown("http://cam/v?size=3&user=me&pwd=se/cr@et#x") == "http://cam/v?size=3&user=...&pwd=...#x"
    assert diagnose.shown("http://cam/v?size=3") == "http://cam/v?size=3"
