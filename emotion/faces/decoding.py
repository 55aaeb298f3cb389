"""Reading image files: one reader for all commands, whatever format a file has.

JPEG is decoded by libjpeg-turbo in its strict mode (simplejpeg), whose pixels equal OpenCV's; plain PNG and what has
more than 8 bits per channel by OpenCV; all else by Pillow, which knows transparency, palettes, CMYK and the orientation
of each format. The formats and what is done about each: ``docs/formats.md``.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from PIL import Image as Pillow
from PIL import ImageOps

from emotion.faces import containers
from emotion.faces.formats import UnreadableImageError, UnsupportedImageError, kind_of, recognised
from emotion.faces.images import Image
from emotion.faces.pixels import on_white, to_8_bits, turned
from emotion.faces.quiet import quiet, without_chatter

#: Larger images are refused before they are decoded: 0.8 GB as pixels. The largest phones take 200 million.
MOST_PIXELS = 1 << 28

# Pillow's own doubts about metadata; what matters is an error, and named with its file.
warnings.filterwarnings("ignore", module=r"PIL\.")

_PILLOW = {"jpeg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "webp": "WEBP", "tiff": "TIFF", "avif": "AVIF",
           "heif": "HEIF", "jp2": "JPEG2000", "pnm": "PPM"}  # fmt: skip
_SUFFIXES = {"jpeg": "jpg", "heif": "heic", "pnm": "ppm"}
_WITHOUT_HEIF = (
    "HEIC, which needs pip install 'emotion[heic]'; or convert it (heif-convert), or set the phone to 'most compatible'"
)
# What libjpeg warns of though every pixel is there: a marker's revision, and up to 16 stray bytes before the end.
_HARMLESS = re.compile(r"JFIF revision|Invalid SOS|: \d{1,2} extraneous bytes before marker 0xd9")
_ORIENTATION = 274


@dataclass(frozen=True)
class Header:
    """An image file's format, as the usual suffix of its name (``jpg``), and its stored size in pixels."""

    extension: str
    width: int
    height: int


def read(path: str | Path) -> Image:
    """Read an image file; see :func:`decode`."""
    return decode(content(path))


def content(path: str | Path) -> bytes:
    """The bytes of a file; UnreadableImageError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # a name with a zero in it
        raise UnreadableImageError(getattr(error, "strerror", None) or str(error)) from None


def decode(data: bytes) -> Image:
    """Decode the bytes of an image file: uint8 BGR ``[H, W, 3]``, upright, transparency laid on white.

    Of an animation or of several pages the first; see :func:`frames`. What follows the end of a JPEG, PNG or JPEG 2000
    is passed over: phones append films there, and copies zeros.

    Raises:
        UnreadableImageError: Empty, truncated, damaged, or not an image that can be decoded.
    """
    kind = recognised(data)
    try:
        if kind == "jpeg":
            return _jpeg(data)
        if kind == "png":
            data = containers.whole_png(data)
        if kind == "jp2":
            data = containers.without_appendix(data)
        if kind not in _PILLOW or _for_opencv(kind, data):
            return _deep(data, kind)
        if kind == "avif" and _opencv_reads_avif() and _by_opencv(data, cv2.IMREAD_COLOR) is None:  # Pillow is lenient
            raise UnreadableImageError("damaged AVIF")
        with _opened(data, kind) as image, without_chatter(kind):
            return from_pillow(image)
    except UnreadableImageError:
        raise
    except Exception as error:  # which ones a damaged file raises is not documented
        raise UnreadableImageError(_reason(error, kind)) from None


def header(data: bytes) -> Header | None:
    """Format and size of an image file, without decoding it; None for anything else."""
    kind = kind_of(data)
    if kind is None:
        return None
    try:
        if kind not in _PILLOW:
            width, height = containers.size(kind, data)
            return Header(kind, width, height) if min(width, height) >= 1 else None
        with _opened(data, kind) as image:
            return Header(_SUFFIXES.get(kind, kind), *image.size) if min(image.size) >= 1 else None
    except Exception:
        return None


def count_frames(data: bytes) -> int:
    """How many frames an animation has, or pages a TIFF; 1 for all else."""
    kind = kind_of(data)
    if kind not in ("gif", "webp", "avif", "tiff") and not (kind == "png" and b"acTL" in data[:4096]):
        return 1
    try:
        with _opened(data, str(kind)) as image:
            return int(getattr(image, "n_frames", 1))
    except Exception:  # which is said when it is decoded
        return 1


def frames(data: bytes) -> Iterator[tuple[float, Image]]:
    """The frames of an animation (GIF, WebP, APNG, AVIF) with the seconds that each is shown; or pages of a TIFF.

    Raises:
        UnreadableImageError: As for :func:`decode`, at the frame that is damaged.
    """
    kind = recognised(data)
    try:
        with _opened(data, kind) as image:
            for number in range(getattr(image, "n_frames", 1)):
                with without_chatter(kind):
                    image.seek(number)
                    picture = from_pillow(image)
                # Browsers show a frame without a duration for a tenth of a second.
                yield (image.info.get("duration") or 100) / 1000, picture
    except UnreadableImageError:
        raise
    except Exception as error:
        raise UnreadableImageError(_reason(error, kind)) from None


def _reason(error: Exception, kind: str) -> str:
    text = str(error.err if isinstance(error, cv2.error) else error).strip() or type(error).__name__
    if re.search("truncated|Premature end of JPEG|incomplete", text):
        return "truncated"
    return f"damaged {_SUFFIXES.get(kind, kind).upper()} ({text[:1].lower()}{text.splitlines()[0][1:]})"


def _jpeg(data: bytes) -> Image:
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError):  # without a reason
        raise UnreadableImageError("damaged JPG (its header)" if b"\xff\xd9" in data else "truncated") from None
    _check_size(width, height)
    if colours in ("CMYK", "YCCK"):
        with _opened(data, "jpeg") as image:
            return from_pillow(image)
    try:
        pixels = simplejpeg.decode_jpeg(data, "BGR", fastdct=False, fastupsample=False)
    except ValueError as error:
        if not _HARMLESS.search(str(error)):
            raise
        pixels = simplejpeg.decode_jpeg(data, "BGR", fastdct=False, fastupsample=False, strict=False)
    return turned(pixels, _orientation(data, "jpeg"))


def _for_opencv(kind: str, data: bytes) -> bool:
    """Whether OpenCV does it better: plain PNG, and more than 8 bits per channel, of which Pillow keeps 8."""
    if kind == "png":
        _check_size(*struct.unpack_from(">II", data, 16))
        return data[24] == 16 or (data[25] in (0, 2, 3) and b"tRNS" not in data[:4096] and b"acTL" not in data[:4096])
    if kind == "pnm":
        with _opened(data, kind) as image:
            return image.mode in ("I", "I;16") or containers.largest_value(kind, data) > 255 or b"65535" in data[:4096]
    if kind == "tiff":
        try:
            with _opened(data, kind) as image:
                return bool(max(image.tag_v2.get(258, (1,))) > 8)  # type: ignore[attr-defined]
        except SyntaxError:  # a kind of pixels that Pillow does not know, such as three floats
            return True
    return False


def _deep(data: bytes, kind: str) -> Image:
    """Decode by OpenCV, and bring values of more than 8 bits to 8 by the range that they really have."""
    if (announced := header(data)) is not None:
        _check_size(announced.width, announced.height)
    values = _by_opencv(data, cv2.IMREAD_UNCHANGED)
    if values is None:
        raise UnreadableImageError(f"damaged {kind.upper()}, or of a kind that OpenCV cannot decode")
    _check_size(values.shape[1], values.shape[0])
    pixels = values if values.dtype == np.uint8 else to_8_bits(values, containers.largest_value(kind, data))
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    return turned(on_white(pixels) if pixels.shape[2] == 4 else pixels, _orientation(data, kind))


def _by_opencv(data: bytes, flags: int) -> np.ndarray[Any, Any] | None:
    with quiet():
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


@cache
def _opencv_reads_avif() -> bool:
    return bool(re.search(r"AVIF: +(?!NO)", cv2.getBuildInformation()))


@contextmanager
def _opened(data: bytes, kind: str) -> Iterator[Pillow.Image]:
    """A file's header by Pillow, as this format and no other."""
    if kind == "heif":
        if find_spec("pi_heif") is None:
            raise UnsupportedImageError(_WITHOUT_HEIF)
        import pi_heif

        pi_heif.register_heif_opener()
    name = _PILLOW[kind]
    if name not in Pillow.OPEN:
        Pillow.init()
    if name not in Pillow.OPEN:
        raise UnsupportedImageError(f"{kind.upper()}, which this Pillow cannot read; update it, or convert the file")
    with ExitStack() as stack:
        with without_chatter(kind):
            # The plugin itself: Image.open would try all formats, and print of sizes that are checked here.
            image = stack.enter_context(Pillow.OPEN[name][0](io.BytesIO(data), ""))
        yield image


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise UnreadableImageError(f"too many pixels ({width}x{height}, more than {MOST_PIXELS:,})")


def from_pillow(image: Pillow.Image) -> Image:
    """A Pillow image as :func:`decode` gives it; what Pillow raises, where its pixels are damaged."""
    _check_size(*image.size)
    image = ImageOps.exif_transpose(image)
    if image.mode[:1] in ("I", "F"):
        grey = to_8_bits(np.asarray(image), 65535 if image.mode.startswith("I;16") else 0)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)  # type: ignore[return-value]
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Pillow.alpha_composite(Pillow.new("RGBA", image.size, "white"), image)
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def _orientation(data: bytes, kind: str) -> int:
    if kind not in _PILLOW or not any(mark in data[: 1 << 18] for mark in (b"Exif\0\0", b"eXIf", b"II*\0", b"MM\0*")):
        return 1
    with suppress(Exception), _opened(data, kind) as image:  # damaged metadata are no reason to refuse pixels
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1
