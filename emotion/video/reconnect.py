"""Frames of a camera or a live stream, which may go away and come back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import TypeVar

import cv2

from emotion.base.errors import UserError
from emotion.faces.images import Image
from emotion.video.capture import aspect, bgr
from emotion.video.frame import Frame

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Seconds that a source which went away may take to come back.
RECONNECT_SECONDS = 20.0
#: Seconds before the first attempt; each next wait is twice as long, up to the second number.
FIRST_WAIT, LONGEST_WAIT = 0.5, 4.0
#: Reads that may give nothing, one after the other, before a source counts as gone: cameras miss single ones.
MISSED_READS = 5
#: Seconds that a camera may take to wake up and give its first frame.
WAKE_SECONDS = 8.0
#: Seconds between two checks whether to stop.
_POLL_SECONDS = 0.1

Capture = cv2.VideoCapture


class Worker:
    """One thread that does what may block, so that the caller can give up at once.

    OpenCV offers no way to interrupt a read. A read that was given up continues in the thread until OpenCV's own
    time-out, and the capture is released there after it: releasing it during a read would crash.
    """

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.stopped, self._closed = stopped, False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="capture")

    def do(self, call: Callable[[], T]) -> T | None:
        """The call's result, or None as soon as ``stopped`` is true."""
        future: Future[T] = self._pool.submit(call)
        while not wait_for([future], _POLL_SECONDS).done:
            if self.stopped():
                return None
        return future.result()

    def close(self, capture: Capture | None = None) -> None:
        """Release a capture and end the thread once the running call is done, without waiting for either."""
        if capture is not None and not self._closed:
            self._pool.submit(capture.release)
        self._closed = True
        self._pool.shutdown(wait=False)


def read(
    capture: Capture,
    reopen: Callable[[], Capture | None],
    name: str,
    worker: Worker,
    stride: int,
    limit: float,
    wake: float = 0.0,
) -> Generator[Frame, None, None]:
    """The frames of a live source, with the clock's time, until it is gone for good or the worker is stopped.

    The capture is released and the worker closed at the end. A source that goes away has ``limit`` seconds to return,
    and ``wake`` seconds to give its first frame.

    Raises:
        UserError: Not one frame came.
    """
    current = capture
    index, started, now = 0, 0.0, 0.0
    try:
        while not worker.stopped():
            result = _patiently(current, worker, wake if index == 0 else 0.0)
            if result is None:
                return
            ok, image = result
            if not ok:
                if index == 0:
                    waited = f" within {wake:g} s" if wake else ""
                    raise UserError(
                        f"source: {name} was opened, but gave no frame{waited}. Check that no other program uses it, "
                        "and whether it plays elsewhere"
                    )
                lost = f"frame {index - 1} ({now:.1f} s)"
                log.warning("%s: nothing came after %s; trying to reach it again for %g s", name, lost, limit)
                worker.do(current.release)
                reopened = _reopened(reopen, worker, limit)
                if reopened is None:
                    if not worker.stopped():
                        log.warning("%s: did not come back within %g s; ended after %s", name, limit, lost)
                    return
                current, image = reopened
                log.warning("%s: back after %.1f s", name, time.monotonic() - started - now)
            instant = time.monotonic()
            started = started if index else instant
            now = instant - started
            if index % stride == 0:
                yield Frame(index, now, bgr(image, aspect(current)))
            index += 1
    finally:
        worker.close(current)


def _patiently(capture: Capture, worker: Worker, wake: float) -> tuple[bool, Image] | None:
    """A read, tried again where it gives nothing; None where the worker is stopped."""
    deadline, missed = time.monotonic() + wake, 0
    while True:
        result = worker.do(capture.read)
        missed += 1
        if result is None or result[0] or (missed >= MISSED_READS and time.monotonic() >= deadline):
            return result  # type: ignore[return-value]
        time.sleep(_POLL_SECONDS / 4)


def _reopened(reopen: Callable[[], Capture | None], worker: Worker, limit: float) -> tuple[Capture, Image] | None:
    """The source opened again, with its first frame; None where the time ran out or the worker is stopped."""
    deadline, pause = time.monotonic() + limit, FIRST_WAIT
    while time.monotonic() < deadline:
        until = min(time.monotonic() + pause, deadline)
        while (left := until - time.monotonic()) > 0:
            if worker.stopped():
                return None
            time.sleep(min(left, _POLL_SECONDS))
        capture = worker.do(reopen)
        if capture is not None:
            ok, image = worker.do(capture.read) or (False, None)
            if ok:
                return capture, image  # type: ignore[return-value]
            worker.do(capture.release)
        pause = min(2 * pause, LONGEST_WAIT)
    return None
