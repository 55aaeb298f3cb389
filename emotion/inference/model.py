"""A run in Python: pictures, cameras and videos in, labelled faces out. TensorFlow is not needed.

>>> from emotion import load
>>> model = load("best")
>>> for picture in model.predict(["a.jpg", "b.jpg"]):
...     print(picture.name, [(face.label, face.confidence, face.box) for face in picture])
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from emotion.base.errors import UserError
from emotion.base.interrupts import Stop
from emotion.config import commands
from emotion.faces import images, priors
from emotion.faces.formats import UnreadableImageError
from emotion.faces.images import Box, Image
from emotion.inference import engines, inputs
from emotion.inference.classifier import LARGEST_BATCH, Classifier
from emotion.inference.results import Picture, Pictures
from emotion.inference.session import Session, Settings

if TYPE_CHECKING:
    from emotion.video.frame import Frame

Channels = Literal["bgr", "rgb"]
#: Sessions that are kept for the next pictures.
MOST_IDLE = 16


def load(
    name: str | Path, outputs: str | Path = "outputs", *, engine: str = "auto", threads: int = 1, prior: Any = None
) -> Model:
    """Open a run, an export or a published folder.

    Args:
        name: Id, unique prefix, path, ``latest``, ``best`` or ``pretrained``; or an export (``latest/exports/litert``).
        outputs: Folder that holds the runs.
        engine, threads: ``auto``, ``litert`` or ``keras``, an export brings its own; CPU threads for the model.
        prior: The class prior to answer for: ``training``, ``balanced``, ``estimate`` (of each face that is followed,
            from its own answers) or shares by emotion, such as ``{"happy": 0.4, "neutral": 0.6}``; None as its contract
            says.

    Raises:
        UserError: No such run, a model that disagrees with its contract, or a wrong prior.
    """
    found = engines.find(name, outputs)
    return Model(found.id, engines.load(found, engine, threads, prior), estimates_prior=prior == priors.ESTIMATE)


class Model:
    """A classifier with all that it needs to label pictures. Threads may share it.

    Attributes:
        id: Of the run or export.
        classifier: What gives the probabilities.
        contract: Its input and output; see :class:`emotion.faces.contract.Contract`.
        labels: Its classes, in the order of the probabilities.
    """

    def __init__(self, name: str, classifier: Classifier, estimates_prior: bool = False) -> None:
        self.id, self.classifier, self._estimates_prior = name, classifier, estimates_prior
        self.contract, self.labels = classifier.contract, classifier.contract.labels
        self._idle: list[tuple[Settings, Session]] = []  # sessions that no thread uses just now
        self._taking = threading.Lock()

    def predict(
        self,
        pictures: Any,
        *,
        faces: Literal["search", "whole"] = "search",
        channels: Channels = "bgr",
        min_confidence: float = commands.Live.min_confidence,
        detector: commands.Detector | None = None,
        strict: bool = False,
    ) -> Pictures:
        """Find and label the faces of pictures, each by itself, as ``python -m emotion.live source=photos/`` does.

        Args:
            pictures: One picture or any number of them: paths of image files, their ``bytes``, uint8 arrays ``[H, W]``,
                ``[H, W, 1]``, ``[H, W, 3]`` or ``[H, W, 4]``, or Pillow images. EXIF orientation is respected. Of an
                iterator one picture after the other is taken.
            faces: ``search`` for them, or take each ``whole`` picture as a face that was cut out already.
            channels: Order of the arrays' colours: ``bgr`` as in OpenCV, or ``rgb``. Pillow images know their own.
            min_confidence: Faces of less probable labels become "uncertain".
            detector: How faces are searched for; None uses the defaults of ``conf/live.yaml``.
            strict: Raise for the first input that cannot be read, instead of an answer with an ``error``.

        Returns:
            A :class:`Picture` per input, in order. It holds on to arrays and Pillow images, to show them in a notebook.

        Raises:
            UserError: An unknown ``faces`` or ``channels``; a model that estimates its prior; with ``strict`` an input
                that cannot be read.
        """
        self._check_followed("pictures")
        _one_of("faces", faces, ("search", "whole"))
        _one_of("channels", channels, ("bgr", "rgb"))
        answers: list[Picture] = []
        with self._session(Settings(min_confidence=min_confidence, detector=detector)) as session:
            group = _Group(session, self.classifier)
            for index, item in enumerate(inputs.several(pictures)):
                name = str(item) if isinstance(item, str | Path) else None
                read = partial(inputs.image, item, channels)
                picture = Picture((), self.labels, 0, 0, index, float(index), name, _image=read)
                try:
                    image = read()
                except UnreadableImageError as error:
                    if strict:
                        raise UserError(f"{name or f'input {index}'}: {error}") from None
                    answers.append(replace(picture, error=str(error)))
                    continue
                answers.append(replace(picture, width=image.shape[1], height=image.shape[0]))
                group.add(image, answers, whole=faces == "whole")
            group.finish(answers)
        return Pictures(tuple(answers))

    def session(
        self,
        *,
        smoothing: float = commands.Live.smoothing,
        min_confidence: float = commands.Live.min_confidence,
        max_gap: float = commands.Live.max_gap,
        detector: commands.Detector | None = None,
        channels: Channels = "bgr",
    ) -> Camera:
        """The state of one camera, for a loop of your own; each camera, and each thread, needs one.

        Args:
            smoothing: Seconds over which a track's probabilities are averaged; 0 takes each frame by itself.
            min_confidence: Less probable labels become "uncertain".
            max_gap: Seconds that a face may be out of sight and keep its track.
            detector: How faces are searched for; None uses the defaults of ``conf/live.yaml``.
            channels: ``bgr`` as in OpenCV, or ``rgb``.
        """
        _one_of("channels", channels, ("bgr", "rgb"))
        settings = Settings(smoothing, min_confidence, max_gap, detector, estimates_prior=self._estimates_prior)
        return Camera(Session(self.classifier, settings), channels)

    def video(
        self,
        source: int | str | Path,
        *,
        max_frames: int | None = None,
        stride: int = 1,
        smoothing: float = commands.Live.smoothing,
        min_confidence: float = commands.Live.min_confidence,
        max_gap: float = commands.Live.max_gap,
        detector: commands.Detector | None = None,
    ) -> Iterator[tuple[Frame, Picture]]:
        """Yield a source's frames with their faces, as ``python -m emotion.live`` labels them, in threads.

        Of a live source, frames that come while another one is processed are left out, all but the newest.
        The source is closed and the threads end when the generator does: at the source's end, after an error, or by its
        ``close()``. Leaving a ``for`` loop early closes it too, unless it has a name; then close it yourself.

        Args:
            source: A camera's number, a video, image, folder or glob of images, or an address.
            max_frames, stride: Stop after this many frames, None reads to the end; take every n-th frame.
            smoothing, min_confidence, max_gap, detector: As for :meth:`session`.

        Raises:
            UserError: No such source; at the first frame.
        """
        from emotion.inference.labeller import Labeller
        from emotion.video.source import opened

        stop = Stop()
        with opened(source, max_frames, stride, stopped=stop) as stream:
            if stream.independent:
                self._check_followed(f"the images of {stream.name}")
            settings = Settings(smoothing, min_confidence, max_gap, detector, estimates_prior=self._estimates_prior)
            labeller = Labeller(stream, self.classifier, settings)
            with labeller.labelled(stop.end) as labelled:
                for item in islice(labelled, stream.limit):
                    frame = item.frame
                    yield frame, _picture(self.labels, frame.image, item.faces, frame.index, frame.time, frame.name)

    def _check_followed(self, what: str) -> None:
        if self._estimates_prior:
            raise UserError(
                f"prior: estimate needs faces that are followed over time, and {what} stand alone; load the model with "
                'prior="balanced", or with shares such as prior={"happy": 0.4, "neutral": 0.6}'
            )

    @contextmanager
    def _session(self, settings: Settings) -> Iterator[Session]:
        """A session for pictures that stand alone; opening a detector's cascades takes longer than a picture."""
        with self._taking:
            place = next((i for i, (kept, _) in enumerate(self._idle) if kept == settings), None)
            session = None if place is None else self._idle.pop(place)[1]
        session = session or Session(self.classifier, settings, independent=True)
        yield session
        with self._taking:
            self._idle = [*self._idle[-MOST_IDLE + 1 :], (settings, session)]


class Camera:
    """One camera's loop; see :meth:`Model.session`. Used by one thread at a time."""

    def __init__(self, session: Session, channels: Channels) -> None:
        self._session, self._channels = session, channels
        self._frames, self._begin = 0, time.monotonic()

    def step(self, frame: Any, seconds: float | None = None) -> Picture:
        """The faces of the camera's next frame, with their tracks and smoothed labels.

        Args:
            frame: uint8 ``[H, W]``, ``[H, W, 1]``, ``[H, W, 3]`` or ``[H, W, 4]``, or a Pillow image. Its size may
                change.
            seconds: When it was taken, by any clock that rises; None takes the time of this call.

        Raises:
            UserError: No picture.
        """
        try:
            image = inputs.image(frame, self._channels)
        except UnreadableImageError as error:
            raise UserError(f"frame: {error}") from None
        now = time.monotonic() - self._begin if seconds is None else float(seconds)
        faces = self._session.step(image, now)
        self._frames += 1
        return _picture(self._session.labels, image, faces, self._frames - 1, now)

    def reset(self) -> None:
        """Forget all frames before, as when another camera is chosen."""
        self._session.reset()


class _Group:
    """Faces of several pictures that are classified together, so that a thousand pictures take few steps."""

    def __init__(self, session: Session, classifier: Classifier) -> None:
        self._session, self._classifier = session, classifier
        self._waiting: list[tuple[int, list[Box], Any]] = []  # picture, its boxes, its batch

    def add(self, image: Image, answers: list[Picture], *, whole: bool) -> None:
        if whole:
            boxes = [Box(0, 0, int(image.shape[1]), int(image.shape[0]))]
            batch = images.prepare(image, self._classifier.contract)[None]
        else:
            boxes = self._session.find(self._session.scan(image))
            batch = self._classifier.prepare(image, boxes)
        self._waiting.append((len(answers) - 1, boxes, batch))
        if sum(len(boxes) for _, boxes, _ in self._waiting) >= LARGEST_BATCH:
            self.finish(answers)

    def finish(self, answers: list[Picture]) -> None:
        if not self._waiting:
            return
        rows = iter(self._classifier.probabilities(np.concatenate([batch for *_, batch in self._waiting])).tolist())
        for place, boxes, _ in self._waiting:
            faces = self._session.label(0.0, boxes, list(islice(rows, len(boxes))))
            answers[place] = replace(answers[place], faces=tuple(faces))
        self._waiting = []


def _picture(
    labels: tuple[str, ...], image: Image, faces: list[Any], index: int, seconds: float, name: str | None = None
) -> Picture:
    """A frame's answer; it does not keep the frame, as answers may be collected for hours."""
    seen = weakref.ref(image)
    return Picture(tuple(faces), labels, image.shape[1], image.shape[0], index, seconds, name, _image=seen)


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{key}: '{value}' is not one of {', '.join(allowed)}")
