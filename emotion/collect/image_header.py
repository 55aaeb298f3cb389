"""Format and size of an image file from its header, without decoding it: a small file may claim a huge image."""

from __future__ import annotations

import io
from dataclasses import dataclass

import imagesize

_FORMATS = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"BM": "bmp",
    b"RIFF": "webp",
    b"II\x2a\x00": "tiff",
    b"MM\x00\x2a": "tiff",
}


@dataclass(frozen=True)
class Header:
    """An image file's format, as the usual suffix of its name (``jpg``), and its size in pixels."""

    extension: str
    width: int
    height: int


def read(data: bytes) -> Header | None:
    """Read the header of a JPEG, PNG, GIF, BMP, WebP or TIFF file, whatever its name or its server says.

    Returns:
        None for any other content, and where the size is not at least one pixel.
    """
    extension = next((name for magic, name in _FORMATS.items() if data.startswith(magic)), None)
    if extension is None:
        return None
    try:
        width, height = imagesize.get(io.BytesIO(data))
    except Exception:  # which ones damaged files raise is not documented
        return None
    return Header(extension, int(width), int(height)) if min(width, height) >= 1 else None
