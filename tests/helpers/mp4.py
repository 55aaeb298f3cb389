"""MP4 files as phones, recorders and screen recorders write them: OpenCV's own, with boxes rewritten."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from emotion.faces.images import Image

_NESTED = {b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl"}
#: Where version 0 of these boxes keeps a duration.
_DURATIONS = {b"mvhd": 16, b"tkhd": 20, b"mdhd": 16, b"elst": 8}


def box(kind: bytes, *body: bytes) -> bytes:
    content = b"".join(body)
    return struct.pack(">I", 8 + len(content)) + kind + content


def film(path: Path, images: Sequence[Image], rate: float = 20.0) -> Path:
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(image)
    writer.release()
    return path


def grey(count: int, width: int = 64, height: int = 48) -> list[Image]:
    return [np.full((height, width, 3), 8 * i % 256, np.uint8) for i in range(count)]


def pixel_shape(path: Path, across: int, down: int) -> None:
    """Say that pixels are wider or higher than they are long (``pasp``)."""

    def change(kind: bytes, body: bytes) -> bytes:
        if kind != b"stsd":
            return body
        (size,) = struct.unpack(">I", body[8:12])
        return body[:8] + struct.pack(">I", size + 16) + body[12:] + box(b"pasp", struct.pack(">II", across, down))

    _edit(path, change)


def rotation(path: Path, degrees: int) -> None:
    """Say that the film is to be turned clockwise (the matrix of ``tkhd``)."""
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    _edit(path, lambda kind, body: body[:40] + matrix + body[76:] if kind == b"tkhd" else body)


def slow_end(path: Path, fast: int, slow: int, factor: int) -> None:
    """Show the last ``slow`` frames ``factor`` times as long as the first ``fast``."""
    deltas: list[int] = []

    def look(kind: bytes, body: bytes) -> bytes:
        if kind == b"stts":
            deltas.append(struct.unpack(">I", body[12:16])[0])
        return body

    _edit(path, look)
    longer = (fast + slow * factor) / (fast + slow)

    def change(kind: bytes, body: bytes) -> bytes:
        if kind == b"stts":
            return bytes(4) + struct.pack(">IIIII", 2, fast, deltas[0], slow, factor * deltas[0])
        at = _DURATIONS.get(kind)
        if at is None:
            return body
        duration = round(longer * struct.unpack(">I", body[at : at + 4])[0])
        return body[:at] + struct.pack(">I", duration) + body[at + 4 :]

    _edit(path, change)


def sound(path: Path, cover: bytes | None = None) -> Path:
    """A second of silence as ``.m4a``, with or without a cover picture."""
    matrix = struct.pack(">9I", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    start = box(b"ftyp", b"M4A \0\0\0\0M4A isom")
    entry = box(b"sowt", bytes(6), struct.pack(">H8xHHHHI", 1, 1, 16, 0, 0, 8000 << 16))
    table = box(
        b"stbl", box(b"stsd", struct.pack(">II", 0, 1), entry), box(b"stts", struct.pack(">IIII", 0, 1, 8000, 1)),
        box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 8000, 1)), box(b"stsz", struct.pack(">III", 0, 2, 8000)),
        box(b"stco", struct.pack(">III", 0, 1, len(start) + 8)),
    )  # fmt: skip
    home = box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), box(b"url ", struct.pack(">I", 1))))
    media = box(
        b"mdia", box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, 8000, 8000, 0x55C4, 0)),
        box(b"hdlr", bytes(8), b"soun", bytes(13)), box(b"minf", box(b"smhd", bytes(8)), home, table),
    )  # fmt: skip
    head = box(b"tkhd", struct.pack(">IIIIII8xHHHH", 7, 0, 0, 1, 0, 8000, 0, 0, 256, 0), matrix, bytes(8))
    tags = b""
    if cover is not None:
        data = box(b"data", struct.pack(">II", 13, 0), cover)
        item = box(b"ilst", box(b"covr", data))
        tags = box(b"udta", box(b"meta", bytes(4), box(b"hdlr", bytes(8), b"mdirappl", bytes(9)), item))
    movie = struct.pack(">IIIIIIHH8x", 0, 0, 0, 8000, 8000, 65536, 256, 0) + matrix + bytes(24) + struct.pack(">I", 2)
    path.write_bytes(
        start + box(b"mdat", bytes(16000)) + box(b"moov", box(b"mvhd", movie), box(b"trak", head, media), tags)
    )
    return path


def _edit(path: Path, change: Callable[[bytes, bytes], bytes]) -> None:
    """Rewrite the boxes of a file whose ``moov`` comes last, so that nothing in ``mdat`` moves."""

    def rebuilt(data: bytes) -> bytes:
        out, at = b"", 0
        while at < len(data):
            size, kind = struct.unpack_from(">I4s", data, at)
            body = data[at + 8 : at + size]
            out += box(kind, change(kind, rebuilt(body) if kind in _NESTED else body))
            at += size
        return out

    path.write_bytes(rebuilt(path.read_bytes()))
