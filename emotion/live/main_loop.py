"""The main loop: take labelled frames, draw, write, until the frames end or the user stops it; and its summary."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

import numpy as np

from emotion.base.interrupts import Stop
from emotion.base.progress import progress
from emotion.faces.images import Image
from emotion.faces.labelled import UNCERTAIN, Face
from emotion.inference.labeller import Labelled, Labeller
from emotion.live.sinks import Sink

Overlay = Callable[[Image, Sequence[Face]], Image]

STAGES = ("read", "detect", "crop", "classify", "draw", "write")
#: The timings of this many last frames are kept: a camera may run for weeks.
TIMED_FRAMES = 10_000


@dataclass(frozen=True)
class Summary:
    """What the loop did."""

    read: int  #: frames that the source gave; those in flight at the end are neither processed nor dropped
    processed: int  #: frames that went through every stage
    dropped: int  #: frames that a live source gave while a newer one was waiting to be processed
    faces: int  #: in the processed frames
    tracks: int  #: people, as far as tracks can distinguish them; faces of single images have none
    seconds: float  #: from the first frame's reading to the end
    stages: dict[str, tuple[float, float]]  #: seconds per frame, (median, 95th percentile), of the last frames
    shares: dict[str, float]  #: of each label that occurred among the faces, ``uncertain`` included
    highest: float = 0.0  #: the highest confidence of a face
    pictures: dict[str, int] | None = None  #: of images: how many are ``with_face``, ``without_face``, ``unreadable``


class Tally:
    """Counts frames, faces and seconds; its memory does not grow with the number of frames."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = (*labels, UNCERTAIN)
        self._timings: deque[list[float]] = deque(maxlen=TIMED_FRAMES)
        self._counts: Counter[str] = Counter()
        self._tracks = self._empty = 0
        self._highest = 0.0
        self.frames = 0

    def add(self, labelled: Labelled, seconds: dict[str, float]) -> None:
        """Count a frame; ``seconds`` are those of the stages after its labelling."""
        self._timings.append([(labelled.seconds | seconds).get(stage, 0.0) for stage in STAGES])
        self._counts.update(face.label for face in labelled.faces)
        # Tracks are numbered from 1, and a number that was skipped was a face too.
        self._tracks = max(self._tracks, *(face.track or 0 for face in labelled.faces), 0)
        self._empty += not labelled.faces
        self._highest = max(self._highest, *(face.confidence for face in labelled.faces), 0.0)
        self.frames += 1

    def summary(self, read: int, dropped: int, seconds: float, unreadable: int | None = None) -> Summary:
        """What was counted; ``unreadable`` counts images that were skipped, None is for what is no images."""
        faces = self._counts.total()
        stages = {}
        if self._timings:
            rows = np.percentile(self._timings, (50, 95), axis=0).T.tolist()
            stages = {name: (median, tail) for name, (median, tail) in zip(STAGES, rows, strict=True)}
        shares = {label: self._counts[label] / faces for label in self._labels if self._counts[label]}
        pictures = None
        if unreadable is not None:
            found = self.frames - self._empty
            pictures = {"with_face": found, "without_face": self._empty, "unreadable": unreadable}
        return Summary(
            read, self.frames, dropped, faces, self._tracks, seconds, stages, shares, self._highest, pictures
        )


def report(summary: Summary) -> str:
    """The summary as a table."""
    rate = summary.processed / summary.seconds if summary.seconds else 0.0
    tracks = f", in {summary.tracks} track{'s' * (summary.tracks > 1)}" if summary.tracks else ""
    lines = [
        f"frames: {summary.read} read, {summary.processed} processed, {summary.dropped} dropped; "
        f"{summary.seconds:.1f} s, {rate:.1f} frames/s",
        f"faces:  {summary.faces}{tracks}",
    ]
    if summary.pictures is not None:
        found, none, unreadable = summary.pictures.values()
        lines.append(f"images: {found} with a face, {none} without, {unreadable} that cannot be read")
    if summary.stages:
        lines.append(f"  {'ms per frame':<14}{'p50':>8}{'p95':>8}")
        lines += [f"  {name:<14}{p50 * 1e3:>8.2f}{p95 * 1e3:>8.2f}" for name, (p50, p95) in summary.stages.items()]
    if summary.shares:
        lines.append(f"  {'emotion':<14}{'share':>8}")
        ranked = sorted(summary.shares.items(), key=lambda item: -item[1])
        lines += [f"  {label:<14}{share:>8.1%}" for label, share in ranked]
    return "\n".join(lines)


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
        sinks: The outputs of the frames.
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
    unreadable = len(labeller.stream.unreadable) if labeller.stream.independent else None
    return tally.summary(labeller.read, labelled.dropped, seconds, unreadable)
