"""What an image must be to become an example: whole, of a sane size, with a face that is large and sharp enough.

How the limits were chosen: ``docs/decisions/collected-faces.md``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from hashlib import sha256
from typing import Any

import cv2
import numpy as np

from emotion.collect.candidates import Candidate
from emotion.config.commands import Collect, FaceSearch
from emotion.data.fingerprint import hash_pixels
from emotion.data.similar import perceptual_hash
from emotion.faces import decoding
from emotion.faces import images as faces
from emotion.faces.contract import Contract
from emotion.faces.formats import UnreadableImageError, UnsupportedImageError, kind_of
from emotion.faces.images import Box, Image

_SHARPNESS_SIDE = 64
_DETECTOR = "haarcascade_frontalface_default"


class _Cascade(threading.local):
    """One cascade per thread: it keeps its image inside."""

    @cached_property
    def classifier(self) -> cv2.CascadeClassifier:
        return faces.load_cascade()


@dataclass
class Criteria(FaceSearch):
    """What is required of an image, and how its faces are cut; ``conf/collect.yaml`` explains the values."""

    faces: str = Collect.faces
    min_face: int = Collect.min_face
    min_sharpness: float = Collect.min_sharpness
    max_pixels: int = Collect.max_pixels
    contract: Contract = field(kw_only=True)
    cascade: _Cascade = field(init=False, repr=False, compare=False, default_factory=_Cascade)

    @property
    def detector(self) -> dict[str, Any]:
        """How faces were searched for, for the record."""
        settings = {setting.name: getattr(self, setting.name) for setting in fields(FaceSearch)}
        return {"name": _DETECTOR, "opencv": cv2.__version__, **settings}

    @property
    def cut(self) -> dict[str, Any]:
        """How crops are made, for the record."""
        c = self.contract
        return {"crop_margin": c.crop_margin, "size": c.height, "colour": c.colour, "interpolation": c.interpolation}


@dataclass(frozen=True)
class Crop:
    """A face as it is written.

    Attributes:
        box: Where the detector found it, in the image's pixels.
        png: The file's bytes.
        pixels: 16 bytes, equal only for equal pixels.
        hashes: Its pHash and dHash; in a thorough search also those of other boxes around this face.
    """

    box: Box
    png: bytes
    pixels: bytes
    hashes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Screened:
    """What one candidate shows.

    Attributes:
        sha256: Of its file's bytes, in hex; None for a frame or a failed download.
        size: Width and height in pixels, where known.
        boxes: All faces that were found, largest first.
        crops: Of each face that is taken, its crop, or why it was left out; empty where the candidate is refused.
        reason: Why the candidate is refused, or None.
        pixels: As :attr:`Crop.pixels`, of the whole image; None where it could not be decoded.
        hashes: pHash and dHash of the whole image.
    """

    sha256: str | None = None
    size: tuple[int, int] | None = None
    boxes: Sequence[Box] = ()
    crops: Sequence[Crop | tuple[Box, str]] = ()
    reason: str | None = None
    pixels: bytes | None = None
    hashes: tuple[int, int] | None = None


def screen(candidate: Candidate, criteria: Criteria, thorough: bool = False) -> Screened:
    """Decode a candidate, find its faces and cut them out; safe in several threads.

    A thorough search gives each crop the hashes of 26 more boxes around its face; see :func:`_boxes_around`.
    """
    if candidate.failure is not None:
        return Screened(reason=candidate.failure)
    if candidate.image is not None:
        return _screen_image(candidate.image, None, criteria, thorough)
    assert candidate.path is not None
    try:
        data = candidate.path.read_bytes()
    except OSError as error:
        return Screened(reason=f"unreadable: {error.strerror or error}")
    digest = sha256(data).hexdigest()
    if kind_of(data) is None:
        return Screened(digest, reason="not an image")
    header = decoding.header(data)
    size = (header.width, header.height) if header else None
    if size and size[0] * size[1] > criteria.max_pixels:
        return Screened(digest, size, reason=f"too many pixels ({size[0]}x{size[1]})")
    try:
        image = decoding.decode(data)
    except UnsupportedImageError as error:
        return Screened(digest, size, reason=str(error))
    except UnreadableImageError as error:
        return Screened(digest, size, reason=f"unreadable: {error}")
    return _screen_image(image, digest, criteria, thorough)


def find(image: Image, criteria: Criteria) -> list[Box]:
    """The faces of a BGR image, in its pixels, largest first."""
    return faces.detect(
        criteria.cascade.classifier,
        image,
        scale_factor=criteria.scale_factor,
        min_neighbors=criteria.min_neighbors,
        min_size=criteria.min_size,
        working_size=criteria.working_size,
    )


def sharpness(image: Image, box: Box) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) of a face at 64x64 pixels, grey."""
    gray = cv2.cvtColor(faces.crop(image, box, 0.0), cv2.COLOR_BGR2GRAY)
    face = faces.resize(gray, _SHARPNESS_SIDE, _SHARPNESS_SIDE, "area")  # type: ignore[arg-type]
    return float(cv2.Laplacian(face, cv2.CV_64F).var())


def _screen_image(image: Image, digest: str | None, criteria: Criteria, thorough: bool) -> Screened:
    size = (image.shape[1], image.shape[0])
    crops: list[Crop | tuple[Box, str]] = []
    reason = None
    boxes = find(image, criteria)
    if not boxes:
        reason = "no face"
    elif criteria.faces == "one" and len(boxes) > 1:
        reason = f"several faces ({len(boxes)})"
    else:
        chosen = boxes if criteria.faces == "all" else boxes[:1]
        crops = [_crop(image, box, criteria, thorough) for box in chosen]
    return Screened(digest, size, boxes, crops, reason, hash_pixels(image), perceptual_hash(image))


def _crop(image: Image, box: Box, criteria: Criteria, thorough: bool) -> Crop | tuple[Box, str]:
    if box.width < criteria.min_face:
        return box, f"face too small ({box.width} px)"
    if criteria.min_sharpness and (variance := sharpness(image, box)) < criteria.min_sharpness:
        return box, f"blurred ({variance:.0f})"
    done, data = cv2.imencode(".png", _cut(image, box, criteria))
    assert done
    png = data.tobytes()
    boxes = (box, *_boxes_around(box)) if thorough else (box,)
    hashes = tuple(perceptual_hash(_cut(image, near, criteria)) for near in boxes)
    return Crop(box, png, hash_pixels(decoding.decode(png)), hashes)


def _cut(image: Image, box: Box, criteria: Criteria) -> Image:
    """A crop as OpenCV writes it: grey ``[H, W]`` or BGR ``[H, W, 3]``."""
    cut = faces.prepare(faces.crop(image, box, criteria.contract.crop_margin), criteria.contract)
    return np.ascontiguousarray(cut[:, :, ::-1]) if cut.shape[2] == 3 else cut[:, :, 0]


def _boxes_around(box: Box) -> Iterator[Box]:
    """Boxes a little larger, smaller and beside this one, where the cascade may find the face in a scaled copy."""
    for scale in (0.95, 1.0, 1.05):
        side = scale * box.width
        for dx in (-0.03, 0.0, 0.03):
            for dy in (-0.03, 0.0, 0.03):
                if (scale, dx, dy) != (1.0, 0.0, 0.0):
                    left, top = (v + (0.5 + d) * box.width - side / 2 for v, d in ((box.x, dx), (box.y, dy)))
                    yield Box(round(left), round(top), round(side), round(side))
