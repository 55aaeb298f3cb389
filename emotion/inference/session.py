"""One camera's loop without threads: find the faces of a frame, follow them, label them and smooth their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emotion.config import commands
from emotion.faces.images import Box, Image
from emotion.faces.labelled import Face
from emotion.inference.classifier import Classifier
from emotion.inference.priors import TrackPriors
from emotion.video.detector import Detector, Scan
from emotion.video.smoothing import LINGERING, BoxStabiliser, Smoother
from emotion.video.tracker import Tracker


@dataclass(frozen=True)
class Settings:
    """How a session searches, follows and smooths; the defaults are those of ``conf/live.yaml``.

    Attributes:
        smoothing: Seconds over which a track's probabilities are averaged; 0 takes each frame by itself.
        min_confidence: Less probable labels become "uncertain".
        max_gap: Seconds that a face may be out of sight and keep its track.
        detector: How faces are searched for; None uses the defaults.
        lingering: Seconds for which a face that is missing stays drawn.
        estimates_prior: Whether each track's class prior is estimated from its own answers.
    """

    smoothing: float = commands.Live.smoothing
    min_confidence: float = commands.Live.min_confidence
    max_gap: float = commands.Live.max_gap
    detector: commands.Detector | None = None
    lingering: float = LINGERING
    estimates_prior: bool = False


class Session:
    """The state of one source: its detector, tracks and averages. Used by one thread at a time.

    :meth:`scan`, :meth:`find` and :meth:`label` are the steps of a frame, in this order. Each keeps its own state, so
    that three threads may work on three frames, as long as each sees the frames in their order.

    Args:
        classifier: Gives the probabilities of each label; may be shared with other sessions.
        settings: How it works.
        independent: Each frame stands alone: nothing is tracked or smoothed, and smaller faces are searched for.
    """

    def __init__(self, classifier: Classifier, settings: Settings | None = None, independent: bool = False) -> None:
        settings = settings or Settings()
        self.labels, self._classifier, self._independent = classifier.contract.labels, classifier, independent
        self._detector = Detector(settings.detector, still=independent)
        self._tracker, self._stabiliser = Tracker(max_gap=settings.max_gap), BoxStabiliser(settings.lingering)
        self._priors = TrackPriors(classifier.contract) if settings.estimates_prior and not independent else None
        self._smoother = Smoother(0.0 if independent else settings.smoothing, settings.min_confidence, self.labels)

    def step(self, image: Image, time: float) -> list[Face]:
        """The faces of a frame, uint8 grey ``[H, W]`` or BGR ``[H, W, 3]``, at a time in seconds; largest first."""
        scan = self.scan(image)
        boxes = self.find(scan)
        rows = self._classifier.probabilities(self._classifier.prepare(image, boxes)).tolist()
        return self.label(time, boxes, rows, scan.is_cut)

    def reset(self) -> None:
        """Forget all frames before, as when another camera is chosen: the next faces are new."""
        self._detector.reset()
        self._forget()

    def scan(self, image: Image) -> Scan:
        """Search a frame; see :meth:`emotion.video.detector.Detector.scan`."""
        if self._independent:
            self._detector.reset()
        return self._detector.scan(image)

    def find(self, scan: Scan) -> list[Box]:
        """The faces of a scanned frame, in its pixels, largest first."""
        return self._detector.find(scan)

    def label(
        self, time: float, boxes: Sequence[Box], probabilities: Sequence[Sequence[float]], is_cut: bool = False
    ) -> list[Face]:
        """Follow the boxes, whose probabilities are ``[faces, labels]``, and smooth these over their tracks.

        After a cut all faces are new.
        """
        if is_cut:
            self._forget()
        numbers = range(len(boxes)) if self._independent else self._tracker.update(time, boxes)
        faces = []
        for box, row, number in zip(boxes, probabilities, numbers, strict=True):
            if self._priors is not None:
                row = self._priors.update(number, time, row)
            smoothed, label, confidence = self._smoother.update(number, time, row)
            faces.append(Face(box, label, confidence, smoothed, tuple(row), None if self._independent else number))
        self._smoother.keep(self._tracker.alive)
        if self._priors is not None:
            self._priors.keep(self._tracker.alive)
        return faces

    def shown(self, time: float, faces: Sequence[Face]) -> list[Face]:
        """The faces as they are drawn; see :class:`emotion.video.smoothing.BoxStabiliser`."""
        return self._stabiliser.update(time, faces)

    def _forget(self) -> None:
        self._tracker.reset()
        self._smoother.reset()
        self._stabiliser.reset()
        if self._priors is not None:
            self._priors.reset()
