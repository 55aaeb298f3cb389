"""``display=browser``: the annotated frames on the page of :mod:`emotion.serve`, for everyone who opens it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Self

import cv2

from emotion.base.interrupts import Stop
from emotion.config.commands import ServeLimits
from emotion.faces.images import Image
from emotion.faces.labelled import Face
from emotion.inference.model import Model
from emotion.live.sinks import Sink
from emotion.serve import address, app, errors, metrics, server
from emotion.serve.broadcast import Broadcast
from emotion.serve.service import Service
from emotion.video.frame import Frame, Stream

#: JPEG quality: small enough for a few viewers on a home network.
QUALITY = 80
#: Seconds between two checks whether to stop, while a file waits for its next frame's time.
_POLL = 0.05


class Browser(Sink):
    """Shows the annotated frames in browsers, and as ``/stream.mjpg``. A file plays at its own speed.

    Args:
        cfg: The keys of :class:`emotion.config.commands.Viewing`.
        stream: The source.
        model: What the page says of it.
        stopped: Ends waiting when it returns True.

    Raises:
        UserError: A port that is taken, a wrong token or TLS file, or packages that are missing.
    """

    draws = True

    def __init__(self, cfg: Any, stream: Stream, model: Model, stopped: Callable[[], bool]) -> None:
        self._stack = ExitStack()
        self._opened = self._stack.enter_context(address.opened(cfg))
        self._model, self._pace, self._stopped = model, not stream.live, stopped
        self._broadcast = Broadcast(stream.name)
        self._origin: float | None = None
        counts = metrics.Metrics(model.labels, tuple(errors.CODES.values()))
        self._service = Service(model, ServeLimits(sessions=cfg.viewers), counts)
        self._stop, self._started = Stop(), threading.Event()
        self._error: Exception | None = None

    def __enter__(self) -> Self:
        application = app.create(self._service, self._opened.access, self._broadcast)
        arguments = (application, self._opened.bound, self._opened.tls, self._stop, self._started.set)
        self._thread = threading.Thread(target=self._serve, args=arguments, name="emotion browser", daemon=True)
        self._thread.start()
        while not self._started.wait(_POLL):
            if not self._thread.is_alive():
                self._stack.close()
                raise self._error or RuntimeError("the server of display=browser ended before it began")
        print(f"watch it at {self._opened.url}", flush=True)
        return self

    def _serve(self, *arguments: Any) -> None:
        try:
            server.serve(*arguments)
        except Exception as error:
            self._error = error
            if self._started.is_set():
                raise

    def __exit__(self, *_: object) -> None:
        self._broadcast.end()
        time.sleep(_POLL)  # the viewers are told before the server ends
        self._stop.end()
        self._thread.join()
        self._stack.close()

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        if self._broadcast.viewers:
            record = {
                "frame": frame.index,
                "time": round(frame.time, 6),
                "width": annotated.shape[1],
                "height": annotated.shape[0],
                "faces": [face.record(self._model.labels) for face in faces],
            }
            _, data = cv2.imencode(".jpg", annotated, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            self._broadcast.offer(record, data.tobytes())
        return self._wait(frame.time)

    def _wait(self, seconds: float) -> bool:
        """Let a file's frame be seen until the next one's time; one that is late is not caught up with."""
        now = time.monotonic()
        if self._origin is None or now > self._origin + seconds + 0.5:
            self._origin = now - seconds
        while self._pace and (left := self._origin + seconds - time.monotonic()) > 0:
            if self._stopped():
                return False
            time.sleep(min(left, _POLL))
        return True
