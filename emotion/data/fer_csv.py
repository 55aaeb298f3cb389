"""Reading ``fer2013.csv``: 300 MB of decimal numbers into uint8 images, row by row."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from emotion.base.errors import UserError, did_you_mean
from emotion.faces.labels import NUMBERINGS

#: The official splits, in the order of :attr:`Table.usage`.
USAGES = ("Training", "PublicTest", "PrivateTest")

_EMOTIONS = {str(number).encode(): number for number in NUMBERINGS["fer2013"]}
_USAGE = {usage.lower().encode(): i for i, usage in enumerate(USAGES)}
_LONGEST_LINE = 1 << 20
_CUT_OFF = ". The file ends in the middle of this line: copy or download it again"
#: What each byte of a list of pixels is: a digit, a space, or neither.
_KINDS = bytes(ord("0" if chr(byte).isdecimal() and byte < 128 else " " if byte == 32 else "?") for byte in range(256))

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Table:
    """The rows of a CSV file, in its order."""

    images: Pixels  #: uint8 ``[N, side, side]``
    emotions: Pixels  #: uint8 ``[N]``, FER2013's numbers
    usage: Pixels  #: uint8 ``[N]``, indices into :data:`USAGES`; all Training where the file has no such column
    has_usage: bool  #: whether the file has such a column


@dataclass(frozen=True)
class _Columns:
    count: int
    emotion: int
    pixels: int
    usage: int | None
    separator: bytes


def parse(path: Path, *, side: int = 48) -> Table:
    """Parse FER2013's CSV of ``side`` x ``side`` pixels.

    The header names the columns ``emotion``, ``pixels`` and, if it is there, ``Usage``, in any order and with any
    spaces round the names; other columns, such as an index, are passed over, and so are empty lines. Read as
    spreadsheets and pandas save it: with a byte order mark, in UTF-16, separated by semicolons or tabs, lines that end
    in LF, CRLF or CR, whole numbers as decimals (``3.0``).

    Raises:
        UserError: With file and line: not a CSV, wrong header, wrong number of pixels, a value that is not 0 to 255,
            an emotion that is not 0 to 6, an unknown Usage, a file that ends in the middle of a line, no rows.
    """
    images: list[Pixels] = []
    emotions, usages = bytearray(), bytearray()
    try:
        with _opened(path) as file:
            columns = _read_header(path, file.readline(_LONGEST_LINE))
            for number, line in _lines(path, file):
                try:
                    pixels, emotion, usage = _parse_row(line, columns, side)
                except ValueError as error:
                    cut = "" if line.endswith(b"\n") else _CUT_OFF
                    raise UserError(f"{path}, line {number}: {error}{cut}") from None
                images.append(pixels)
                emotions.append(emotion)
                usages.append(usage)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if not emotions:
        raise UserError(f"{path}: a header and no rows. Copy or download the file again")
    return Table(
        images=np.stack(images).reshape(-1, side, side),
        emotions=np.frombuffer(emotions, np.uint8),
        usage=np.frombuffer(usages, np.uint8),
        has_usage=columns.usage is not None,
    )


def _opened(path: Path) -> BinaryIO:
    """The file as UTF-8 whose lines end in a line feed."""
    file = path.open("rb")
    start = file.read(_LONGEST_LINE)
    file.seek(0)
    is_utf16 = start.startswith((b"\xff\xfe", b"\xfe\xff"))
    if not is_utf16 and (b"\n" in start or b"\r" not in start):
        return file
    with file:
        text = file.read().decode("utf-16").encode() if is_utf16 else file.read()
    return io.BytesIO(text.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))


def _read_header(path: Path, header: bytes) -> _Columns:
    advice = "Download the file again, or set dataset.root to the right one"
    start = header[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not header:
        raise UserError(f"{path}: empty file. {advice}")
    if start.startswith(b"version https://git-lfs"):
        raise UserError(f"{path}: a Git LFS pointer, not the file itself. Download it with: git lfs pull")
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise UserError(f"{path}: a web page, not a CSV; the download led to a login or error page. {advice}")
    if header.startswith((b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")) or header[257:262] == b"ustar":
        raise UserError(f"{path}: a compressed archive, not a CSV. Unpack it first")
    separator = max((b",", b";", b"\t"), key=header.count)
    names = [_text(_bare(n)).lower() for n in header.removeprefix(b"\xef\xbb\xbf").split(separator)]
    for name in ("emotion", "pixels"):
        if names.count(name) != 1:
            found = _text(header.strip()[:60])
            raise UserError(
                f"{path}, line 1: expected the columns emotion, pixels and Usage, found '{found}'. {advice}"
            )
    if names.count("usage") > 1:
        raise UserError(f"{path}, line 1: two columns are called Usage. {advice}")
    usage = names.index("usage") if "usage" in names else None
    return _Columns(len(names), names.index("emotion"), names.index("pixels"), usage, separator)


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the text of each line that is not empty, from the file's second line on."""
    for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), start=2):
        if len(line) == _LONGEST_LINE:
            raise UserError(f"{path}, line {number}: longer than 1 MB. This is not FER2013's CSV")
        if line.strip():
            yield number, line


def _parse_row(line: bytes, columns: _Columns, side: int) -> tuple[Pixels, int, int]:
    """Read one row: pixels uint8 ``[side * side]``, FER2013's number of the emotion, index into :data:`USAGES`.

    Raises:
        ValueError: A sentence that says what is wrong with the line.
    """
    fields = line.split(columns.separator)
    if len(fields) != columns.count:
        raise ValueError(f"{len(fields)} columns, the header has {columns.count}")
    emotion = _EMOTIONS.get(_whole(_bare(fields[columns.emotion])))
    if emotion is None:
        name = _text(_bare(fields[columns.emotion]))
        raise ValueError(f"emotion is '{name[:20]}', must be a number from 0 to 6")
    pixels = _parse_pixels(_bare(fields[columns.pixels]))
    if len(pixels) != side * side:
        raise ValueError(f"{len(pixels)} pixels, expected {side * side} ({side}x{side})")
    usage = 0 if columns.usage is None else _USAGE.get(_bare(fields[columns.usage]).lower())
    if usage is None:
        name = _text(_bare(fields[columns.usage or 0]))
        raise ValueError(f"Usage is '{name[:20]}', must be one of {', '.join(USAGES)}.{did_you_mean(name, USAGES)}")
    return pixels, emotion, usage


def _parse_pixels(text: bytes) -> Pixels:
    kinds = text.translate(_KINDS)
    if b"?" in kinds and b"." in text:
        text = b" ".join(map(_whole, text.split(b" ")))
        kinds = text.translate(_KINDS)
    if b"?" not in kinds and b"0000" not in kinds:  # np.fromstring would also take signs and any number of zeros
        values = np.fromstring(text, np.int16, sep=" ")
        if not (values > 255).any():
            return values.astype(np.uint8)
    wrong = next(v for v in text.split(b" ") if v and (len(v) > 3 or not v.isdigit() or int(v) > 255))
    raise ValueError(f"pixel value '{_text(wrong[:20])}' is not a whole number from 0 to 255")


def _bare(field: bytes) -> bytes:
    return field.strip().strip(b'"').strip()


def _whole(number: bytes) -> bytes:
    """``3.0`` as ``3``; all else unchanged."""
    whole, point, rest = number.partition(b".")
    return whole if point and not rest.strip(b"0") and whole.isdigit() else number


def _text(field: bytes) -> str:
    """A field for a message: whatever bytes it holds, nothing that a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in field.decode("utf-8", "replace"))
