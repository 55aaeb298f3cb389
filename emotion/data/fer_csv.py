"""Reading ``fer2013.csv``: 300 MB of decimal numbers into uint8 pictures, quickly and in flat memory.

The digits are turned into numbers by whole-array arithmetic on the file's bytes, a chunk at a time. Python looks at a
number only where a chunk holds a mistake, to say which line it is on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emotion.base.errors import UserError, did_you_mean
from emotion.faces.labels import NUMBERINGS

#: The official splits, in the order of :attr:`Table.usage`.
USAGES = ("Training", "PublicTest", "PrivateTest")

_EMOTIONS = {str(number).encode(): number for number in NUMBERINGS["fer2013"]}
_USAGE = {usage.lower().encode(): i for i, usage in enumerate(USAGES)}
_LONGEST_LINE = 1 << 20
_SPACE, _ZERO = 32, 48


@dataclass(frozen=True)
class Table:
    """The rows of a CSV file, in its order.

    Attributes:
        images: uint8 ``[N, side, side]``.
        emotions: uint8 ``[N]``, FER2013's numbers.
        usage: uint8 ``[N]``, indices into :data:`USAGES`; all Training where the file has no such column.
        has_usage: Whether it has.
    """

    images: np.ndarray[Any, Any]
    emotions: np.ndarray[Any, Any]
    usage: np.ndarray[Any, Any]
    has_usage: bool


@dataclass(frozen=True)
class _Columns:
    count: int
    emotion: int
    pixels: int
    usage: int | None


def parse(path: Path, *, side: int = 48, chunk_bytes: int = 1 << 20) -> Table:
    """Parse FER2013's CSV.

    The header names the columns ``emotion``, ``pixels`` and, if it is there, ``Usage``, in any order and with any
    spaces round the names; other columns are passed over. Lines end in LF or CRLF, empty lines are passed over.

    Args:
        path: The file.
        side: Width and height of the pictures in pixels.
        chunk_bytes: How much is read at a time.

    Raises:
        UserError: With file and line: not a CSV, wrong header, wrong number of pixels, a value that is not 0 to 255,
            an emotion that is not 0 to 6, an unknown Usage, a file that ends in the middle of a line, no rows.
    """
    images, emotions, usages = [], [], []
    try:
        with path.open("rb") as file:
            columns = _read_header(path, file.readline(_LONGEST_LINE))
            for first, lines, is_last in _chunks(path, file, chunk_bytes):
                parsed = _parse_lines(lines, columns, side * side)
                if parsed is None:
                    _explain(path, first, lines, columns, side, is_last)
                else:
                    images.append(parsed[0].reshape(-1, side, side))
                    emotions += parsed[1]
                    usages += parsed[2]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if not emotions:
        raise UserError(f"{path}: a header and no rows. Copy or download the file again")
    return Table(
        images=np.concatenate(images),
        emotions=np.array(emotions, np.uint8),
        usage=np.array(usages, np.uint8),
        has_usage=columns.usage is not None,
    )


def _read_header(path: Path, header: bytes) -> _Columns:
    advice = "Download the file again, or set dataset.root to the right one"
    start = header[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not header:
        raise UserError(f"{path}: empty file. {advice}")
    if start.startswith(b"version https://git-lfs"):
        raise UserError(f"{path}: a Git LFS pointer, not the file itself. Fetch it with: git lfs pull")
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise UserError(f"{path}: a web page, not a CSV; the download led to a login or error page. {advice}")
    if header.startswith((b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")) or header[257:262] == b"ustar":
        raise UserError(f"{path}: a compressed archive, not a CSV. Unpack it first")
    names = [_text(_bare(n)).lower() for n in header.removeprefix(b"\xef\xbb\xbf").split(b",")]
    for name in ("emotion", "pixels"):
        if names.count(name) != 1:
            found = _text(header.strip()[:60])
            raise UserError(
                f"{path}, line 1: expected the columns emotion, pixels and Usage, found '{found}'. {advice}"
            )
    if names.count("usage") > 1:
        raise UserError(f"{path}, line 1: two columns are called Usage. {advice}")
    usage = names.index("usage") if "usage" in names else None
    return _Columns(len(names), names.index("emotion"), names.index("pixels"), usage)


def _chunks(path: Path, file: Any, chunk_bytes: int) -> Iterator[tuple[int, list[bytes], bool]]:
    """Yield the number of the first line, whole lines, and whether the file ends with them without a line end."""
    number, rest = 2, b""
    while chunk := file.read(chunk_bytes):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if len(rest) > _LONGEST_LINE:
            raise UserError(f"{path}, line {number + len(lines)}: longer than 1 MB. This is not FER2013's CSV")
        if lines:
            yield number, lines, False
            number += len(lines)
    if rest:
        yield number, [rest], True


def _parse_lines(
    lines: list[bytes], columns: _Columns, pixels: int
) -> tuple[np.ndarray[Any, Any], list[int], list[int]] | None:
    """Parse whole lines; None where any of them holds a mistake."""
    texts, emotions, usages = [], [], []
    for line in lines:
        if not line.strip():
            continue
        fields = line.split(b",")
        if len(fields) != columns.count:
            return None
        emotion = _EMOTIONS.get(_bare(fields[columns.emotion]))
        usage = 0 if columns.usage is None else _USAGE.get(_bare(fields[columns.usage]).lower())
        if emotion is None or usage is None:
            return None
        texts.append(_bare(fields[columns.pixels]))
        emotions.append(emotion)
        usages.append(usage)
    if not texts:
        return np.empty(0, np.uint8), [], []
    values, ends = _numbers(b" ".join(texts))
    if values is None or len(values) != pixels * len(texts):
        return None
    start = 0
    for text in texts:  # the total can be right while one picture has a pixel too few and the next one too many
        if np.count_nonzero(ends[start : start + len(text)]) != pixels:
            return None
        start += len(text) + 1
    return values, emotions, usages


def _numbers(text: bytes) -> tuple[np.ndarray[Any, Any] | None, Any]:
    """All numbers of a text of digits and spaces as uint8, and which bytes are a number's last digit.

    The numbers are None where there is anything else, a number over 255 or one of more than three digits.
    """
    # Two spaces before and one after, so that every digit has two neighbours to its left and one to its right.
    raw = np.frombuffer(b"  " + text + b" ", np.uint8)
    digits = raw - np.uint8(_ZERO)  # wraps below "0", so anything but a digit is 10 or more
    is_digit = digits < 10
    digits *= is_digit
    ends = is_digit[2:-1] & ~is_digit[3:]
    values = digits[2:-1].astype(np.uint16)
    values += digits[1:-2] * np.uint8(10)
    values += (digits[:-3] * is_digit[1:-2]) * np.uint16(100)
    in_a_row = is_digit[3:] & is_digit[2:-1] & is_digit[1:-2] & is_digit[:-3]
    numbers = values[ends]
    if in_a_row.any() or not (is_digit | (raw == _SPACE)).all() or (numbers > 255).any():
        return None, ends
    return numbers.astype(np.uint8), ends


def _explain(path: Path, first: int, lines: list[bytes], columns: _Columns, side: int, is_last: bool) -> None:
    """Raise for the first mistake in these lines, which hold at least one."""
    for number, line in enumerate(lines, start=first):
        mistake = _mistake(line, columns, side) if line.strip() else None
        if mistake is not None:
            if is_last:
                mistake += ". The file ends in the middle of this line: copy or download it again"
            raise UserError(f"{path}, line {number}: {mistake}")
    raise AssertionError(f"{path}, lines {first} to {first + len(lines) - 1}: refused without a reason")


def _mistake(line: bytes, columns: _Columns, side: int) -> str | None:
    fields = line.split(b",")
    if len(fields) != columns.count:
        return f"{len(fields)} columns, the header has {columns.count}"
    emotion = _text(_bare(fields[columns.emotion]))
    if emotion.encode() not in _EMOTIONS:
        return f"emotion is '{emotion[:20]}', must be a number from 0 to 6"
    values = _bare(fields[columns.pixels]).split(b" ")
    values = [v for v in values if v]
    for value in values:
        if len(value) > 3 or not value.isdigit() or int(value) > 255:
            return f"pixel value '{_text(value[:20])}' is not a whole number from 0 to 255"
    if len(values) != side * side:
        return f"{len(values)} pixels, expected {side * side} ({side}x{side})"
    usage = None if columns.usage is None else _text(_bare(fields[columns.usage]))
    if usage is not None and usage.lower().encode() not in _USAGE:
        return f"Usage is '{usage[:20]}', must be one of {', '.join(USAGES)}.{did_you_mean(usage, USAGES)}"
    return None


def _bare(field: bytes) -> bytes:
    return field.strip().strip(b'"').strip()


def _text(field: bytes) -> str:
    """A field for a message: whatever bytes it holds, nothing that a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in field.decode("utf-8", "replace"))
