"""What a picture must be to become an example: whole, of a sane size, with a face that is large and sharp enough.

Sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000) of the detector's box at 64x64 pixels, grey. Of 27
real photos and film frames whose faces a person calls sharp it is 441 or more, of five that are out of focus or dark
37 or less; a Gaussian blur of 3 % of the face's side brings all of the sharp ones to 62 or less.

With 5 neighbours the cascade finds 37 faces in 48 such pictures, of which two are none; with 3 it finds ten more, of
which half are none; with 8 four less.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import cv2
import numpy as np

from emotion.collect import image_header
from emotion.collect.candidates import Candidate
from emotion.data.fingerprint import hash_pixels
from emotion.data.similar import perceptual_hash
from emotion.faces import images as faces
from emotion.faces.contract import Contract
from emotion.faces.images import Box, Image, UnreadableImageError

_SHARPNESS_SIDE = 64
_DETECTOR = "haarcascade_frontalface_default"

_own = threading.local()  # a cascade keeps its picture inside, so that two threads cannot share one


@dataclass(frozen=True)
class Screen:
    """What is asked of a picture, and how its faces are cut; ``conf/collect.yaml`` says what the values mean."""

    contract: Contract
    faces: str = "one"
    min_face: int = 64
    min_sharpness: float = 80.0
    max_pixels: int = 50_000_000
    scale_factor: float = 1.1
    min_neighbors: int = 5
    min_size: float = 0.08
    working_size: int = 1024

    @property
    def detector(self) -> dict[str, Any]:
        """How faces were searched for, for the record."""
        return {
            "name": _DETECTOR,
            "opencv": cv2.__version__,
            "scale_factor": self.scale_factor,
            "min_neighbors": self.min_neighbors,
            "min_size": self.min_size,
            "working_size": self.working_size,
        }

    @property
    def cut(self) -> dict[str, Any]:
        """How crops are made, for the record."""
        c = self.contract
        return {
            "crop_margin": c.crop_margin,
            "size": c.height,
            "colour": c.colour,
            "interpolation": c.interpolation,
        }


@dataclass(frozen=True)
class Crop:
    """A face as it is written.

    Attributes:
        box: Where the detector found it, in the picture's pixels.
        png: The file's bytes.
        pixels: 16 bytes that are equal just for equal pixels.
        looks: Its pHash and dHash; where it was asked for, also those that other boxes round this face would give.
    """

    box: Box
    png: bytes
    pixels: bytes
    looks: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Looked:
    """What was seen in one candidate.

    Attributes:
        sha256: Of its file's bytes, in hex; None for a frame or what could not be had.
        size: Width and height in pixels; None where they are not known.
        boxes: All faces that were found, largest first.
        crops: Of each face that is taken, its crop, or why it was left out; empty where the candidate is refused.
        reason: Why the candidate is refused; None where it is not.
        pixels: As :attr:`Crop.pixels`, of the whole picture; None where it could not be decoded.
        look: pHash and dHash of the whole picture.
    """

    sha256: str | None = None
    size: tuple[int, int] | None = None
    boxes: Sequence[Box] = ()
    crops: Sequence[Crop | tuple[Box, str]] = ()
    reason: str | None = None
    pixels: bytes | None = None
    look: tuple[int, int] | None = None


def look(candidate: Candidate, screen: Screen, thorough: bool = False) -> Looked:
    """Decode a candidate, find its faces and cut them out; safe in several threads.

    Args:
        candidate: What was found.
        screen: What is asked of it.
        thorough: Give each crop the looks of 26 more boxes round its face; see :func:`_boxes_round`.
    """
    if candidate.failure is not None:
        return Looked(reason=candidate.failure)
    if candidate.image is not None:
        return _faces_of(candidate.image, None, screen, thorough)
    assert candidate.path is not None
    try:
        data = candidate.path.read_bytes()
    except OSError as error:
        return Looked(reason=f"unreadable: {error.strerror or error}")
    digest = sha256(data).hexdigest()
    header = image_header.read(data)
    if header is None:
        return Looked(digest, reason="not a picture")
    size = header.width, header.height
    if size[0] * size[1] > screen.max_pixels:
        return Looked(digest, size, reason=f"too many pixels ({size[0]}x{size[1]})")
    try:
        image = faces.decode(data)
    except UnreadableImageError as error:
        return Looked(digest, size, reason=f"unreadable: {error}")
    return _faces_of(image, digest, screen, thorough)


def find(image: Image, screen: Screen) -> list[Box]:
    """The faces of a BGR picture, in its pixels, largest first."""
    if not hasattr(_own, "cascade"):
        _own.cascade = faces.load_cascade()
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    scale = max(1.0, max(gray.shape) / screen.working_size)
    if scale > 1:
        height, width = (max(1, round(side / scale)) for side in gray.shape)
        gray = faces.resize(gray, height, width, "area")  # type: ignore[arg-type]
    found = faces.detect(
        _own.cascade,
        gray,  # type: ignore[arg-type]
        scale_factor=screen.scale_factor,
        min_neighbors=screen.min_neighbors,
        min_size=screen.min_size,
    )
    return [Box(*(round(v * scale) for v in (b.x, b.y, b.width, b.height))) for b in found]


def sharpness(image: Image, box: Box) -> float:
    """Variance of the Laplacian of a face at 64x64 pixels; see the module's head."""
    gray = cv2.cvtColor(faces.crop(image, box, 0.0), cv2.COLOR_BGR2GRAY)
    face = faces.resize(gray, _SHARPNESS_SIDE, _SHARPNESS_SIDE, "area")  # type: ignore[arg-type]
    return float(cv2.Laplacian(face, cv2.CV_64F).var())


def _faces_of(image: Image, digest: str | None, screen: Screen, thorough: bool) -> Looked:
    size = (image.shape[1], image.shape[0])
    pixels, whole = hash_pixels(image), perceptual_hash(image)
    boxes = find(image, screen)
    seen: dict[str, Any] = {"sha256": digest, "size": size, "boxes": boxes, "pixels": pixels, "look": whole}
    if not boxes:
        return Looked(**seen, reason="no face")
    if screen.faces == "one" and len(boxes) > 1:
        return Looked(**seen, reason=f"several faces ({len(boxes)})")
    taken = boxes if screen.faces == "all" else boxes[:1]
    return Looked(**seen, crops=[_crop(image, box, screen, thorough) for box in taken])


def _crop(image: Image, box: Box, screen: Screen, thorough: bool) -> Crop | tuple[Box, str]:
    if box.width < screen.min_face:
        return box, f"face too small ({box.width} px)"
    if screen.min_sharpness and (found := sharpness(image, box)) < screen.min_sharpness:
        return box, f"blurred ({found:.0f})"
    done, data = cv2.imencode(".png", _cut(image, box, screen))
    assert done
    png = data.tobytes()
    boxes = (box, *_boxes_round(box)) if thorough else (box,)
    looks = tuple(perceptual_hash(_cut(image, each, screen)) for each in boxes)
    return Crop(box, png, hash_pixels(faces.decode(png)), looks)


def _cut(image: Image, box: Box, screen: Screen) -> Image:
    """A crop as OpenCV writes it: grey ``[H, W]`` or BGR ``[H, W, 3]``."""
    cut = faces.prepare(faces.crop(image, box, screen.contract.crop_margin), screen.contract)
    return np.ascontiguousarray(cut[:, :, ::-1]) if cut.shape[2] == 3 else cut[:, :, 0]


def _boxes_round(box: Box) -> Iterator[Box]:
    """Boxes a little larger, smaller and beside this one.

    In a scaled copy of a photo the cascade puts its box elsewhere by up to a step of its search, and the crops look
    different: of 125 copies of 25 pictures (recompressed, or scaled by 0.6 to 1.5) 98 are recognised by the box alone,
    120 by these 27.
    """
    for scale in (0.95, 1.0, 1.05):
        side = scale * box.width
        for dx in (-0.03, 0.0, 0.03):
            for dy in (-0.03, 0.0, 0.03):
                if (scale, dx, dy) != (1.0, 0.0, 0.0):
                    left, top = (v + (0.5 + d) * box.width - side / 2 for v, d in ((box.x, dx), (box.y, dy)))
                    yield Box(round(left), round(top), round(side), round(side))
