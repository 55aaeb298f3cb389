"""Pictures for tests: drawn faces, the real photos beside the repository, and what is none."""

from __future__ import annotations

import functools
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from emotion.data import synthetic
from emotion.faces.images import Image


@functools.lru_cache(maxsize=256)
def drawn(seed: int, emotion: int = 3, size: tuple[int, int] = (320, 240)) -> bytes:
    """A drawn picture of one face, as a JPEG file; every seed another person."""
    image, _ = synthetic.frame(seed, emotion, size, noise=0.5)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def photos(shared: Path) -> list[bytes]:
    """The real photos beside the repository, as they are."""
    names = ("grace_hopper.bmp", "multi_face.jpg", "obama_small.jpg", "free-mountain-vector-01.jpg")
    return [(shared / "media" / name).read_bytes() for name in names]


def png_bomb(width: int, height: int) -> bytes:
    """A small PNG file that claims a large picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(100_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def read_picture(path: str | Path) -> Image:
    """A picture's pixels as OpenCV reads them: ``[height, width, 3]``, uint8, blue first."""
    picture = cv2.imread(str(path))
    assert picture is not None, f"{path} is no picture"
    return np.asarray(picture, np.uint8)
