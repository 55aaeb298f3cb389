"""Looking for a face in a dataset's image with OpenCV's Haar cascades, at a size where they can see it.

A crop of 48x48 pixels is too small for a cascade that was trained on 24x24, and a face that fills its image leaves
the cascade no window that holds it. So an image is scaled and gets room around it. Windows much smaller than the
dataset's faces cost most of the time and find what is no face, so a sample of the dataset is searched at all sizes
first.

What was tried and measured is in ``docs/decisions/audit.md``.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from emotion.faces import images
from emotion.faces.images import Image

#: Part of the cache's key: raise it when something here changes what is found.
VERSION = 2

#: Room on each side, as a fraction of the scaled image's longer side.
ROOM = 0.25
#: Overlapping windows that make a face.
MIN_NEIGHBORS = 3
#: Images are scaled so that the smallest face that is looked for has this side in pixels.
_SMALLEST_FACE = 58
#: Least and greatest longer side in pixels that images are scaled to.
_SIDES = (96, 480)
_SCALE_FACTOR = 1.1
_WINDOW = 24  # what the cascades were trained on, in pixels
_TILTS = (15.0, -15.0)  # degrees
_OTHERS = ("haarcascade_frontalface_alt.xml", "haarcascade_frontalface_alt2.xml")


@dataclass(frozen=True)
class Scale:
    """At which size a dataset's images are searched.

    Attributes:
        side: Longer side in pixels that an image is scaled to.
        smallest: Smallest face that is looked for, as a fraction of the image's shorter side.
    """

    side: int
    smallest: float


@dataclass(frozen=True)
class Seen:
    """What was found in an image.

    Attributes:
        box: Left, top, width and height of the face that most windows agree on, as fractions of the image's width
            and height; None where the frontal cascade finds none. It may reach over the image's border.
        neighbors: How many windows agree on it; 0 without a box.
        face: Whether any look found a face, also one that has no box.
    """

    box: tuple[float, float, float, float] | None
    neighbors: int
    face: bool


def first_scale(longest: int) -> Scale:
    """The size for a sample of images whose longer side is at most this, when nothing is known of them."""
    side = min(_SIDES[1], max(144, longest))
    return Scale(side, 30 / side)


def scale_for(shares: Sequence[float]) -> Scale:
    """The size at which to search images whose faces take these shares of the shorter side, in a sample."""
    if len(shares) < 10:
        return Scale(144, 0.2)
    smallest = float(np.clip(np.floor(0.85 * np.percentile(shares, 5) / 0.05) * 0.05, 0.05, 0.6).round(2))
    return Scale(int(np.clip(_SMALLEST_FACE / smallest, *_SIDES)), smallest)


class Looker:
    """Looks for faces; any number of threads may share it.

    Raises:
        UserError: This OpenCV has no cascades.
    """

    def __init__(self) -> None:
        images.load_cascade()
        self._own = threading.local()  # a cascade must not be used by two threads

    def look(self, gray: Image, at: Scale) -> Seen:
        """Look for a face in an image, uint8 ``[H, W]``.

        Where the frontal cascade finds none, two others are asked, and then it looks at the image tilted.
        """
        frontal, others = self._cascades()
        canvas, scale, room = _with_room(gray, at.side)
        least = max(_WINDOW, round(at.smallest * min(gray.shape) * scale))
        found = _strongest(frontal, canvas, least, MIN_NEIGHBORS)
        if found is not None:
            (x, y, width, height), neighbors = found
            wide, high = gray.shape[1] * scale, gray.shape[0] * scale
            return Seen(((x - room) / wide, (y - room) / high, width / wide, height / high), neighbors, True)
        face = any(_strongest(other, canvas, least, 1) for other in others) or any(
            _strongest(frontal, _tilted(canvas, degrees), least, MIN_NEIGHBORS) for degrees in _TILTS
        )
        return Seen(None, 0, face)

    def _cascades(self) -> tuple[cv2.CascadeClassifier, list[cv2.CascadeClassifier]]:
        if not hasattr(self._own, "cascades"):
            folder = Path(cv2.data.haarcascades)  # type: ignore[attr-defined]
            others = [cv2.CascadeClassifier(str(folder / name)) for name in _OTHERS if (folder / name).is_file()]
            self._own.cascades = images.load_cascade(), others
        cascades: tuple[cv2.CascadeClassifier, list[cv2.CascadeClassifier]] = self._own.cascades
        return cascades


def _with_room(gray: Image, side: int) -> tuple[Image, float, int]:
    """The image scaled to this longer side, with its border repeated around it; the scale and the room in pixels."""
    scale = side / max(gray.shape)
    width, height = (max(1, round(s * scale)) for s in (gray.shape[1], gray.shape[0]))
    room = round(ROOM * side)
    scaled = cv2.resize(gray, (width, height), interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    return cv2.copyMakeBorder(scaled, room, room, room, room, cv2.BORDER_REPLICATE), scale, room  # type: ignore[return-value]


def _strongest(
    cascade: cv2.CascadeClassifier, canvas: Image, least: int, neighbors: int
) -> tuple[tuple[int, int, int, int], int] | None:
    """The box with the most windows behind it, and how many these are."""
    boxes, counts = cascade.detectMultiScale2(
        canvas, scaleFactor=_SCALE_FACTOR, minNeighbors=neighbors, minSize=(least, least)
    )
    if not len(boxes):
        return None
    best = int(np.argmax(counts))
    x, y, width, height = (int(v) for v in boxes[best])
    return (x, y, width, height), int(counts[best])


def _tilted(canvas: Image, degrees: float) -> Image:
    height, width = canvas.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(canvas, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]
