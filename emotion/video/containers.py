"""What is in a film's container: its video tracks; and what a file that gives no film is: damaged, or sound alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2

from emotion.faces import formats

_SOUND = "it holds sound and no video"
_MAGIC = re.compile(rb"ID3|\xff[\xfb\xf3\xf2\xf1\xf9]|fLaC|OggS|RIFF....WAVE|FORM....AIF|#!AMR|caff", re.DOTALL)
#: Codecs of single pictures; and frames per second that FFmpeg gives for a cover alone.
_PICTURES, _COVER, _EBML = ("MJPG", "jpeg", "png ", "MPNG", "BMP "), 10_000, b"\x1a\x45\xdf\xa3"


@dataclass(frozen=True)
class Track:
    """A picture or film in a container: where its entry can be overwritten with what, so that readers pass over it.

    ``film`` is False for a cover among an MP4's tags.
    """

    place: int
    hidden: bytes
    film: bool = True


def is_picture(capture: cv2.VideoCapture) -> bool:
    """Whether what an open file gives is a single picture, such as a cover; of a film frames are taken."""
    if capture.get(cv2.CAP_PROP_FPS) >= _COVER:
        return True
    codec = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("latin-1")
    return codec in _PICTURES and not (capture.grab() and capture.grab())  # Matroska does not count frames


def no_film(path: Path, capture: cv2.VideoCapture) -> str | None:
    """Why an open file is no film though it has pictures; None where it is one."""
    if capture.get(cv2.CAP_PROP_FPS) < _COVER:
        return None
    return _SOUND if _has_sound_alone(path) else "its only picture is a cover; it holds no video"


def tracks(path: Path) -> list[Track]:
    """The films of an MP4, MOV or Matroska file, and the covers before them, in the order of the file."""
    with path.open("rb") as data, suppress(OSError, ValueError, IndexError):
        size = path.stat().st_size
        return list(_matroska(data, size) if data.read(4) == _EBML else _mp4(data, size))
    return []


def _mp4(data: BinaryIO, size: int) -> Iterator[Track]:
    """By ISO/IEC 14496-12, 8.3.1; covers are among iTunes's tags."""
    for name, start, end in _boxes(data, 0, size):
        for inner, at, stop in _boxes(data, start, end) if name == "moov" else ():
            data.seek(at)
            body = data.read(min(stop - at, 1 << 26))
            if inner == "trak" and re.search(rb"hdlr.{8}vide", body, re.DOTALL):
                yield Track(at - 4, b"free")
            if inner == "udta" and b"covr" in body:
                yield Track(at + body.index(b"covr"), b"free", film=False)


def _matroska(data: BinaryIO, size: int) -> Iterator[Track]:
    """By RFC 9559, 5.1.4: the entries of type 1 in the tracks of the segment, which come before its clusters."""
    for kind, start, end in _elements(data, 0, size):
        for part, inner, stop in _elements(data, start, end) if kind == 0x18538067 else ():
            if part == 0x1F43B675:  # a cluster
                return
            for entry, first, last in _elements(data, inner, stop) if part == 0x1654AE6B else ():
                for detail, at, after in _elements(data, first, last) if entry == 0xAE else ():
                    if detail == 0x83 and _number(data, at, after) == 1:
                        yield Track(after - 1, b"\x11")  # subtitles: blocks of a track that is missing end the reading


def _elements(data: BinaryIO, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Kind, and the body's start and end of each element of EBML (RFC 8794)."""
    while at < end:
        data.seek(at)
        head = data.read(12)
        name = 9 - head[0].bit_length()
        length = 9 - head[name].bit_length()
        if name > 4 or length > 8:
            raise ValueError("no EBML")
        size = int.from_bytes(head[name : name + length], "big") & ((1 << 7 * length) - 1)
        start = at + name + length
        stop = end if size == (1 << 7 * length) - 1 else min(end, start + size)  # all ones: not known
        yield int.from_bytes(head[:name], "big"), start, stop
        at = stop


def _number(data: BinaryIO, start: int, end: int) -> int:
    data.seek(start)
    return int.from_bytes(data.read(end - start), "big")


def damage(path: Path, is_text: bool) -> str:
    """Why a file cannot be opened as video, as far as it is known, and what to do."""
    if is_text:
        return "it is text. Give a video or an image"
    try:
        size = path.stat().st_size
        with path.open("rb") as data:
            boxes = [name for name, _, _ in _boxes(data, 0, size)]
        head = _head(path)
    except OSError as error:  # it was removed meanwhile
        return error.strerror or str(error)
    if not size:
        return "it is empty. Copy or record it again"
    if _has_sound_alone(path):
        return _SOUND
    if boxes and boxes[0] in ("ftyp", "mdat", "wide", "free", "skip") and "moov" not in boxes:
        return (
            "its index (the moov box of an MP4 or MOV) is missing, as where a recording or a copy was cut off. Copy it "
            "again whole; if there is no whole one, a repair program (such as untrunc) can rebuild the index from "
            "another video of the same camera"
        )
    what = formats.what_else(head)
    if what is not None and "video" not in what:
        return what
    return "it is damaged, or in a format that this OpenCV does not know. Play it elsewhere, or convert it to MP4"


def _head(path: Path, most: int = 1 << 16) -> bytes:
    with path.open("rb") as data:
        return data.read(most)


def _has_sound_alone(path: Path) -> bool:
    """By the first bytes of a sound file, or by the tracks of an MP4 (ISO/IEC 14496-12, 8.4.3)."""
    if _MAGIC.match(_head(path)):
        return True
    with path.open("rb") as data:
        size = path.stat().st_size
        if not any(name == "moov" for name, _, _ in _boxes(data, 0, size)):
            return False
        data.seek(0)
        kinds = set(re.findall(rb"hdlr.{8}(vide|soun)", data.read() if size < 1 << 28 else b"", re.DOTALL))
    return kinds == {b"soun"}


def _boxes(data: BinaryIO, at: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Name, start and end of the boxes in a part of an MP4 (ISO/IEC 14496-12, 4.2); nothing, or nonsense, elsewhere."""
    while at + 8 <= end:
        data.seek(at)
        head = data.read(16)
        length, start = int.from_bytes(head[:4], "big"), at + 8
        if length == 1:
            length, start = int.from_bytes(head[8:16], "big"), at + 16
        yield head[4:8].decode("latin-1"), start, at + length if length >= 8 else end
        if length < 8:  # 0: to the end of the file
            return
        at += length
