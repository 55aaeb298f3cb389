"""What a live run did, counted while it runs and printed at its end."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emotion.faces.labelled import UNCERTAIN
from emotion.live.labeller import Labelled

STAGES = ("read", "detect", "crop", "classify", "draw", "write")
#: The timings of this many last frames are kept: a camera may run for weeks.
TIMED_FRAMES = 10_000


@dataclass(frozen=True)
class Summary:
    """What the loop did.

    Attributes:
        read: Frames that the source gave; those in flight when the loop ended are neither processed nor dropped.
        processed: Frames that went through every stage.
        dropped: Frames that a live source gave while a newer one was waiting to be processed.
        faces: Faces in the processed frames.
        tracks: People, as far as tracks can distinguish them; faces of single images have none.
        seconds: From the first frame's reading to the end.
        stages: Seconds per frame, ``(median, 95th percentile)`` by stage, over the last :data:`TIMED_FRAMES` frames.
        shares: The share of each label that occurred among the faces, ``uncertain`` included.
    """

    read: int
    processed: int
    dropped: int
    faces: int
    tracks: int
    seconds: float
    stages: dict[str, tuple[float, float]]
    shares: dict[str, float]


class Tally:
    """Counts frames, faces and seconds; its memory does not grow with the number of frames."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = (*labels, UNCERTAIN)
        self._timings: deque[list[float]] = deque(maxlen=TIMED_FRAMES)
        self._counts: Counter[str] = Counter()
        self._tracks = 0
        self.frames = 0

    def add(self, labelled: Labelled, seconds: dict[str, float]) -> None:
        """Count a frame; ``seconds`` are those of the stages after its labelling."""
        self._timings.append([(labelled.seconds | seconds).get(stage, 0.0) for stage in STAGES])
        self._counts.update(face.label for face in labelled.faces)
        # Tracks are numbered from 1, and a number that was skipped was a face too.
        self._tracks = max(self._tracks, *(face.track or 0 for face in labelled.faces), 0)
        self.frames += 1

    def summary(self, read: int, dropped: int, seconds: float) -> Summary:
        faces = self._counts.total()
        stages = {}
        if self._timings:
            rows = np.percentile(self._timings, (50, 95), axis=0).T.tolist()
            stages = {name: (median, tail) for name, (median, tail) in zip(STAGES, rows, strict=True)}
        shares = {label: self._counts[label] / faces for label in self._labels if self._counts[label]}
        return Summary(read, self.frames, dropped, faces, self._tracks, seconds, stages, shares)


def report(summary: Summary) -> str:
    """The summary as a table."""
    rate = summary.processed / summary.seconds if summary.seconds else 0.0
    tracks = f", in {summary.tracks} track{'s' * (summary.tracks > 1)}" if summary.tracks else ""
    lines = [
        f"frames: {summary.read} read, {summary.processed} processed, {summary.dropped} dropped; "
        f"{summary.seconds:.1f} s, {rate:.1f} frames/s",
        f"faces:  {summary.faces}{tracks}",
    ]
    if summary.stages:
        lines.append(f"  {'ms per frame':<14}{'p50':>8}{'p95':>8}")
        lines += [f"  {name:<14}{p50 * 1e3:>8.2f}{p95 * 1e3:>8.2f}" for name, (p50, p95) in summary.stages.items()]
    if summary.shares:
        lines.append(f"  {'emotion':<14}{'share':>8}")
        ranked = sorted(summary.shares.items(), key=lambda item: -item[1])
        lines += [f"  {label:<14}{share:>8.1%}" for label, share in ranked]
    return "\n".join(lines)
