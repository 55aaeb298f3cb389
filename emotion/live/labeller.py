"""From frames to labelled faces: the steps between a source and the sinks, each in its own thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from emotion.faces.images import Box
from emotion.faces.labelled import Face
from emotion.inference.classifier import Classifier
from emotion.live.parallel import Parallel
from emotion.live.smoothing import LINGERING, BoxStabiliser, Smoother
from emotion.live.tracker import Tracker
from emotion.video.detector import Detector, Scan
from emotion.video.frame import Frame, Stream


@dataclass(frozen=True)
class Labelled:
    """A frame and what was found in it."""

    frame: Frame
    faces: list[Face]  # largest first
    shown: list[Face]  # as they are drawn; see BoxStabiliser
    seconds: dict[str, float]  # by stage


@dataclass
class _Job:
    """A frame on its way through the stages."""

    frame: Frame
    seconds: dict[str, float]  # by stage
    scan: Scan = field(init=False)
    boxes: list[Box] = field(init=False)


class Labeller:
    """Finds, follows and labels the faces of one source.

    Args:
        stream: The source. Where its frames are independent, nothing is tracked or smoothed.
        detector: Used for this source alone.
        classifier: Gives the probabilities of each label.
        smoothing, min_confidence, max_gap: As for :func:`emotion.live.label_frames`.
        lingering: Seconds for which a face that is missing stays drawn.
    """

    def __init__(
        self,
        stream: Stream,
        detector: Detector,
        classifier: Classifier,
        *,
        smoothing: float,
        min_confidence: float,
        max_gap: float,
        lingering: float = LINGERING,
    ) -> None:
        self.stream, self.labels = stream, classifier.contract.labels
        self.read = 0  #: frames that the source has given so far
        self._detector, self._classifier = detector, classifier
        self._tracker, self._stabiliser = Tracker(max_gap=max_gap), BoxStabiliser(lingering)
        self._smoother = Smoother(0.0 if stream.independent else smoothing, min_confidence, self.labels)

    def labelled(self, ending: Callable[[], None]) -> Parallel[Labelled]:
        """The stream's frames with their faces, in threads that end with the context.

        ``ending`` makes the stream give up where it waits for its camera.
        """
        return Parallel(self._read(), (self._scan, self._find, self._label), self.stream.live, ending)

    def _scan(self, job: _Job) -> _Job:
        began = time.perf_counter()
        if self.stream.independent:
            self._detector.reset()
        job.scan = self._detector.scan(job.frame.image)
        job.seconds["detect"] = time.perf_counter() - began
        return job

    def _find(self, job: _Job) -> _Job:
        began = time.perf_counter()
        job.boxes = self._detector.find(job.scan)
        job.seconds["detect"] += time.perf_counter() - began
        return job

    def _label(self, job: _Job) -> Labelled:
        began = time.perf_counter()
        batch = self._classifier.prepare(job.frame.image, job.boxes)
        cut = time.perf_counter()
        rows = self._classifier.probabilities(batch).tolist()
        if job.scan.is_cut:
            self._tracker.reset()
            self._smoother.reset()
            self._stabiliser.reset()
        faces = self._faces(job, rows)
        job.seconds |= {"crop": cut - began, "classify": time.perf_counter() - cut}
        return Labelled(job.frame, faces, self._stabiliser.update(job.frame.time, faces), job.seconds)

    def _faces(self, job: _Job, rows: list[list[float]]) -> list[Face]:
        alone, when = self.stream.independent, job.frame.time
        numbers = range(len(rows)) if alone else self._tracker.update(when, job.boxes)
        faces = []
        for box, raw, number in zip(job.boxes, rows, numbers, strict=True):
            probabilities, label, confidence = self._smoother.update(number, when, raw)
            faces.append(Face(box, label, confidence, probabilities, tuple(raw), None if alone else number))
        self._smoother.keep(self._tracker.alive)
        return faces

    def _read(self) -> Iterator[_Job]:
        while True:
            began = time.perf_counter()
            frame = next(self.stream.frames, None)
            if frame is None:
                return
            self.read += 1
            yield _Job(frame, {"read": time.perf_counter() - began})
