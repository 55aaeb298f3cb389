"""What the bytes of an image file say before its pixels are decoded: sizes, ranges, where the picture ends."""

from __future__ import annotations

import re
import struct
import zlib

from emotion.faces.formats import UnreadableImageError


def size(kind: str, data: bytes) -> tuple[int, int]:
    """Width and height in the header of a format that OpenCV alone reads; any exception where it has none."""
    head = data[: 1 << 14]
    if kind == "sun":
        return struct.unpack_from(">II", head, 4)
    if kind == "hdr":
        found = re.match(rb"-Y\s+(?P<h>\d+)\s+\+X\s+(?P<w>\d+)\s", head.partition(b"\n\n")[2])
    elif head[1:2] in b"Ff":
        found = re.match(rb"P[Ff]\s+(?P<w>\d+)\s+(?P<h>\d+)\s", head)
    else:
        sides = dict(re.findall(rb"^(WIDTH|HEIGHT)[ \t]+(\d+)", head.partition(b"\nENDHDR")[0], re.MULTILINE))
        return int(sides[b"WIDTH"]), int(sides[b"HEIGHT"])
    assert found is not None
    return int(found["w"]), int(found["h"])


def whole_png(data: bytes) -> bytes:
    """The chunks of a PNG that its pixels need, each checked; without the profiles that libpng warns of."""
    kept, at = [data[:8]], 8
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length]
        if len(chunk) < 12 + length:
            break
        if name in (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"eXIf", b"sBIT"):
            if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
                raise UnreadableImageError(f"damaged PNG (its {name.decode()} chunk does not match its checksum)")
            kept.append(chunk)
        at += 12 + length
        if name == b"IEND":
            return b"".join(kept)
    raise UnreadableImageError("truncated")


def without_appendix(data: bytes) -> bytes:
    """A JPEG 2000 file up to the end of its picture (ISO/IEC 15444-1, annex I): a film behind it has boxes, too."""
    at = 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        start = at
        at += struct.unpack_from(">Q", data, at + 8)[0] if length == 1 and at + 16 <= len(data) else length
        if name == b"jp2c" and at > start:  # 0: to the end of the file
            return data[:at]
        if at <= start:
            break
    return data


def largest_value(kind: str, data: bytes) -> int:
    """The largest value that a file announces; 0 where it announces none."""
    if kind == "png":
        at = data.find(b"sBIT", 29, 4096)
        return 0 if at < 0 else (1 << data[at + 4]) - 1
    match = re.match(rb"P[2356]\s(?:\s*#[^\n]*\n)*\s*\d+\s+(?:#[^\n]*\n\s*)*\d+\s+(?:#[^\n]*\n\s*)*(\d+)", data[:4096])
    # 65535 is written whatever the values are.
    return int(match[1]) if kind == "pnm" and match and match[1] != b"65535" else 0
