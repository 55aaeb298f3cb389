"""``display=browser``: the source of the machine that runs it, on a page and as MJPEG."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import struct
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync import client as sockets

from emotion.base.errors import UserError
from emotion.faces import decoding
from emotion.live.__main__ import run
from emotion.serve import server
from tests.conftest import compose
from tests.helpers import chromium
from tests.helpers.live_command import PATIENCE, Commands, Live, commands

pytestmark = pytest.mark.slow


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Commands]:
    (tmp_path / "place").mkdir()
    with commands(tmp_path / "place", tmp_path / "outputs") as starting:
        yield starting


def _address(live: Live) -> str:
    end = time.monotonic() + PATIENCE
    while not (said := re.search(r"^watch it at (\S+?)/?$", live.out, re.M)):
        live.check()
        assert time.monotonic() < end
        time.sleep(0.02)
    return said[1]


def _watch(address: str) -> Any:
    return sockets.connect(f"{address.replace('http', 'ws', 1)}/v1/watch", open_timeout=PATIENCE, compression=None)


def _picture(data: bytes) -> tuple[Any, Any]:
    (length,) = struct.unpack(">I", data[:4])
    return json.loads(data[4 : 4 + length]), decoding.decode(data[4 + length :])


def test_the_page_the_socket_and_mjpeg_show_the_source(start: Commands, drawn: Any, tmp_path: Path) -> None:
    live = start(f"source={drawn[0]}", "loop=true", "display=browser", "browser.port=0", "browser.viewers=3")
    address = _address(live)
    assert httpx.get(f"{address}/v1/model").json()["camera"] == str(drawn[0])
    assert httpx.post(f"{address}/v1/pictures").status_code == 404
    with _watch(address) as one, _watch(address) as two:
        for viewer in (one, two):
            numbers = []
            for _ in range(5):
                record, image = _picture(viewer.recv(PATIENCE))
                assert image.shape == (360, 640, 3)
                assert all(len(face["box"]) == 4 for face in record["faces"])
                numbers.append(record["frame"])
            assert numbers == sorted(set(numbers))
        capture = cv2.VideoCapture(f"{address}/stream.mjpg")
        assert capture.isOpened()
        assert all(capture.read()[0] for _ in range(5))
        with _watch(address) as fourth:
            assert json.loads(fourth.recv(PATIENCE))["error"]["code"] == "busy"
        assert httpx.get(f"{address}/stream.mjpg").status_code == 429
        capture.release()
    with chromium.opened(address, tmp_path) as page:
        page.show(1280, 900)
        page.until("Number(document.getElementById('canvas').dataset.frame) > 0")
        page.until("document.querySelectorAll('.face').length == 2")
        assert page.evaluate("document.getElementById('canvas').width") == 640
        assert "server's camera or file" in page.evaluate("document.body.innerText")
        assert page.evaluate("document.getElementById('start').checkVisibility()") is False
        live.process.send_signal(signal.SIGTERM)
        page.until("document.getElementById('status').textContent == 'The source has ended.'")
        assert page.complaints == []
    out, _ = live.finish(143)
    assert "faces: " in out


def test_viewers_are_told_the_end_and_nobody_need_watch(start: Commands, drawn: Any) -> None:
    live = start(f"source={drawn[0]}", "display=browser", "browser.port=0")
    with _watch(_address(live)) as viewer, pytest.raises(ConnectionClosed) as closed:
        deque(iter(lambda: viewer.recv(PATIENCE), None), maxlen=0)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000
    assert "24 processed" in live.finish()[0]
    alone = start(f"source={drawn[0]}", "display=browser", "browser.port=0")
    assert "24 processed" in alone.finish()[0]


def test_faces_are_blurred_before_they_leave(start: Commands, drawn: Any) -> None:
    seen = {}
    for blur in ("true", "false"):
        live = start(
            f"source={drawn[0]}", "loop=true", "display=browser", "browser.port=0", "bars=false", f"blur={blur}"
        )
        with _watch(_address(live)) as viewer:
            record, image = _picture(viewer.recv(PATIENCE))
            x, y, width, height = record["faces"][0]["box"]
            inner = image[y + height // 4 : y + height * 3 // 4, x + width // 4 : x + width * 3 // 4]
            seen[blur] = cv2.Laplacian(cv2.cvtColor(inner, cv2.COLOR_BGR2GRAY), cv2.CV_64F).var()
        live.process.terminate()
        live.finish(143)
    assert seen["true"] < seen["false"] / 4


def test_a_server_that_cannot_begin_ends_the_command(drawn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(serving: Any) -> None:
        serving.close()
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio, "run", no_more)
    with pytest.raises(OSError, match="Too many open files"):
        run(compose("live", f"source={drawn[0]}", "display=browser", "browser.port=0"))


def test_it_is_offered_where_no_window_opens_and_a_taken_port_is_told(start: Commands, drawn: Any) -> None:
    _, err = start(f"source={drawn[0]}", "max_frames=2").finish()
    assert "display=browser shows it on a page" in err
    with server.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port: {port} is taken"):
            run(compose("live", f"source={drawn[0]}", "display=browser", f"browser.port={port}"))
