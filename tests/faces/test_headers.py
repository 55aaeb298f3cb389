from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.faces.decoding import Header, decode, header
from emotion.faces.formats import UnreadableImageError
from tests.helpers.bing_server import png_bomb
from tests.helpers.properties import max_examples


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["jpg", "png", "bmp", "webp", "tiff"]), st.booleans())
@max_examples(60)
def test_headers_tell_format_and_size(width: int, height: int, extension: str, colour: bool) -> None:
    image = np.zeros((height, width, 3) if colour else (height, width), np.uint8)
    data = cv2.imencode(f".{extension}", image)[1].tobytes()
    assert header(data) == Header(extension, width, height)


def test_gif() -> None:
    data = cv2.imencode(".gif", np.zeros((20, 30, 3), np.uint8))[1].tobytes()  # OpenCV writes no very small ones
    assert header(data) == Header("gif", 30, 20)


def test_headers_that_are_easily_misread() -> None:
    gif = cv2.imencode(".gif", np.zeros((20, 30, 3), np.uint8))[1].tobytes()
    wide = gif[:6] + struct.pack("<HH", 40_000, 50_000) + gif[10:]
    assert header(wide) == Header("gif", 40_000, 50_000), "its sides are unsigned"
    os2 = b"BM" + struct.pack("<IHHI", 626, 0, 0, 26) + struct.pack("<IHHHH", 12, 10, 20, 1, 24) + bytes(600)
    assert header(os2) == Header("bmp", 10, 20), "the header of OS/2 has sides of two bytes"
    webp = bytearray(
        cv2.imencode(".webp", np.zeros((20, 30, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 50])[1].tobytes()
    )
    assert webp[12:16] == b"VP8 "
    webp[27] |= 0x40  # one of the two bits of scale before the width
    assert header(bytes(webp)) == Header("webp", 30, 20)


@pytest.mark.parametrize("quality", [50, 101])  # above 100 is lossless, another format inside WebP
def test_both_kinds_of_webp(quality: int) -> None:
    data = cv2.imencode(".webp", np.zeros((20, 30, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    assert header(data) == Header("webp", 30, 20)


def test_a_progressive_photo_with_metadata(shared: Path) -> None:
    data = (shared / "media" / "multi_face.jpg").read_bytes()
    assert header(data) == Header("jpg", 1000, 667)


def test_a_decompression_bomb_is_read_without_decoding_it() -> None:
    assert header(png_bomb(50_000, 50_000)) == Header("png", 50_000, 50_000)


@pytest.mark.parametrize(("extension", "kind"), [("hdr", "hdr"), ("pam", "pam"), ("pfm", "pam"), ("ras", "sun")])
def test_formats_of_opencv_alone(extension: str, kind: str) -> None:
    values = np.zeros((20, 30, 3), np.float32 if extension in ("hdr", "pfm") else np.uint8)
    assert header(cv2.imencode(f".{extension}", values)[1].tobytes()) == Header(kind, 30, 20)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"#?RADIANCE\n# -Y 1 +X 1\nFORMAT=32-bit_rle_rgbe\n\n-Y 40000 +X 50000\n", "hdr"),
        (b"P7\n# WIDTH 1\nHEIGHT 40000\nWIDTH 50000\nDEPTH 3\nMAXVAL 255\nENDHDR\n", "pam"),
        (b"PF\n50000 40000\n-1\n", "pam"),
        (b"\x59\xa6\x6a\x95" + struct.pack(">7I", 50_000, 40_000, 24, 0, 1, 0, 0), "sun"),
    ],
)
def test_bombs_of_opencv_alone_are_told_by_their_headers(start: bytes, kind: str) -> None:
    assert header(start) == Header(kind, 50_000, 40_000), "there is not a pixel to decode"
    with pytest.raises(UnreadableImageError, match="too many pixels"):
        decode(start)


@pytest.mark.parametrize(
    "data", [b"", b"<!DOCTYPE html>", b"<svg xmlns='x'/>", b"\xff\xd8\xff", b"RIFF....AVI ", b"BM", png_bomb(0, 9)]
)
def test_what_is_no_picture(data: bytes) -> None:
    assert header(data) is None


_STARTS = (
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"BM",
    b"RIFF0000WEBP",
    b"II\x2a\x00",
    b"MM\x00\x2a",
    b"P7\nWIDTH 3\n",
    b"PF\n",
    b"#?RADIANCE\n\n-Y ",
    b"\x59\xa6\x6a\x95",
    b"",
)


@given(st.sampled_from(_STARTS), st.binary(max_size=80))
def test_any_bytes_are_read_without_an_error(start: bytes, rest: bytes) -> None:
    found = header(start + rest)
    assert found is None or (found.width > 0 and found.height > 0)


@given(st.sampled_from(["jpg", "png", "gif", "bmp", "webp", "tiff"]), st.floats(0, 1), st.integers(0, 255))
def test_damaged_files_are_read_without_an_error(extension: str, where: float, byte: int) -> None:
    data = bytearray(cv2.imencode(f".{extension}", np.zeros((20, 30, 3), np.uint8))[1].tobytes())
    at = round(where * (len(data) - 1))
    header(bytes(data[:at]))
    data[at] = byte
    header(bytes(data))
