"""Every way in which people's image files differ from a plain JPEG, with files made here."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from emotion.faces.decoding import count_frames, decode, frames, header
from emotion.faces.formats import UnreadableImageError
from emotion.faces.images import Image

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM")


def scene(height: int = 60, width: int = 80) -> Image:
    """A smooth picture whose four corners differ, BGR."""
    y, x = np.mgrid[:height, :width]
    return np.dstack([255 * x / width, 255 * y / height, 255 * (x + y) / (height + width)]).astype(np.uint8)


def saved(image: Image | Pillow.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture = (
        Pillow.fromarray(image[..., ::-1] if image.ndim == 3 else image) if isinstance(image, np.ndarray) else image
    )
    picture.save(out, kind, **options)
    return out.getvalue()


def near(got: Image, expected: Image, most: float = 6.0) -> None:
    assert got.shape == expected.shape
    assert got.dtype == np.uint8
    assert np.abs(got.astype(float) - expected).mean() < most


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format(kind: str) -> None:
    data = saved(scene(), kind)
    near(decode(data), scene(), 12 if kind == "GIF" else 4)
    found = header(data)
    assert found is not None
    assert (found.width, found.height) == (80, 60)
    near(decode(saved(scene()[:, :, 0], kind)), np.dstack([scene()[:, :, 0]] * 3), 4)


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from((30, 75, 92, 100)),
    st.sampled_from((0, 1, 2)),
    st.booleans(),
)
@settings(max_examples=40)
def test_pixels_of_jpegs_are_those_of_opencv(width: int, height: int, quality: int, sampling: int, steps: bool) -> None:
    data = saved(scene(height, width), "JPEG", quality=quality, subsampling=sampling, progressive=steps)
    np.testing.assert_array_equal(decode(data), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


# ------------------------------------------------------------------------------------------------------ around the end


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "tail", [bytes(8192), b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40, b"\xff\xd8\xff\xe0 again", b"\n"]
)
def test_what_follows_the_end_is_passed_over(kind: str, tail: bytes) -> None:
    data = saved(scene(), kind)
    np.testing.assert_array_equal(decode(data + tail), decode(data))


@pytest.mark.parametrize("kind", FORMATS)
@given(share=st.floats(0.02, 0.98))
@settings(max_examples=15, deadline=None)
def test_what_is_cut_off_is_never_an_image(kind: str, share: float) -> None:
    data = saved(scene(), kind)
    with pytest.raises(UnreadableImageError):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF", "AVIF"])
def test_a_hole_in_the_middle_is_damage(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 240, 3), np.uint8)
    data = bytearray(saved(noise, kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {})))
    at = len(data) * 62 // 100
    data[at : at + 2000] = bytes(2000)
    with pytest.raises(UnreadableImageError, match=r"damaged|truncated"):
        decode(bytes(data))


def test_a_stray_byte_before_the_end_of_a_jpeg_harms_nothing() -> None:
    data = saved(scene(), "JPEG")
    np.testing.assert_array_equal(decode(data[:-2] + b"\x7f\xff\xd9"), decode(data))


# --------------------------------------------------------------------------------------------------------- orientation


def _turned(orientation: int) -> Image:
    """How a picture must be stored so that it is :func:`scene` when it is turned."""
    image = scene()
    stored = {
        1: image, 2: image[:, ::-1], 3: image[::-1, ::-1], 4: image[::-1], 5: image.transpose(1, 0, 2),
        6: np.rot90(image, 1), 7: image[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(image, -1),
    }[orientation]  # fmt: skip
    return np.ascontiguousarray(stored)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_in_every_format_that_carries_it(kind: str, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[274] = orientation
    near(decode(saved(_turned(orientation), kind, exif=exif.tobytes())), scene())


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_of_deep_and_of_transparent_pictures(orientation: int) -> None:
    exif = Pillow.Exif()
    exif[274] = orientation
    grey = _turned(orientation)[:, :, 0]
    deep = saved(Pillow.fromarray(grey.astype(np.uint16) << 8), "PNG", exif=exif.tobytes())
    near(decode(deep), np.dstack([scene()[:, :, 0]] * 3))
    clear = Pillow.fromarray(_turned(orientation)[..., ::-1]).convert("RGBA")
    near(decode(saved(clear, "PNG", exif=exif.tobytes())), scene())


# ----------------------------------------------------------------------------------------------------------- bit depth


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("ending", [".png", ".tiff", ".pgm"])
@pytest.mark.parametrize("colour", [False, True])
def test_every_depth_in_sixteen_bits_is_scaled_by_its_range(bits: int, ending: str, colour: bool) -> None:
    image = scene() if colour else scene()[:, :, 0]
    image[0, 0] = 255
    values = (image.astype(np.uint32) * ((1 << bits) - 1) // 255).astype(np.uint16)
    data = cv2.imencode(".ppm" if colour and ending == ".pgm" else ending, values)[1].tobytes()
    near(decode(data), image if colour else np.dstack([image] * 3), 2)


@pytest.mark.parametrize("ending", [".png", ".tiff", ".pgm"])
def test_black_of_sixteen_bits_is_black(ending: str) -> None:
    assert not decode(cv2.imencode(ending, np.zeros((20, 20), np.uint16))[1].tobytes()).any()


@pytest.mark.parametrize("top", [1.0, 255.0, 4000.0])
@pytest.mark.parametrize("colour", [False, True])
def test_floats_are_scaled(top: float, colour: bool) -> None:
    image = scene() if colour else scene()[:, :, 0]
    image[0, 0] = 255
    data = cv2.imencode(".tiff", (image / 255 * top).astype(np.float32))[1].tobytes()
    near(decode(data), image if colour else np.dstack([image] * 3), 2)


@pytest.mark.parametrize("top", [1, 15, 100, 255, 1000, 65535])
def test_a_pgm_says_its_largest_value(top: int) -> None:
    grey = scene()[:, :, 0]
    values = np.rint(grey * (top / 255)).astype(">u2" if top > 255 else np.uint8)
    data = b"P5\n# a comment\n80 60\n%d\n" % top + values.tobytes()
    near(decode(data), np.dstack([grey] * 3), 70 if top == 1 else 10)


def test_a_png_says_how_many_of_its_bits_count() -> None:
    """A dark 12 bit picture: 256 is a sixteenth of its range, though 10 bits would hold it."""
    values = np.full((40, 40), 256, np.uint16)
    data = cv2.imencode(".png", values)[1].tobytes()
    chunk = b"sBIT" + bytes([12])
    data = data[:33] + struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    assert decode(data).max() == 16


# --------------------------------------------------------------------------------------------- transparency and colours


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(kind: str, mode: str) -> None:
    rgba = np.zeros((60, 80, 4), np.uint8)
    rgba[:, :40, :3] = np.random.default_rng(0).integers(0, 255, (60, 40, 3))  # hidden
    rgba[:, 60:, 3] = 255  # black ink
    image = Pillow.fromarray(rgba).convert(mode)
    got = decode(saved(image, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert got[5:-5, 5:55].min() > 240
    assert got[5:-5, 65:-5].max() < 15


def test_transparent_colours_of_palettes_and_of_sixteen_bits() -> None:
    palette = Pillow.fromarray(np.zeros((30, 30), np.uint8)).convert("P")
    palette.putpalette([10, 20, 30] + [0] * 765)
    for kind in ("PNG", "GIF"):
        assert decode(saved(palette, kind, transparency=0)).min() > 250
    assert decode(saved(palette, "PNG"))[0, 0].tolist() == [30, 20, 10]
    deep = np.zeros((30, 30, 4), np.uint16)
    deep[:, 15:] = 65535
    got = decode(cv2.imencode(".png", deep)[1].tobytes())
    assert got.min() > 250  # black that is transparent, beside white


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    near(decode(saved(Pillow.fromarray(scene()[..., ::-1]).convert("CMYK"), kind)), scene(), 4)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_palettes_and_single_bits(kind: str, mode: str) -> None:
    image = Pillow.fromarray(scene()[..., ::-1]).convert(mode)
    near(decode(saved(image, kind)), np.asarray(image.convert("RGB"))[..., ::-1], 1)


# ---------------------------------------------------------------------------------------------------------- animations


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_all_frames_of_an_animation(kind: str) -> None:
    pictures = [Pillow.fromarray(np.full((40, 40, 3), value, np.uint8)) for value in (20, 120, 220)]
    options: dict[str, Any] = {} if kind == "TIFF" else {"duration": [100, 200, 300]}
    data = saved(pictures[0], kind, save_all=True, append_images=pictures[1:], **options)
    assert count_frames(data) == 3
    got = list(frames(data))
    assert [round(image.mean(), -1) for _, image in got] == [20, 120, 220]
    if kind != "TIFF":
        assert [seconds for seconds, _ in got] == pytest.approx([0.1, 0.2, 0.3])
    assert round(decode(data).mean(), -1) == 20


@pytest.mark.parametrize("kind", FORMATS)
def test_one_frame_is_no_animation(kind: str) -> None:
    assert count_frames(saved(scene(), kind)) == 1


# ------------------------------------------------------------------------------------------------ what is not an image


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"just text", "not an image"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\n <svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"%PDF-1.7", "a PDF"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\xff\x0a\x00", "JPEG XL"),
        (b"\0\0\1\0\1\0", "an icon"),
        (b"\0\0\0\x18ftypisom\0\0\2\0", "a video"),
        (b"\x1a\x45\xdf\xa3", "a video"),
    ],
)
def test_what_it_is_instead(data: bytes, message: str) -> None:
    with pytest.raises(UnreadableImageError, match=message):
        decode(data)


def test_more_pixels_than_memory_are_refused_by_the_header() -> None:
    whole = bytearray(saved(scene(), "PNG"))
    whole[16:24] = struct.pack(">II", 60_000, 60_000)
    whole[29:33] = struct.pack(">I", zlib.crc32(whole[12:29]))
    with pytest.raises(UnreadableImageError, match="too many pixels"):
        decode(bytes(whole))


# ---------------------------------------------------------------------------------------------------------------- HEIC


def _heic(turns: int) -> bytes:
    """A HEIC photo: one HEVC picture of PyAV's encoder in the boxes of HEIF (ISO/IEC 23008-12), turned left."""
    av = pytest.importorskip("av")
    if "libx265" not in av.codecs_available:
        pytest.skip("this PyAV has no HEVC encoder")
    codec = av.CodecContext.create("libx265", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 128, 64, "yuv420p", Fraction(1, 25)
    codec.options = {"x265-params": "log-level=none:keyint=1:annexb=1"}
    frame = av.VideoFrame.from_ndarray(cv2.resize(scene(), (128, 64)), "bgr24")
    stream = b"".join(bytes(p) for p in [*codec.encode(frame.reformat(format="yuv420p")), *codec.encode(None)])
    units = [u for u in re.split(rb"\x00\x00\x00?\x01", stream) if u]
    heads = [u for u in units if (u[0] >> 1) & 63 in (32, 33, 34)]
    slices = b"".join(struct.pack(">I", len(u)) + u for u in units if (u[0] >> 1) & 63 < 32)

    def box(kind: bytes, *body: bytes) -> bytes:
        return struct.pack(">I", 8 + len(b"".join(body))) + kind + b"".join(body)

    arrays = b"".join(bytes([0x80 | (u[0] >> 1) & 63]) + struct.pack(">HH", 1, len(u)) + u for u in heads)
    hvcc = box(b"hvcC", bytes([1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 90, 0xF0, 0, 0xFC, 0xFD, 0xF8, 0xF8, 0, 0, 0x0F]),  # noqa: E501
               bytes([len(heads)]), arrays)  # fmt: skip
    ispe, irot = box(b"ispe", struct.pack(">III", 0, 128, 64)), box(b"irot", bytes([turns]))
    ipma = box(b"ipma", struct.pack(">IIHB", 0, 1, 1, 3), bytes([0x81, 2, 0x83]))

    def meta(at: int) -> bytes:
        return box(
            b"meta", bytes(4), box(b"hdlr", bytes(8), b"pict", bytes(13)), box(b"pitm", struct.pack(">IH", 0, 1)),
            box(b"iloc", struct.pack(">IBBHHHHII", 0, 0x44, 0, 1, 1, 0, 1, at, len(slices))),
            box(b"iinf", struct.pack(">IH", 0, 1), box(b"infe", b"\2\0\0\0", struct.pack(">HH", 1, 0), b"hvc1\0")),
            box(b"iprp", box(b"ipco", hvcc, ispe, irot), ipma),
        )  # fmt: skip

    start = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    return start + meta(len(start) + len(meta(0)) + 8) + box(b"mdat", slices)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_heic_with_its_orientation(turns: int) -> None:
    pytest.importorskip("pi_heif")
    near(decode(_heic(turns)), np.ascontiguousarray(np.rot90(cv2.resize(scene(), (128, 64)), turns)), 8)


def test_heic_without_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion.faces.decoding.find_spec", lambda name: None)
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(900)
    with pytest.raises(UnreadableImageError, match=r"HEIC.*emotion\[heic\].*heif-convert.*most compatible"):
        decode(data)


# ------------------------------------------------------------------------------------------------- decoders' own lines


def _odd_profile() -> bytes:
    data = saved(scene(), "PNG")
    body = b"iCCPicc\0\0" + zlib.compress(bytes(200))
    return data[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]


def _torn(kind: str, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        data = bytearray(saved(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8), kind, **options))
        data[len(data) // 2 : len(data) // 2 + 500] = bytes(500)
        return bytes(data)

    return make


@pytest.mark.slow
def test_decoders_print_nothing(tmp_path: Any) -> None:
    makers = (
        _odd_profile,
        _torn("JPEG"),
        _torn("PNG"),
        _torn("TIFF", compression="tiff_lzw"),
        _torn("AVIF"),
        _torn("GIF"),
    )
    for i, make in enumerate(makers):
        (tmp_path / f"{i}").write_bytes(make())
    (tmp_path / "cut.tif").write_bytes(saved(scene(), "TIFF")[:3000])
    code = (
        "import sys\nfrom pathlib import Path\nfrom emotion.faces import decoding, formats\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try: decoding.read(path); print('whole')\n"
        "    except formats.UnreadableImageError: print('damaged')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, env=dict(os.environ), check=True
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["whole", *["damaged"] * 6]
