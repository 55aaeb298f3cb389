"""``WS /v1/live``: a visitor's camera. Pictures up, faces down; each visitor has tracks and smoothing of their own.

A message of the visitor is bytes: eight of a big-endian double, the milliseconds at which the frame was taken by any
clock that rises, then a JPEG, PNG or WebP picture. Each is answered, in order. Text sets ``smoothing``,
``min_confidence`` and ``prior``, or ``reset``, as JSON.

There is no queue here: a frame is read when the one before is answered, and the socket holds the others back.
"""

from __future__ import annotations

import asyncio
import json
import math
import struct
import time
from dataclasses import replace
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from emotion.inference.session import Session
from emotion.serve import uploads
from emotion.serve.errors import RefusedError
from emotion.serve.server import UNREAD
from emotion.serve.service import Rates, Service

#: Codes by which a socket is closed (RFC 6455, section 7.4).
AWAY, POLICY, TRY_LATER = 1001, 1008, 1013
#: Wrong messages, one after the other, after which the visitor is sent away.
MOST_WRONG = 20


async def visit(socket: WebSocket) -> None:
    """Answer a visitor until they leave, are silent for too long, or send nothing but faults."""
    service: Service = socket.app.state.service
    await socket.accept()
    if not service.enter():
        service.metrics.add("emotion_refused_total", code="busy")
        words = f"there are {service.limits.sessions} visitors already; try again later"
        await socket.send_json(RefusedError(429, words).body)
        await socket.close(TRY_LATER)
        return
    try:
        code = await _answer(socket, service)
        if code is not None:
            await socket.close(code)
    except (WebSocketDisconnect, OSError):
        pass
    finally:
        service.leave()


async def _answer(socket: WebSocket, service: Service) -> int | None:
    """The code to close the socket with; None where the visitor has left."""
    visitor = Visitor(service)
    wrong = 0
    while wrong < MOST_WRONG:
        try:
            async with asyncio.timeout(service.limits.idle):
                message = await socket.receive()
        except TimeoutError:
            return AWAY
        if message["type"] != "websocket.receive":
            return None
        try:
            answer, wrong = await visitor.answer(message.get("bytes"), message.get("text")), 0
        except RefusedError as refusal:
            service.metrics.add("emotion_refused_total", code=refusal.body["error"]["code"])
            answer, wrong = json.dumps(refusal.body), wrong + 1
        try:
            async with asyncio.timeout(UNREAD):
                await socket.send_text(answer)
        except TimeoutError:
            return None
    return POLICY


class Visitor:
    """One visitor's session and what they have set."""

    def __init__(self, service: Service) -> None:
        self._service, self._settings, self._prior = service, service.settings, service.priors[0]
        self._session: Session | None = None
        self._frames = 0
        self._rates = Rates(service.limits.frames, service.limits.frames)

    async def answer(self, data: bytes | None, text: str | None) -> str:
        """The answer to a message.

        Raises:
            RefusedError: What is wrong with it.
        """
        if data is None:
            return self._set(text or "")
        number, self._frames = self._frames, self._frames + 1
        if self._rates.wait("", time.monotonic()):
            return json.dumps({"frame": number, "dropped": True})
        answer, seconds, labels = await self._service.work(self._label, number, data, waits=True)
        self._service.metrics.worked("live", seconds, labels)
        return answer

    def _label(self, number: int, data: bytes) -> tuple[str, float, list[str]]:
        began = time.perf_counter()
        if len(data) < 9:
            raise RefusedError(400, "a frame is eight bytes of time, then a picture")
        (milliseconds,) = struct.unpack(">d", data[:8])
        if not math.isfinite(milliseconds) or abs(milliseconds) > 1e15:
            raise RefusedError(422, "the time is not a number of milliseconds", "time")
        image = uploads.decoded(data[8:], self._service.limits)
        if self._session is None:
            self._session = self._service.session(self._settings, self._prior)
        faces = self._session.step(image, milliseconds / 1000)
        seconds = time.perf_counter() - began
        record = {
            "frame": number,
            "time": round(milliseconds / 1000, 6),
            "width": image.shape[1],
            "height": image.shape[0],
            "faces": [face.record(self._service.model.labels) for face in faces],
            "seconds": round(seconds, 6),
        }
        return json.dumps(record), seconds, [face.label for face in faces]

    def _set(self, text: str) -> str:
        try:
            wanted = json.loads(text)
        except (ValueError, RecursionError):
            wanted = None
        if not isinstance(wanted, dict):
            raise RefusedError(400, "text must be JSON: an object of settings")
        settings, prior, ranges = self._settings, self._prior, {"smoothing": 60, "min_confidence": 1}
        for key, value in wanted.items():
            if key == "reset" and value is True:
                continue
            if key == "prior":
                if value not in self._service.priors:
                    known = ", ".join(self._service.priors) or "none for this model"
                    raise RefusedError(422, f"prior must be one of: {known}", key)
                prior = value
                continue
            most = ranges.get(key)
            if most is None:
                known = ", ".join((*ranges, "prior", "reset"))
                raise RefusedError(422, f"there is no setting '{key[:40]}'; there are {known}", key[:60])
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
                raise RefusedError(422, f"{key} must be a number from 0 to {most}", key)
            changed: dict[str, Any] = {key: float(value)}
            settings = replace(settings, **changed)
        self._settings, self._prior, self._session = settings, prior, None  # tracks begin anew
        return json.dumps({"settings": {key: getattr(settings, key) for key in ranges} | {"prior": prior}})
