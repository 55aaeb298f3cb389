"""One source for all viewers: each picture is encoded once, and each viewer gets the newest when they are ready."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from emotion.serve.errors import RefusedError
from emotion.serve.server import UNREAD
from emotion.serve.service import Service

#: Codes by which a viewer's socket is closed.
ENDED, TRY_LATER = 1000, 1013
_BOUNDARY = "emotion-frame"


class Broadcast:
    """The newest picture of a source; given by one thread, taken by an event loop in another.

    Args:
        name: Of the source, for the page.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.viewers = 0  #: who are connected; without any there is no need to encode
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._number, self._header, self._jpeg = 0, b"", b""
        self._has_ended = False

    def offer(self, record: dict[str, Any], jpeg: bytes) -> None:
        """Give the next picture, with what was found in it."""
        self._number, self._header, self._jpeg = self._number + 1, json.dumps(record).encode(), jpeg
        self._wake()

    def end(self) -> None:
        """Tell the viewers that no more comes."""
        self._has_ended = True
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_here)

    def _wake_here(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def pictures(self) -> AsyncIterator[tuple[bytes, bytes]]:
        """The newest header and JPEG picture, then each that is newest when the one before has been taken."""
        self._loop = asyncio.get_running_loop()
        seen = 0
        self.viewers += 1
        try:
            while not self._has_ended:
                if self._number > seen:
                    seen = self._number
                    yield self._header, self._jpeg
                else:
                    future = self._loop.create_future()
                    self._waiting.add(future)
                    await future
        finally:
            self.viewers -= 1


def of(connection: HTTPConnection) -> Broadcast:
    """The broadcast of the application; raises RefusedError where every place is taken."""
    service: Service = connection.app.state.service
    if not service.enter():
        raise RefusedError(429, f"there are {service.limits.sessions} viewers already; try again later")
    broadcast: Broadcast = connection.app.state.broadcast
    return broadcast


async def watch(socket: WebSocket) -> None:
    """``WS /v1/watch``: bytes: the length of a JSON text as four big-endian bytes, that text, and a JPEG picture."""
    await socket.accept()
    try:
        broadcast = of(socket)
    except RefusedError as refused:
        await socket.send_json(refused.body)
        await socket.close(TRY_LATER)
        return
    gone = asyncio.ensure_future(_gone(socket))
    sending = asyncio.ensure_future(_send(socket, broadcast))
    try:
        await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (gone, sending):
            task.cancel()
        await asyncio.gather(gone, sending, return_exceptions=True)
        socket.app.state.service.leave()


async def _send(socket: WebSocket, broadcast: Broadcast) -> None:
    try:
        async for header, jpeg in broadcast.pictures():
            async with asyncio.timeout(UNREAD):
                await socket.send_bytes(struct.pack(">I", len(header)) + header + jpeg)
        await socket.close(ENDED)
    except (TimeoutError, WebSocketDisconnect, OSError):
        return


async def _gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] == "websocket.receive":
        pass


async def stream(request: Request) -> Response:
    """``GET /stream.mjpg``: the pictures as MJPEG, for players and home automation."""
    return _Mjpeg(_parts(of(request)), media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}")


class _Mjpeg(StreamingResponse):
    """Gives its place back however it ends, also where the client left before the first part."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            scope["app"].state.service.leave()


async def _parts(broadcast: Broadcast) -> AsyncIterator[bytes]:
    async for _, jpeg in broadcast.pictures():
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        yield head.encode() + jpeg + b"\r\n"
    yield f"--{_BOUNDARY}--\r\n".encode()
