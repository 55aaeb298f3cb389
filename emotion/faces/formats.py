"""What kind of file it is, by its first bytes."""

from __future__ import annotations

import re

#: What a file's first bytes say, in the order that they are tried -> our name of the format.
_MAGIC = (
    (rb"\xff\xd8\xff", "jpeg"),
    (rb"\x89PNG\r\n\x1a\n", "png"),
    (rb"GIF8[79]a", "gif"),
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", "bmp"),
    (rb"RIFF....WEBP", "webp"),
    (rb"II[\x2a\x2b]\0|MM\0[\x2a\x2b]", "tiff"),
    (rb"....ftyp(.{4}){0,20}?avi[fs]", "avif"),
    (rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", "heif"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "jp2"),
    (rb"P[1-6][\s#]", "pnm"),
    (rb"P7\n|P[fF]\s", "pam"),
    (rb"#\?(RADIANCE|RGBE)", "hdr"),
    (rb"\x59\xa6\x6a\x95", "sun"),
)
#: Formats that are recognised to be named, with what to do about them.
_OTHERS = (
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL image, which cannot be read; convert it to JPEG or PNG"),
    (rb"8BPS", "a Photoshop file; export it as JPEG or PNG"),
    (rb"%PDF", "a PDF, not an image"),
    (rb"\x76\x2f\x31\x01", "an OpenEXR image, which cannot be read; convert it to PNG or TIFF"),
    (rb"\x00\x00\x01\x00|icns", "an icon, not a photo"),
    (rb"....ftyp|RIFF....AVI |\x1a\x45\xdf\xa3", "a video, not an image"),
    (rb"version https://git-lfs", "a Git LFS pointer, not the file itself. Download it with: git lfs pull"),
    (rb"\s*<(!doctype|html|head|\?xml|svg)", "a web page or drawing in text (HTML, SVG), not an image"),
)


class UnreadableImageError(Exception):
    """A file that is not a complete image which can be decoded. The message is the reason, without the path."""


class UnsupportedImageError(UnreadableImageError):
    """An image of a format that needs a package which is not installed."""


def kind_of(data: bytes) -> str | None:
    """The format of a file by its first bytes (64 are enough), such as ``jpeg``; None where it is no image."""
    return next((kind for magic, kind in _MAGIC if re.match(magic, data[:64], re.DOTALL)), None)


def recognised(data: bytes) -> str:
    """The format of a file; UnreadableImageError, with what it is instead, where it is no image."""
    if not data:
        raise UnreadableImageError("empty file")
    kind = kind_of(data)
    if kind is None:
        raise UnreadableImageError(what_else(data) or "not an image that can be decoded")
    return kind


def what_else(data: bytes) -> str | None:
    """What a file is that is no image, by its first bytes, and what to do with it; None where that is not known."""
    return next((t for magic, t in _OTHERS if re.match(magic, data[:64], re.DOTALL | re.IGNORECASE)), None)
