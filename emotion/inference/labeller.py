"""From a source's frames to labelled faces: the steps of a session, each in its own thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from emotion.faces.images import Box
from emotion.faces.labelled import Face
from emotion.inference.classifier import Classifier
from emotion.inference.session import Session, Settings
from emotion.video.detector import Scan
from emotion.video.frame import Frame, Stream
from emotion.video.parallel import Parallel


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
        classifier: Gives the probabilities of each label.
        settings: Of the session that does it.
    """

    def __init__(self, stream: Stream, classifier: Classifier, settings: Settings | None = None) -> None:
        self.stream, self.labels = stream, classifier.contract.labels
        self.read = 0  #: frames that the source has given so far
        self._classifier, self._session = classifier, Session(classifier, settings, stream.independent)

    def labelled(self, ending: Callable[[], None]) -> Parallel[Labelled]:
        """The stream's frames with their faces, in threads that end with the context.

        ``ending`` makes the stream give up where it waits for its camera.
        """
        return Parallel(self._read(), (self._scan, self._find, self._label), self.stream.live, ending)

    def _scan(self, job: _Job) -> _Job:
        began = time.perf_counter()
        job.scan = self._session.scan(job.frame.image)
        job.seconds["detect"] = time.perf_counter() - began
        return job

    def _find(self, job: _Job) -> _Job:
        began = time.perf_counter()
        job.boxes = self._session.find(job.scan)
        job.seconds["detect"] += time.perf_counter() - began
        return job

    def _label(self, job: _Job) -> Labelled:
        began = time.perf_counter()
        batch = self._classifier.prepare(job.frame.image, job.boxes)
        cut = time.perf_counter()
        rows = self._classifier.probabilities(batch).tolist()
        faces = self._session.label(job.frame.time, job.boxes, rows, job.scan.is_cut)
        job.seconds |= {"crop": cut - began, "classify": time.perf_counter() - cut}
        return Labelled(job.frame, faces, self._session.shown(job.frame.time, faces), job.seconds)

    def _read(self) -> Iterator[_Job]:
        while True:
            began = time.perf_counter()
            frame = next(self.stream.frames, None)
            if frame is None:
                return
            self.read += 1
            yield _Job(frame, {"read": time.perf_counter() - began})
