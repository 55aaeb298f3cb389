"""Frames of a video file, in order, with its own timestamps, past what is damaged."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator

import cv2

from emotion.base.errors import UserError
from emotion.video import capture as captures
from emotion.video.frame import Frame

Stopped = Callable[[], bool]
log = logging.getLogger(__name__)

#: Reads that may fail, one after the other, before a file counts as ended, and the seconds they may take together.
MOST_FAILED, LONGEST_FAILED = 1000, 5.0
#: Damaged places that are reported one by one; the others are counted.
MOST_REPORTED = 5
#: Frames by which a whole file may fall short of what it announces: a number, and a fraction.
FEW, FRACTION = 2, 0.02


def read(
    capture: cv2.VideoCapture, name: str, stopped: Stopped, stride: int = 1, start: tuple[int, float] = (0, 0.0)
) -> Generator[Frame, None, tuple[int, float]]:
    """The frames of an open file, which the caller releases; returns index and time of the frame that would come next.

    OpenCV gives no reason when it gives no frame. A damaged place fails once for each of its frames and then continues,
    so failing reads are counted as frames until too many fail together. A file that is played again begins at the index
    and time ``start``, and its damage is reported the first time.

    Raises:
        UserError: Not one frame could be decoded.
    """
    rate, announced = captures.rate(capture), captures.announced(capture)
    first, aspect = start == (0, 0.0), captures.aspect(capture)
    index, previous, end, places, skipped = 0, -1 / rate, 0.0, 0, 0
    while (failed := _advance(capture, index, announced, stopped)) is not None:
        index += failed
        now = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not math.isfinite(now) or now <= previous:  # some containers have no timestamps
            now = previous + 1 / rate
        # The clock of a clip cut from a longer one may start late; what the file announces counts from zero.
        end = capture.get(cv2.CAP_PROP_PTS) + 1
        if (start[0] + index) % stride == 0:
            ok, image = capture.retrieve()
            if ok:
                yield Frame(start[0] + index, start[1] + now, captures.bgr(image, aspect))
            else:
                failed += 1
        if failed:
            places, skipped = places + 1, skipped + failed
            if first and places <= MOST_REPORTED:
                log.warning("%s: %d damaged frames skipped before %.2f s (frame %d)", name, failed, now, index)
        index, previous = index + 1, now
    if index == skipped and not stopped():
        why = "it is damaged, or its codec is missing"
        if "://" in name:  # an MP4 may have its index at the end
            why = "its server may be unable to send parts of a file. Download it and give the file"
        raise UserError(f"source: no frame of '{name}' could be decoded; {why}")
    if first and not stopped():
        if places > MOST_REPORTED:
            log.warning("%s: %d damaged frames skipped in %d places", name, skipped, places)
        if announced is not None and announced - max(index, end) > max(FEW, FRACTION * announced):
            log.warning(
                "%s: ended after frame %d (%.2f s), though it announces %d frames: the rest cannot be decoded, or its "
                "film is shorter than what else it holds",
                *(name, index - 1, previous, announced),
            )
    return start[0] + index, start[1] + previous + 1 / rate


def repeat(
    capture: cv2.VideoCapture, reopen: Callable[[], cv2.VideoCapture], name: str, stopped: Stopped, stride: int = 1
) -> Generator[Frame, None, None]:
    """The frames of a file that starts again at its end; index and time keep rising."""
    start = yield from read(capture, name, stopped, stride)
    capture.release()
    while not stopped():
        again = reopen()  # seeking back is not exact in every container
        try:
            start = yield from read(again, name, stopped, stride, start)
        finally:
            again.release()


def _advance(capture: cv2.VideoCapture, index: int, announced: int | None, stopped: Stopped) -> int | None:
    """Go to the next frame that decodes; returns how many were skipped, or None at the end."""
    if capture.grab():
        return 0
    deadline = time.monotonic() + LONGEST_FAILED
    most = MOST_FAILED if announced is None else min(MOST_FAILED, announced - index)
    for failed in range(1, most):
        if stopped() or time.monotonic() > deadline:
            return None
        if capture.grab():
            return failed
    return None
