"""The command on live streams, whose servers are killed, come back, fall silent, or change their frames."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from emotion.video.source import frames
from tests.helpers import servers
from tests.helpers.live_command import PATIENCE, Commands, commands, count, records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SYSTEM_PYTHON = Path("/usr/bin/python3")
RTSP_SERVER = Path(__file__).parents[1] / "helpers" / "rtsp_server.py"
#: The command with less patience for a server that is gone.
IMPATIENT = (
    "from emotion.live import __main__; from emotion.video import reconnect; "
    "reconnect.RECONNECT_SECONDS = 1.5; __main__.main()"
)


@pytest.fixture
def start(models, outputs: Path, tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path, outputs) as starting:
        yield starting


class _Server:
    """An MJPEG or RTSP server in a process of its own, which can be killed and brought back."""

    def __init__(self, scheme: str, folder: Path) -> None:
        if scheme == "rtsp" and not SYSTEM_PYTHON.exists():
            pytest.skip(f"no RTSP server: its bindings need {SYSTEM_PYTHON}")
        for i, image in enumerate(servers.drawn()):
            cv2.imwrite(str(folder / f"{i}.jpg"), image)
        self._scheme, self._folder, self._port = scheme, folder, 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._port}/{'live' if self._scheme == 'rtsp' else 'video'}"

    def start(self) -> None:
        if self._scheme == "http":
            self._process = servers.process(self._port)
        else:
            line = [str(SYSTEM_PYTHON), str(RTSP_SERVER), str(self._port), str(self._folder)]
            self._process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        said = self._process.stdout.readline()
        if not said and self._process.wait() == 3:
            pytest.skip("no RTSP server: apt-get install the packages that tests/helpers/rtsp_server.py names")
        self._port = int(said)

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None


@pytest.fixture(params=["http", "rtsp"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[_Server]:
    found = _Server(request.param, tmp_path)
    try:
        found.start()
        yield found
    finally:
        found.kill()


def test_the_log_goes_on_when_the_server_is_back(start: Commands, server: _Server, tmp_path: Path) -> None:
    save, log = tmp_path / "labelled.avi", tmp_path / "faces.jsonl"
    live = start("run=gray", f"source={server.address}", f"save={save}", f"log={log}", "bars=false")
    live.until(log=log, lines=10)
    server.kill()
    live.until(said="trying to reach it again")
    before = count(log)
    server.start()
    live.until(said="back after", log=log, lines=before + 5)
    live.process.send_signal(signal.SIGINT)
    out, err = live.finish(130)
    assert "interrupted; files are whole up to here" in out
    assert "nothing came after frame" in err
    found = records(log)
    assert [r["time"] for r in found] == sorted(r["time"] for r in found)
    assert len({r["frame"] for r in found}) > 5
    assert len(list(frames(save))) > 5


def test_a_server_that_is_gone_for_good_ends_it(start: Commands, server: _Server, tmp_path: Path) -> None:
    save, log = tmp_path / "labelled.mp4", tmp_path / "faces.jsonl"
    live = start("run=gray", f"source={server.address}", f"save={save}", f"log={log}", code=IMPATIENT)
    live.until(log=log, lines=5)
    server.kill()
    out, err = live.finish(0)
    assert "did not come back within 1.5 s; ended after frame" in err
    assert "interrupted" not in out
    assert len(records(log)) >= 5
    assert len(list(frames(save))) >= 3


@pytest.mark.parametrize("server", ["http"], indirect=True)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_it_tries_to_reconnect(
    start: Commands, server: _Server, tmp_path: Path, number: int, code: int
) -> None:
    log = tmp_path / "faces.jsonl"
    live = start("run=gray", f"source={server.address}", f"log={log}")
    live.until(log=log, lines=3)
    server.kill()
    live.until(said="trying to reach it again")
    live.process.send_signal(number)
    out, err = live.finish(code)
    assert "did not come back" not in err
    assert "interrupted" in out
    assert len(records(log)) >= 3


@pytest.mark.parametrize("server", ["http"], indirect=True)
def test_a_signal_while_the_stream_is_silent(start: Commands, server: _Server, tmp_path: Path) -> None:
    save, log = tmp_path / "labelled.mp4", tmp_path / "faces.jsonl"
    live = start("run=gray", f"source={server.address}", f"save={save}", f"log={log}")
    live.until(log=log, lines=4)
    server.pause()  # the connection stays, and nothing comes
    seen = -1
    while seen != (seen := count(log)):
        time.sleep(10 * servers.PAUSE)
    live.process.send_signal(signal.SIGINT)
    out, err = live.finish(130)
    assert "interrupted" in out
    assert "WARN" not in err  # OpenCV's own, when at last it gives up
    assert records(log)
    assert len(list(frames(save))) > 1


def test_a_signal_before_a_silent_server_answers(start: Commands, tmp_path: Path) -> None:
    log = tmp_path / "faces.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        live = start("run=gray", f"source=http://127.0.0.1:{server.getsockname()[1]}/x", f"log={log}")
        with server.accept()[0] as connection:
            connection.recv(1)
            live.process.send_signal(signal.SIGTERM)
            live.finish(143)


def test_frames_that_change_their_size(start: Commands, tmp_path: Path) -> None:
    save, log = tmp_path / "labelled.mp4", tmp_path / "faces.jsonl"
    with servers.mjpeg() as address:
        asked = f"save={save}", f"log={log}", "max_frames=25"
        out, _ = start("run=gray", f"source={address}/grow", *asked).finish()
    labelled = list(frames(save))
    assert {f.image.shape for f in labelled} == {(240, 320, 3)}
    boxes = [r["box"] for r in records(log)]
    assert max(y + height for _, y, _, height in boxes) > 240  # in the pixels of the larger frames
    assert min(width for _, _, width, _ in boxes) * 1.5 < max(width for _, _, width, _ in boxes)
    assert "25 processed" in out


def test_an_address_with_a_query_and_a_password(start: Commands, tmp_path: Path) -> None:
    log = tmp_path / "faces.jsonl"
    with servers.mjpeg() as address:
        private = address.replace("://", "://me:secret@") + "/private?size=1,2&x=y"
        out, err = start("run=gray", f"source={private}", "max_frames=6", f"log={log}").finish()
        assert records(log)
        assert "6 processed" in out
        _, refused = start("run=gray", f"source={private.replace('secret', 'geheim')}").finish(2)
    assert "wants a user and a password" in refused
    assert "secret" not in out + err
    assert "geheim" not in refused


def test_the_newest_frame_wins(start: Commands, tmp_path: Path) -> None:
    """A person who looks is never far behind, however slow the search is."""
    log = tmp_path / "faces.jsonl"
    slow = "detector.mode=exact", "detector.scale_factor=1.01", "detector.min_size=0.1"
    with servers.mjpeg() as address:
        live = start("run=gray", f"source={address}/grow", f"log={log}", *slow)
        live.until(log=log, lines=5)
        live.process.send_signal(signal.SIGINT)
        out, _ = live.finish(130)
    dropped = int(out.split(" dropped")[0].rpartition(" ")[2])
    assert dropped > 5
