"""Detecting and cropping faces, and :func:`prepare`, which makes a model's input; files: :mod:`.decoding`.

All input of a model (data loading, collection, live video) goes through :func:`prepare`. OpenCV's colour order is BGR;
it is converted there and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emotion.base.errors import UserError
from emotion.faces.contract import Contract

Image = np.ndarray[Any, np.dtype[np.uint8]]

_SHRINK = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
# INTER_AREA gives blocky results when it enlarges, so `area` enlarges linearly.
_ENLARGE = {"area": cv2.INTER_LINEAR, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
# From (channels, wanted colour); OpenCV has 1, 3 (BGR) or 4 (BGRA) channels.
_CONVERSIONS = {
    (1, "rgb"): cv2.COLOR_GRAY2RGB,
    (3, "gray"): cv2.COLOR_BGR2GRAY,
    (3, "rgb"): cv2.COLOR_BGR2RGB,
    (4, "gray"): cv2.COLOR_BGRA2GRAY,
    (4, "rgb"): cv2.COLOR_BGRA2RGB,
}


@dataclass(frozen=True)
class Box:
    """An axis-aligned rectangle in pixels: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a.width * a.height + b.width * b.height - shared)


def resize(image: Image, height: int, width: int, interpolation: str) -> Image:
    """Resize ``[H, W]`` or ``[H, W, C]`` uint8 to height x width; ``area`` enlarges linearly."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = (_SHRINK if shrinks else _ENLARGE)[interpolation]
    return cv2.resize(image, (width, height), interpolation=method)  # type: ignore[return-value]


def prepare(image: Image, contract: Contract) -> Image:
    """Turn any image into a model's input: the only place where images are resized or change colour.

    Args:
        image: uint8 ``[H, W]`` or ``[H, W, 1]`` grey, ``[H, W, 3]`` BGR or ``[H, W, 4]`` BGRA, as OpenCV gives them.
        contract: The model's input specification.

    Returns:
        uint8 ``[contract.height, contract.width, contract.channels]``.
    """
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    code = _CONVERSIONS.get((1 if image.ndim == 2 else image.shape[2], contract.colour))
    if code is not None:
        image = cv2.cvtColor(image, code)  # type: ignore[assignment]
    image = resize(image, contract.height, contract.width, contract.interpolation)
    return image.reshape(contract.shape)


def centre(image: Image, share: float) -> Image:
    """The middle of an image: ``share``, above 0 to 1, of each of its sides."""
    if share >= 1:
        return image
    height, width = (max(1, round(share * side)) for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def square(box: Box, margin: float) -> Box:
    """The square that :func:`crop` cuts out; arguments as there. It is its own square with a margin of 0."""
    side = max(1, round(max(box.width, box.height) * (1 + 2 * margin)))
    return Box(round(box.x + box.width / 2 - side / 2), round(box.y + box.height / 2 - side / 2), side, side)


def crop(image: Image, box: Box, margin: float) -> Image:
    """Crop a square around a box.

    The square's side is the box's longer side plus ``margin`` of it on each side. Outside the image its border pixels
    are repeated, so a face at the edge keeps its proportions and its place in the crop.

    Args:
        image: ``[H, W]`` or ``[H, W, C]``.
        box: The face, in the image's pixels; it may reach over the border.
        margin: Fraction of the box's longer side that is added on each side; negative crops tighter.

    Returns:
        A square image of at least 1x1 pixels, the type of ``image``.
    """
    around = square(box, margin)
    side, left, top = around.width, around.x, around.y
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if x0 == left and y0 == top and x1 == left + side and y1 == top + side:
        return image[y0:y1, x0:x1]
    if x0 >= x1 or y0 >= y1:  # wholly outside: the nearest border pixels
        rows = np.clip(np.arange(top, top + side), 0, height - 1)
        columns = np.clip(np.arange(left, left + side), 0, width - 1)
        return image[np.ix_(rows, columns)]
    borders = y0 - top, top + side - y1, x0 - left, left + side - x1
    return cv2.copyMakeBorder(image[y0:y1, x0:x1], *borders, cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def load_cascade() -> cv2.CascadeClassifier:
    """OpenCV's frontal Haar cascade (Viola and Jones 2001; ``haarcascade_frontalface_default``).

    Raises:
        UserError: This OpenCV has no cascades (version 5), or its files are missing.
    """
    advice = 'pip install "opencv-python>=4.10,<5" (or opencv-python-headless, never both)'
    if not hasattr(cv2, "CascadeClassifier"):
        raise UserError(f"OpenCV {cv2.__version__} has no CascadeClassifier, which detects the faces. Run: {advice}")
    path = Path(getattr(getattr(cv2, "data", None), "haarcascades", "")) / "haarcascade_frontalface_default.xml"
    cascade = cv2.CascadeClassifier(str(path)) if path.is_file() else None
    if cascade is None or cascade.empty():
        raise UserError(f"OpenCV {cv2.__version__} came without {path.name}. Run: {advice}")
    return cascade


def smallest_side(gray: Image, min_size: float) -> int:
    """The side in pixels of the smallest face to detect, as a fraction of the image's shorter side."""
    shorter: int = min(gray.shape[:2])
    return max(24, round(shorter * min_size))  # the cascade was trained on 24x24 pixels


def detect(
    cascade: cv2.CascadeClassifier,
    image: Image,
    *,
    scale_factor: float = 1.1,
    min_neighbors: int = 5,
    min_size: float = 0.08,
    working_size: int | None = None,
) -> list[Box]:
    """Detect the frontal faces in an image.

    Args:
        cascade: From :func:`load_cascade`.
        image: uint8 ``[H, W]`` grey or ``[H, W, 3]`` BGR.
        scale_factor: Ratio between successive face sizes; closer to 1 finds more faces but is slower.
        min_neighbors: Overlapping detections that confirm a face; higher gives fewer false faces.
        min_size: Side of the smallest face, as a fraction of the image's shorter side.
        working_size: Images with a longer side in pixels than this are searched scaled down to it; None is never.

    Returns:
        Boxes in the image's pixels, largest first.
    """
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    scale = 1.0 if working_size is None else max(1.0, max(gray.shape) / working_size)
    if scale > 1:
        height, width = (max(1, round(side / scale)) for side in gray.shape)
        gray = resize(gray, height, width, "area")  # type: ignore[arg-type]
    smallest = smallest_side(gray, min_size)  # type: ignore[arg-type]
    rows = cascade.detectMultiScale(
        gray, scaleFactor=scale_factor, minNeighbors=min_neighbors, minSize=(smallest, smallest)
    )
    boxes = [Box(*(round(int(v) * scale) for v in row)) for row in rows]
    return sorted(boxes, key=lambda b: (-b.width * b.height, b.x, b.y))
