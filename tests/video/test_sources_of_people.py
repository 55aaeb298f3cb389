"""Cameras that wake late or miss a read, snapshot addresses, cameras behind UDP, and passwords of any characters."""

from __future__ import annotations

import base64
import contextlib
import http.server
import itertools
import os
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.live.saving import save_sink
from emotion.video import capture, diagnose, reconnect, source, still
from emotion.video.source import frames, opened

PICTURE = np.full((48, 64, 3), 90, np.uint8)


class Camera:
    """Stands in for OpenCV's camera: reads that give a frame or nothing, in this order, then frames."""

    def __init__(self, reads: str) -> None:
        self.reads, self.released = iter(reads), False

    def read(self) -> tuple[bool, Any]:
        given = next(self.reads, "x")
        return given == "x", PICTURE.copy() if given == "x" else None

    def get(self, _: int) -> float:
        return 30.0

    def release(self) -> None:
        self.released = True


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Any:
    def plug(reads: str) -> Camera:
        camera = Camera(reads)
        monkeypatch.setattr(capture, "camera", lambda number: camera)
        return camera

    return plug


def test_a_camera_may_wake_late(camera: Any, caplog: pytest.LogCaptureFixture) -> None:
    camera("." * 20)
    with opened(0) as stream:
        assert [f.index for f in itertools.islice(stream.frames, 5)] == list(range(5))
    assert caplog.text == ""


def test_a_camera_that_never_wakes_is_said_to_have_given_nothing(camera: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(reconnect, "WAKE_SECONDS", 0.2)
    camera("." * 10_000)
    with opened(0) as stream, pytest.raises(UserError, match=r"gave no frame within 0.2 s\. Check that no other"):
        next(stream.frames)


@pytest.mark.parametrize("missed", [1, 2, reconnect.MISSED_READS - 1])
def test_missed_reads_do_not_close_a_camera(camera: Any, missed: int, caplog: pytest.LogCaptureFixture) -> None:
    opened_once = camera(f"xxx{'.' * missed}xxx{'.' * missed}x")
    with opened(0) as stream:
        assert len(list(itertools.islice(stream.frames, 9))) == 9
        assert not opened_once.released
    assert caplog.text == ""


def test_other_names_of_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "realpath", lambda text: "/dev/video2" if "by-id" in text else text)
    assert source._camera_number("/dev/v4l/by-id/usb-Logitech_C920-video-index0") == 2
    assert source._camera_number("/dev/video12") == 12
    assert source._camera_number("7") == 7
    assert source._camera_number("/dev/null") is None
    assert source._camera_number(str(tmp_path)) is None


# -------------------------------------------------------------------------------------------------- pictures over HTTP


@contextlib.contextmanager
def _serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Snapshots(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        wanted = "Basic " + base64.b64encode(b"me:se?c@t").decode()
        if self.path.startswith("/locked") and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        data = cv2.imencode(".jpg", PICTURE)[1].tobytes()
        is_torn = self.path == "/torn" or (self.path == "/at-times" and self.asked % 3 == 0)
        data = data[:200] if is_torn else data
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def snapshots() -> Iterator[str]:
    Snapshots.asked = 0
    with _serving(Snapshots) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("path", ["capture", "photo.jpg", "cgi-bin/snapshot.cgi?chn=1"])
def test_a_picture_at_an_address_is_one_picture(snapshots: str, path: str, tmp_path: Path) -> None:
    with opened(f"{snapshots}/{path}") as stream:
        assert (stream.kind, stream.total, stream.independent) == ("pictures", 1, True)
        (frame,) = stream.frames
        with save_sink(tmp_path / "out.png", stream) as sink:
            sink.write(frame, [], frame.image)
    assert frame.image.shape == PICTURE.shape
    assert (tmp_path / "out.png").is_file()
    assert Snapshots.asked == 1


def test_a_snapshot_address_is_asked_again_at_a_steady_rate(snapshots: str, monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr(still, "RATE", 50.0)
    with opened(f"{snapshots}/capture", loop=True) as stream:
        assert (stream.kind, stream.live) == ("stream", True)
        got = list(itertools.islice(stream.frames, 6))
    assert [f.index for f in got] == sorted({f.index for f in got})
    assert all(a.time < b.time for a, b in itertools.pairwise(got))
    assert caplog.text == ""


def test_a_snapshot_that_is_cut_off_is_left_out(snapshots: str, monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr(still, "RATE", 50.0)
    with opened(f"{snapshots}/at-times", loop=True) as stream:
        got = list(itertools.islice(stream.frames, 6))
    assert [f.index for f in got] == sorted({f.index for f in got})
    assert Snapshots.asked >= 8
    with (
        pytest.raises(UserError, match="cannot be decoded: truncated"),
        opened(f"{snapshots}/torn", loop=True) as stream,
    ):
        next(iter(stream.frames))


def test_a_password_for_a_snapshot(snapshots: str) -> None:
    address = snapshots.replace("//", "//me:se%3Fc%40t@") + "/locked"
    assert len(list(frames(address))) == 1


def test_a_torn_picture_at_an_address(snapshots: str) -> None:
    with pytest.raises(UserError, match=r"the picture at .* cannot be decoded: truncated"):
        list(frames(f"{snapshots}/torn"))


# ------------------------------------------------------------------------------------------------------ UDP, passwords


class UdpOnly(socketserver.StreamRequestHandler):
    """A camera that announces H.264 and refuses to send it over TCP."""

    asked: ClassVar[list[str]] = []

    def handle(self) -> None:
        sdp = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n"
        while True:
            head = []
            while (line := self.rfile.readline().decode()).strip():
                head.append(line.strip())
            if not head:
                return
            number = next(h for h in head if h.lower().startswith("cseq"))
            transport = "".join(h for h in head if h.startswith("Transport"))
            self.asked.append(transport)
            answer = f"200 OK\r\n{number}\r\nSession: 1\r\n\r\n"
            if head[0].startswith("DESCRIBE"):
                answer = (
                    f"200 OK\r\n{number}\r\nContent-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}"
                )
            elif head[0].startswith("SETUP") and "TCP" in transport:
                answer = f"461 Unsupported Transport\r\n{number}\r\n\r\n"
            self.wfile.write(f"RTSP/1.0 {answer}".encode())


def test_udp_is_tried_where_tcp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "TIMEOUT_MSEC", 500)
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
    UdpOnly.asked.clear()
    expected = pytest.raises(UserError, match=r"sends over UDP alone .*461.* over UDP nothing came")
    with _serving(UdpOnly) as port, expected:
        list(frames(f"rtsp://127.0.0.1:{port}/live"))
    assert any("RTP/AVP/UDP" in asked for asked in UdpOnly.asked)


SECRET = st.text(st.sampled_from("abz019?#/@[]:&=%+ é"), min_size=4, max_size=9).filter(lambda s: not s.isdecimal())


@given(SECRET, st.sampled_from(["", "/live", "/live?x=1", "/a@b"]), st.sampled_from(["rtsp", "http"]))
@example("se?cret", "/live", "rtsp")
@example("p@s/s", "/live", "rtsp")
@example("12?34", "/live", "rtsp")
def test_no_part_of_a_password_is_shown(password: str, path: str, scheme: str) -> None:
    shown = diagnose.shown(f"{scheme}://admin:{password}@host{path}")
    assert "admin" not in shown
    assert shown in (f"{scheme}://host{path}", f"{scheme}://b")


@pytest.mark.parametrize("mark", ["?", "#", "/", "[", "@"])
def test_how_to_write_a_password_is_said(mark: str) -> None:
    message = diagnose.diagnose(f"rtsp://admin:se{mark}cret@127.0.0.1:1/live")
    assert "cret" not in message
    assert "? as %3F, # as %23, / as %2F, @ as %40, [ as %5B" in message


@pytest.mark.parametrize(
    "address", ["http://cam/@user/live", "rtsp://cam:554/live", "http://cam/v?mail=a@b", "http://[::1]:80/x"]
)
def test_addresses_without_a_password_are_shown_whole(address: str) -> None:
    assert diagnose.shown(address) == address
