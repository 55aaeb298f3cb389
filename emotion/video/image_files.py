"""Images as frames: one file, a folder, or a glob such as ``faces/**/*.png``."""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2

from emotion.base.errors import UserError
from emotion.faces import images
from emotion.video.frame import Frame, Stream

log = logging.getLogger(__name__)

#: Files that begin like an image and continue like a video.
MOVING = (".gif", ".mjpeg", ".mjpg")
#: Endings of files that are meant to be images, even when they are damaged.
ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
#: Unreadable images that are reported one by one; the others are counted.
MOST_REPORTED = 10


def is_image(path: Path) -> bool:
    """Whether a file is one image, by its first bytes."""
    name = os.fsencode(path)  # OpenCV crashes on text that is not UTF-8
    return path.suffix.lower() not in MOVING and bool(cv2.haveImageReader(name))  # type: ignore[arg-type]


def is_glob(source: str) -> bool:
    """Whether a text has a glob's special characters."""
    return re.search(r"[*?\[]", source) is not None


def natural(text: str) -> tuple[tuple[str | int, ...], str]:
    """Sort key that puts ``frame10`` after ``frame9``, whatever the case, and folder by folder."""
    parts = re.split(r"([0-9]+)", text.casefold().replace("/", "\0"))
    # Text and numbers alternate, so that only like is compared with like; the text itself breaks ties (1, 01).
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), text


def single(path: Path) -> Stream:
    """One image.

    Raises:
        UserError: At the frame, where the image is damaged.
    """
    return Stream(str(path), "pictures", 1.0, _single(path), 1)


def _single(path: Path) -> Iterator[Frame]:
    try:
        yield Frame(0, 0.0, images.read(path))
    except images.UnreadableImageError as error:
        raise UserError(f"source: '{path}' cannot be decoded: {error}. Give another file") from None


def folder(path: Path, stride: int = 1) -> Stream:
    """The images in a folder, not in folders below it, in natural order.

    Raises:
        UserError: No image in it, or, at the end, none that can be read.
    """
    try:
        files = [p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")]
    except OSError as error:
        raise UserError(f"source: the folder '{path}' may not be read ({error.strerror}); check its rights") from None
    paths = [p for p in files if p.suffix.lower() in ENDINGS or is_image(p)]
    if not paths:
        raise UserError(
            f"source: no image in the folder '{path}' ({len(files)} other files). Give one that holds images, "
            f"one video in it, or a glob for the folders below: source='{path}/**/*.png'"
        )
    return _several(str(path), path, paths, stride)


def glob(pattern: str, stride: int = 1) -> Stream:
    """The files that match a glob, in natural order; ``**`` is any number of folders.

    Raises:
        UserError: It matches no file, or, at the end, none that can be read.
    """
    path = Path(pattern).expanduser()
    base = Path(*itertools.takewhile(lambda part: not is_glob(part), path.parts))
    if not base.is_dir():
        raise UserError(f"source: '{pattern}' matches nothing: there is no folder '{base}' (seen from {Path.cwd()})")
    try:
        paths = [p for p in base.glob(str(path.relative_to(base))) if p.is_file() and not p.name.startswith(".")]
    except (ValueError, OSError) as error:
        raise UserError(f"source: '{pattern}' is not a glob: {error}") from None
    if not paths:
        raise UserError(
            f"source: '{pattern}' matches no file (seen from {Path.cwd()}). Check the ending, or give the folder alone"
        )
    return _several(pattern, base, paths, stride)


def _several(name: str, base: Path, paths: Sequence[Path], stride: int) -> Stream:
    ordered = sorted(paths, key=lambda p: natural(p.relative_to(base).as_posix()))
    chosen = list(enumerate(ordered))[::stride]
    return Stream(name, "pictures", 1.0, _read(name, base, chosen), len(chosen))


def _read(name: str, base: Path, chosen: Sequence[tuple[int, Path]]) -> Iterator[Frame]:
    unreadable = 0
    for index, path in chosen:
        try:
            image = images.read(path)
        except images.UnreadableImageError as error:
            unreadable += 1
            if unreadable <= MOST_REPORTED:
                log.warning("%s: skipped, %s", path, error)
            continue
        yield Frame(index, float(index), image, path.relative_to(base).as_posix())
    if unreadable == len(chosen):
        raise UserError(f"source: none of the {unreadable} files of '{name}' is an image that can be read")
    if unreadable > MOST_REPORTED:
        log.warning("%s: %d of %d images could not be read and were skipped", name, unreadable, len(chosen))
