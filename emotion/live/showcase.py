"""The picture of the overlay that the README shows, on drawn faces.

>>> from emotion import runs
>>> from emotion.live import showcase
>>> from emotion.live.classifier import Classifier
>>> run = runs.resolve("latest", "outputs")
>>> showcase.save("docs/live.jpg", Classifier(run.tflite(), run.contract()).label)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2

from emotion.data.drawing import acting
from emotion.errors import UserError
from emotion.faces import Box, Image
from emotion.labels import EMOTIONS
from emotion.live.annotate import compose
from emotion.live.face import Face

#: What a model says of the faces in a frame, as ``emotion.live.classifier.Classifier.label`` does.
Label = Callable[[Image, Sequence[Box]], Sequence[Face]]


def drawn(size: tuple[int, int] = (1280, 720), seed: int = 0, label: Label | None = None) -> tuple[Image, list[Face]]:
    """A frame of two drawn people, and their faces.

    Args:
        size: Width and height in pixels.
        seed: People, expressions and background follow from it.
        label: A model; None labels the faces with what they were drawn to show.

    Returns:
        uint8 BGR ``[H, W, 3]``; faces with tracks 1 and 2.
    """
    seconds = 14  # two for each emotion: half of the first is full expression
    image, moment = next(islice(acting.moments(seconds=seconds, fps=1, size=size, seed=seed, persons=2), 1, None))
    if label is not None:
        found = list(label(image, [shown.box for shown in moment.faces]))
    else:
        rest = 0.1 / (len(EMOTIONS) - 1)
        found = [
            Face(f.box, EMOTIONS[f.emotion], 0.9, tuple(0.9 if i == f.emotion else rest for i in range(len(EMOTIONS))))
            for f in moment.faces
        ]
    return image, [replace(face, track=number) for number, face in enumerate(found, start=1)]


def save(path: str | Path, label: Label | None = None, size: tuple[int, int] = (1280, 720), seed: int = 0) -> None:
    """Write an annotated frame of :func:`drawn` as a picture.

    Raises:
        UserError: It cannot be written.
    """
    image, found = drawn(size, seed, label)
    picture = compose(EMOTIONS, rate=False)(image, found)
    try:
        data = cv2.imencode(Path(path).suffix, picture)[1]
        Path(path).write_bytes(data.tobytes())
    except (cv2.error, OSError) as error:
        raise UserError(
            f"{path}: cannot write a picture there ({error}); give a name that ends in .jpg or .png"
        ) from None
