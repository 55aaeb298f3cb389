"""The main loop: take labelled frames, draw, write, until the frames end or the user stops it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice

from emotion.base.interrupts import Stop
from emotion.base.progress import progress
from emotion.faces.images import Image
from emotion.faces.labelled import Face
from emotion.live.labeller import Labeller
from emotion.live.sinks import Sink
from emotion.live.summary import Summary, Tally

Overlay = Callable[[Image, Sequence[Face]], Image]


def run(
    labeller: Labeller,
    sinks: Sequence[Sink] = (),
    overlay: Overlay = lambda image, faces: image,
    stop: Stop | None = None,
    idle: Callable[[], bool] | None = None,
) -> Summary:
    """Label a source's frames and write them to the sinks, which are opened before and closed after, in any case.

    Frames are read, searched and classified in threads; drawing and sinks stay in the caller's, as a window must.

    Args:
        labeller: Finds and labels the faces of its source.
        sinks: Where the frames go.
        overlay: Draws faces on a frame; used where a sink shows the image.
        stop: Asked before each frame; the one that the source was opened with.
        idle: Called while no frame comes; False ends the loop.
    """
    stop = stop or Stop()
    tally = Tally(labeller.labels)
    draws = any(sink.draws for sink in sinks)
    with ExitStack() as stack:
        for sink in sinks:
            stack.enter_context(sink)
        total = labeller.stream.total
        advance = stack.enter_context(progress(total, "frames")) if total else None
        started = time.perf_counter()
        labelled = stack.enter_context(labeller.labelled(stop.end))
        for item in islice(labelled.take(lambda: not stop() and (idle is None or idle())), labeller.stream.limit):
            if stop():
                break
            began = time.perf_counter()
            image = overlay(item.frame.image, item.shown) if draws else item.frame.image
            drawn = time.perf_counter()
            is_wanted = [sink.write(item.frame, item.faces, image) for sink in sinks]
            tally.add(item, {"draw": drawn - began, "write": time.perf_counter() - drawn})
            if advance is not None:
                advance(1)
            if not all(is_wanted):
                break
        seconds = time.perf_counter() - started
    return tally.summary(labeller.read, labelled.dropped, seconds)
