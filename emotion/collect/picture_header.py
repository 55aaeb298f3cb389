"""What a picture file says of itself, read without decoding it: a small file may claim a size that fills the memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

_Size = tuple[int, int]


@dataclass(frozen=True)
class Header:
    """A picture file's format, as the usual ending of its name (``jpg``), and its size in pixels."""

    extension: str
    width: int
    height: int


def read(data: bytes) -> Header | None:
    """Read the header of a JPEG, PNG, GIF, BMP, WebP or TIFF file.

    The content decides, not a name or what a server says. Not with Pillow, which warns about large pictures by a limit
    that is the whole process's, about damaged TIFF files on the terminal, and sets memory aside for a whole WebP.

    Returns:
        None where it is none of these, or has no size of at least one pixel.
    """
    for magic, (extension, size) in _FORMATS.items():
        if data.startswith(magic):
            try:
                width, height = size(data)
            except (struct.error, IndexError, ValueError):
                return None
            return Header(extension, width, height) if min(width, height) > 0 else None
    return None


def _jpeg(data: bytes) -> _Size:
    """ITU T.81, annex B: the frame header behind any other segments."""
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # padding, or a marker without a segment
            at += 1 if marker == 0xFF else 2
            continue
        length, height, width = struct.unpack_from(">HxHH", data, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return width, height
        if marker in (0xD9, 0xDA) or length < 2:
            break
        at += 2 + length
    raise ValueError("no frame header")


def _png(data: bytes) -> _Size:
    kind, width, height = struct.unpack_from(">4sII", data, 12)
    return (width, height) if kind == b"IHDR" else (0, 0)


def _gif(data: bytes) -> _Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp(data: bytes) -> _Size:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    return width, abs(height)  # negative where the rows run from the top


def _webp(data: bytes) -> _Size:
    """RFC 9649, sections 2.5 to 2.7."""
    kind, chunk = data[8:16], data[20:]
    if kind == b"WEBPVP8X":
        return 1 + int.from_bytes(chunk[4:7], "little"), 1 + int.from_bytes(chunk[7:10], "little")
    if kind == b"WEBPVP8L" and chunk[0] == 0x2F:
        (bits,) = struct.unpack_from("<I", chunk, 1)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"WEBPVP8 " and chunk[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", chunk, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no WebP")


def _tiff(data: bytes) -> _Size:
    """TIFF 6.0, section 2: tags 256 and 257 of the first directory."""
    order = "<" if data.startswith(b"II") else ">"
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    sizes = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        if tag in (256, 257):
            (sizes[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)
    return sizes.get(256, 0), sizes.get(257, 0)


_FORMATS: dict[bytes, tuple[str, Callable[[bytes], _Size]]] = {
    b"\xff\xd8\xff": ("jpg", _jpeg),
    b"\x89PNG\r\n\x1a\n": ("png", _png),
    b"GIF87a": ("gif", _gif),
    b"GIF89a": ("gif", _gif),
    b"BM": ("bmp", _bmp),
    b"RIFF": ("webp", _webp),
    b"II\x2a\x00": ("tiff", _tiff),
    b"MM\x00\x2a": ("tiff", _tiff),
}
