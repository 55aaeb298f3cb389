"""Hostile, damaged, huge and slow clients: each gets a clear answer, and other visitors are undisturbed."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import socket
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from emotion.base.logs import Sentences
from emotion.serve import server as serving_module
from emotion.serve import uploads, visitor
from emotion.serve.broadcast import Broadcast
from emotion.serve.metrics import Metrics
from emotion.serve.service import QUEUE
from tests.helpers.bing_server import png_bomb
from tests.helpers.serving import PATIENCE, Serving, face, serving


@pytest.fixture
def server(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serving]:
    """A server that must not log a fault of its own nor keep a file, with a visitor whom nothing disturbs."""
    kept = tmp_path / "temporary"
    kept.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(kept))
    with caplog.at_level(logging.WARNING), serving() as running, running.visitor() as other:
        assert len(other.ask(face(1), 0.0)["faces"]) == 1
        yield running
        assert [f["track"] for f in other.ask(face(1), 40.0)["faces"]] == [1]
    assert [
        r.getMessage()
        for r in caplog.get_records("call")
        if r.name.startswith(("emotion", "uvicorn", "asyncio", "python_multipart"))
    ] == []
    assert list(kept.iterdir()) == []


def _jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose header lies about its size."""
    data = bytearray(face())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _bad_pictures() -> list[bytes]:
    draw = random.Random(0)
    good, png = face(), bytes(cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1])
    webp = bytes(cv2.imencode(".webp", np.zeros((64, 64, 3), np.uint8))[1])
    bad = [b"", b"\0", b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"<svg onload='x'/>", b"%PDF-1.7"]
    bad += [
        start + bytes(99) for start in (b"GIF89a", b"BM", b"PK\3\4", b"RIFF\0\0\0\0AVI ", b"RIFF\xff\0\0\0WEBPVP8L")
    ]
    bad += [png_bomb(50_000, 50_000), png_bomb(1, 2**31 - 1), png_bomb(0, 0), png[:40], png[:-20], webp[:30]]
    bad += [_jpeg_of(65_500, 65_500), _jpeg_of(0, 0), _jpeg_of(9_000, 9_000), good[: len(good) // 2]]
    chunk = b"IDAT" + zlib.compress(bytes(10_000_000))
    bad.append(png[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[-12:])
    for _ in range(80):  # bits that flipped, also where the decoder makes the best of it
        data = bytearray(draw.choice((good, png, webp)))
        for _ in range(draw.randint(1, 60)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        bad.append(bytes(data))
    return bad


@pytest.mark.slow
def test_a_hundred_bad_pictures(server: Serving) -> None:
    bad = _bad_pictures()
    assert len(bad) >= 100
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client, server.visitor() as visitor:
        for number, data in enumerate(bad):
            answer = client.post("/v1/pictures", content=data, headers={"Content-Type": "image/jpeg"})
            assert answer.status_code in (200, 400, 413, 415), (number, answer.text)
            told = answer.json()
            assert answer.status_code == 200 or told["error"]["message"], number
            assert "/" not in json.dumps(told).replace("image/", "").replace(server.service.model.id, ""), number
            through_socket = visitor.ask(data, 40.0 * number)
            if not through_socket.get("dropped"):  # a busy machine is late, and takes a newer frame
                assert ("error" in through_socket) == (answer.status_code != 200), number
            if number % 10 == 9:
                visitor.ask(face(1), 40.0 * number)  # or the visitor would be sent away
        files = [("pictures", ("x.jpg", data)) for data in bad[:64]]
        assert len(client.post("/v1/pictures", files=files).json()["pictures"]) == 64
        assert client.post("/v1/pictures", files=[*files, ("pictures", ("y", b""))]).status_code == 400


def test_a_visitor_who_sends_nothing_but_faults_is_sent_away(server: Serving) -> None:
    with server.visitor() as hostile:
        for _ in range(visitor.MOST_WRONG):
            assert hostile.ask(b"no")["error"]["code"] == "type"
        with pytest.raises(ConnectionClosed) as closed:
            hostile.answer()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


@pytest.mark.slow
def test_too_large_is_told_before_it_is_read(server: Serving) -> None:
    limits = server.service.limits
    for path, most in (("pictures", limits.picture_mib), ("videos", limits.video_mib)):
        head = f"POST /v1/{path} HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: image/jpeg\r\n"
        with closing(_connected(server)) as raw:
            raw.sendall(f"{head}Content-Length: {int(most * 2**20) + 1}\r\n\r\n".encode())
            assert b" 413 " in _all(raw)
        if path == "pictures":  # and counted where nothing is announced
            with closing(_connected(server)) as raw:
                raw.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
                assert b" 413 " in _flooded(raw)
    with server.visitor() as hostile:
        with pytest.raises(ConnectionClosed) as closed:
            hostile.ask(bytes(1 << 20))  # and eight bytes for the time
        # What the server says last is lost where it closes while bytes are still on their way to it.
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
    with server.visitor() as other:
        assert other.ask(face(1))["faces"]


def _flooded(raw: socket.socket) -> bytes:
    """Send parts of a body until the other side has had enough; what it said."""
    raw.settimeout(0.01)
    for _ in range(2000):
        try:
            raw.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            if said := raw.recv(4096):
                return said
        except TimeoutError:
            continue
        except OSError:
            break
    raise AssertionError("it has taken more than it should")


def test_a_visitors_message_may_be_as_large_as_the_model_says(server: Serving) -> None:
    limits = httpx.get(f"{server.url}/v1/model").json()["limits"]
    with server.visitor() as other:
        assert len(other.ask(face(1).ljust(int(limits["message_mib"] * 2**20) - 8, b"\0"))["faces"]) == 1


def test_a_multipart_body_that_is_cut_off_is_not_answered_as_a_whole(server: Serving) -> None:
    request = httpx.Request("POST", "http://x", files=[("pictures", (f"{n}.jpg", face(n))) for n in range(3)])
    whole = request.read()
    for at in (len(whole) - 4, len(whole) * 2 // 3, len(whole) // 9):
        told = httpx.post(
            f"{server.url}/v1/pictures", content=whole[:at], headers={"Content-Type": request.headers["content-type"]}
        )
        assert told.status_code == 400
        assert "closing boundary" in told.json()["error"]["message"]
    wrong = httpx.post(
        f"{server.url}/v1/pictures", content=b"no", headers={"Content-Type": request.headers["content-type"]}
    )
    assert wrong.status_code == 400


def test_no_more_bodies_are_read_than_can_be_worked_on(server: Serving) -> None:
    name, most = server.service.model.id, server.service._cores + QUEUE
    with ExitStack() as stack:
        for number in range(most):
            raw = stack.enter_context(closing(_connected(server)))
            path, kind = (("v1/pictures", "image/jpeg"), (f"v2/models/{name}/infer", "application/json"))[number % 2]
            head = f"POST /{path} HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: {kind}\r\nContent-Length: 9\r\n\r\nx"
            raw.sendall(head.encode())
        _until(lambda: server.service._read == most)
        files = [("pictures", ("a.jpg", face()))]
        for refused in (
            httpx.post(f"{server.url}/v2/models/{name}/infer", content=b"{}"),
            httpx.post(f"{server.url}/v1/pictures", files=files),
            httpx.post(f"{server.url}/v1/videos", content=b"no video"),
        ):
            assert refused.status_code == 429
            assert refused.headers["retry-after"]
    _until(lambda: server.service._read == 0)
    assert httpx.post(f"{server.url}/v1/pictures", files=files, timeout=PATIENCE).status_code == 200


@pytest.mark.slow
def test_a_viewer_who_stops_reading_gives_up_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "UNREAD", 0.3)
    broadcast = Broadcast("a film")
    with serving(broadcast=broadcast, sessions=1) as server, closing(_connected(server)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        raw.sendall(f"GET /stream.mjpg HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
        _until(lambda: broadcast.viewers == 1)
        assert httpx.get(f"{server.url}/stream.mjpg").status_code == 429

        def left() -> bool:
            broadcast.offer({}, bytes(1 << 20))
            return server.service.metrics.total("emotion_sessions") == 0

        _until(left)
        _until(lambda: broadcast.viewers == 0)


def _connected(server: Serving) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    raw.settimeout(PATIENCE)
    return raw


def _all(raw: socket.socket) -> bytes:
    found = b""
    while part := raw.recv(1 << 16):
        found += part
    return found


def test_slow_loris(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "HEAD", 0.3)
    monkeypatch.setattr(uploads, "PATIENCE", 0.3)
    silent, heads, again, body = (_connected(server) for _ in range(4))
    heads.sendall(b"GET / HTTP/1.1\r\nHost: ")
    said = b""
    again.sendall(f"GET /healthz HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
    while not said.endswith(b'{"status":"ok"}'):
        said += again.recv(1 << 16)
    again.sendall(b"GET / HTTP/1.1\r\nHos")
    head = (
        f"POST /v1/pictures HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: image/jpeg\r\nContent-Length: 99\r\n\r\nx"
    )
    body.sendall(head.encode())
    for raw in (silent, heads, again):
        assert _all(raw) == b""
    assert b" 408 " in _all(body)
    for raw in (silent, heads, again, body):
        raw.close()


@pytest.mark.slow
def test_clients_that_leave_in_the_middle(server: Serving, drawn: Any) -> None:
    data = drawn[0].read_bytes()
    post = f"POST /v1/videos HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    for sent in (b"", b"GET", post[:40], post, post + data[:1000], post + data):
        with closing(_connected(server)) as raw:
            raw.sendall(sent)
    with closing(_connected(server)) as raw:  # half closed
        raw.sendall(post + data)
        raw.shutdown(socket.SHUT_WR)
        raw.recv(1)
    with server.visitor() as hostile:
        hostile.send(face(1))
        hostile.socket.socket.close()
    for garbage in (b"\x16\x03\x01\x02\0\x01", os.urandom(4000), b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000):
        with closing(_connected(server)) as raw:
            raw.sendall(garbage)
            assert _all(raw).startswith((b"HTTP/1.1 400", b""))
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    _until(lambda: server.service.metrics.total("emotion_sessions") == 1)
    _until(lambda: server.service.metrics.total("emotion_waiting") == 0)


def _until(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_full_disk(server: Serving, monkeypatch: pytest.MonkeyPatch, drawn: Any) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    answer = httpx.post(f"{server.url}/v1/videos", content=drawn[0].read_bytes(), timeout=PATIENCE)
    assert answer.status_code == 507
    assert answer.json()["error"]["code"] == "disk_full"
    assert "/" not in answer.text.replace("server's", "")


def test_a_fault_of_the_server_is_in_its_log_and_nowhere_else(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> str:
        raise PermissionError(13, "Permission denied", "/srv/secret")

    monkeypatch.setattr(Metrics, "text", broken)
    with serving() as server:
        answer = httpx.get(f"{server.url}/metrics")
        assert answer.status_code == 500
        assert "secret" not in answer.text
    (record,) = (r for r in caplog.records if r.name == "emotion.serve.guard")
    assert "PermissionError: [Errno 13] Permission denied: '/srv/secret'" in Sentences().format(record)


@pytest.mark.slow
def test_places_and_rates_are_limited() -> None:
    with serving(sessions=2, rate=0.5, frames=5) as server:
        with server.visitor() as first, server.visitor():
            with server.visitor() as third:
                assert third.answer()["error"]["code"] == "busy"
                with pytest.raises(ConnectionClosed) as closed:
                    third.answer()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1013
            answers = [first.ask(face(1), 10.0 * i) for i in range(30)]
            dropped = [answer["frame"] for answer in answers if answer.get("dropped")]
            assert 5 <= len(dropped) < 30
        statuses = [
            httpx.post(f"{server.url}/v1/pictures", content=face(), headers={"Content-Type": "image/jpeg"})
            for _ in range(8)
        ]
        refused = [answer for answer in statuses if answer.status_code == 429]
        assert 1 <= len(refused) < 8
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)


@pytest.mark.slow
def test_a_visitor_who_is_silent_for_too_long_gives_up_the_place() -> None:
    with serving(idle=1) as server, server.visitor() as silent:
        with pytest.raises(ConnectionClosed) as closed:
            silent.answer()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        _until(lambda: server.service.metrics.total("emotion_sessions") == 0)


@pytest.mark.slow
def test_a_slow_reader_delays_no_one_else(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """A visitor who sends but does not read; and one who goes on as if alone."""
    stopped = threading.Event()

    def flood() -> None:
        with server.visitor() as slow:
            slow.socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            try:
                while not stopped.is_set():
                    slow.send(b"no")
            except (ConnectionClosed, OSError):
                pass

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        with server.visitor() as other:
            for number in range(20):
                time.sleep(0.05)  # more frames a second are not looked at
                assert len(other.ask(face(1), 40.0 * number)["faces"]) == 1
    finally:
        stopped.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.slow
def test_too_much_work_is_refused_at_once(server: Serving) -> None:
    """More requests than can be queued: some are answered, the others told to come back."""
    statuses: list[int] = []
    large = bytes(cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))[1])

    def post() -> None:
        answer = httpx.post(
            f"{server.url}/v1/pictures", content=large, headers={"Content-Type": "image/jpeg"}, timeout=PATIENCE
        )
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=post) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert set(statuses) == {200, 429}
