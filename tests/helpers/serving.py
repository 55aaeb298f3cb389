"""The server in a thread of the test, on a free port, with the model that ships."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
from websockets.sync import client as sockets

from emotion import Model, load
from emotion.base.interrupts import Stop
from emotion.config.commands import ServeLimits
from emotion.data import synthetic
from emotion.faces.images import Image
from emotion.inference.session import Settings
from emotion.serve import app, errors, metrics, server
from emotion.serve.broadcast import Broadcast
from emotion.serve.guard import Access
from emotion.serve.service import Service
from emotion.video import source

#: Seconds; other tests may have the cores.
PATIENCE = 60.0


@cache
def model() -> Model:
    return load("pretrained")


@dataclass
class Serving:
    """A server that runs."""

    port: int
    service: Service

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @contextmanager
    def visitor(self, **options: Any) -> Iterator[Visitor]:
        """A visitor's socket."""
        address = f"ws://{self.host}/v1/live"
        with sockets.connect(address, open_timeout=PATIENCE, compression=None, **options) as socket:
            yield Visitor(socket)


class Visitor:
    """A client of ``WS /v1/live``."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    def send(self, picture: bytes, milliseconds: float = 0.0) -> None:
        self.socket.send(struct.pack(">d", milliseconds) + picture)

    def answer(self) -> Any:
        return json.loads(self.socket.recv(PATIENCE))

    def ask(self, picture: bytes, milliseconds: float = 0.0) -> Any:
        self.send(picture, milliseconds)
        return self.answer()


@contextmanager
def serving(
    access: Access | None = None,
    settings: Settings | None = None,
    port: int = 0,
    broadcast: Broadcast | None = None,
    **limits: Any,
) -> Iterator[Serving]:
    """Serve in a thread; the block's end is that of a signal, and it must have ended soon after."""
    hosts = frozenset({"localhost", "127.0.0.1", "::1"})
    counts = metrics.Metrics(model().labels, tuple(errors.CODES.values()))
    service = Service(model(), ServeLimits(**({"sessions": 16, "rate": 10_000} | limits)), counts, settings)
    stop, started = Stop(), threading.Event()
    with server.listen("127.0.0.1", port) as bound:
        number = bound.getsockname()[1]
        arguments = (app.create(service, access or Access(hosts), broadcast), bound, None, stop, started.set)
        thread = threading.Thread(target=server.serve, args=arguments, daemon=True)
        thread.start()
        assert started.wait(PATIENCE)
        try:
            yield Serving(number, service)
        finally:
            stop.end()
            thread.join(PATIENCE)
            assert not thread.is_alive()


def jpeg(image: Image, quality: int = 95) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


@cache
def face(number: int = 0, width: int = 320, height: int = 240) -> bytes:
    """A JPEG picture of a drawn face."""
    return jpeg(synthetic.frame(number, number % 7, (width, height), noise=0.3)[0])


def film(path: Path) -> list[bytes]:
    """The frames of a video as JPEG."""
    return [jpeg(frame.image) for frame in source.frames(path)]


def webcam(frames: list[bytes], path: Path) -> list[str]:
    """The arguments by which Chromium takes these frames, over and over, for its camera."""
    path.write_bytes(b"".join(frames))
    return [
        "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={path}",
    ]  # fmt: skip
