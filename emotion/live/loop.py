"""The loop: read, detect, classify, draw, write, until the frames end or somebody stops it."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

from emotion.faces import Box, Image
from emotion.live.annotate import annotate
from emotion.live.classifier import Classifier
from emotion.live.sinks import Sink
from emotion.live.source import Frame

STAGES = ("read", "detect", "classify", "draw", "write")
#: The timings of this many last frames are kept: a camera may run for weeks.
TIMED_FRAMES = 10_000


@dataclass(frozen=True)
class Summary:
    """What the loop did.

    Attributes:
        frames: Frames that went through every stage.
        faces: Faces in them.
        seconds: From the first frame's reading to the end.
        stages: Seconds a frame, ``(median, 95th percentile)`` by stage, over the last :data:`TIMED_FRAMES` frames.
        shares: The share of each label among the faces; empty when there were none.
    """

    frames: int
    faces: int
    seconds: float
    stages: dict[str, tuple[float, float]]
    shares: dict[str, float]


class Interruption:
    """Whether SIGINT or SIGTERM has come. A second one raises KeyboardInterrupt at once."""

    signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def interruption() -> Iterator[Interruption]:
    """Turn SIGINT and SIGTERM into a flag, so that the loop ends between two frames and files are whole.

    Outside the main thread, which alone may handle signals, the flag stays down.
    """
    asked = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, asked.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(
    frames: Iterable[Frame],
    detector: Callable[[Image], Sequence[Box]],
    classifier: Classifier,
    sinks: Sequence[Sink] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> Summary:
    """Label frames and hand them to the sinks, which are opened before and closed after, whatever happens.

    Args:
        frames: From :mod:`emotion.live.source`.
        detector: Finds the faces of a frame.
        classifier: Labels them, all faces of a frame in one batch.
        sinks: From :mod:`emotion.live.sinks`; what they draw on is drawn once.
        stopped: Asked before each frame; True ends the loop.
    """
    timings: deque[tuple[float, ...]] = deque(maxlen=TIMED_FRAMES)
    counts: Counter[str] = Counter()
    count = 0
    draws = any(sink.draws for sink in sinks)
    with ExitStack() as stack:
        for sink in sinks:
            stack.enter_context(sink)
        iterator = iter(frames)
        started = time.perf_counter()
        go_on = True
        while go_on and not stopped():
            clock = [time.perf_counter()]
            frame = next(iterator, None)
            if frame is None:
                break
            clock.append(time.perf_counter())
            boxes = detector(frame.image)
            clock.append(time.perf_counter())
            faces = classifier.label(frame.image, boxes)
            clock.append(time.perf_counter())
            annotated = annotate(frame.image, faces) if draws else frame.image
            clock.append(time.perf_counter())
            answers = [sink.write(frame, faces, annotated) for sink in sinks]
            go_on = all(answers)
            clock.append(time.perf_counter())
            timings.append(tuple(np.diff(clock).tolist()))
            counts.update(face.label for face in faces)
            count += 1
    return _summary(count, time.perf_counter() - started, timings, counts, classifier.contract.labels)


def _summary(
    frames: int, seconds: float, timings: deque[tuple[float, ...]], counts: Counter[str], labels: Sequence[str]
) -> Summary:
    faces = counts.total()
    stages: dict[str, tuple[float, float]] = {}
    if timings:
        medians, tails = np.percentile(np.asarray(timings), (50, 95), axis=0)
        stages = {name: (float(a), float(b)) for name, a, b in zip(STAGES, medians, tails, strict=True)}
    shares = {label: counts[label] / faces for label in labels} if faces else {}
    return Summary(frames, faces, seconds, stages, shares)


def report(summary: Summary) -> str:
    """The summary as a small table."""
    rate = summary.frames / summary.seconds if summary.seconds else 0.0
    lines = [f"frames {summary.frames}, faces {summary.faces}, {summary.seconds:.1f} s, {rate:.1f} frames/s"]
    if summary.stages:
        lines.append(f"  {'ms a frame':<12}{'p50':>8}{'p95':>8}")
        lines += [f"  {name:<12}{p50 * 1e3:>8.1f}{p95 * 1e3:>8.1f}" for name, (p50, p95) in summary.stages.items()]
    if summary.shares:
        ranked: list[tuple[str, Any]] = sorted(summary.shares.items(), key=lambda item: -item[1])
        lines.append("  " + ", ".join(f"{label} {share:.0%}" for label, share in ranked if share))
    return "\n".join(lines)
