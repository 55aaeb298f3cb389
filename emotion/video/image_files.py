"""Images as frames: one file, a folder, or a glob such as ``faces/**/*.png``."""

from __future__ import annotations

import itertools
import logging
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from emotion.base.errors import UserError
from emotion.base.litter import is_litter
from emotion.base.words import counted, listed
from emotion.faces import decoding, formats
from emotion.faces.formats import UnreadableImageError
from emotion.video.frame import Frame, Stream, Unreadable

log = logging.getLogger(__name__)

#: Files that begin like an image and continue like a video.
MOVING = (".mjpeg", ".mjpg")
#: Endings of files that are meant to be images, even when they are damaged.
ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
#: Unreadable images that are reported one by one; the others are counted.
MOST_REPORTED = 10


def is_image(path: Path) -> bool:
    """Whether a file is an image or an animation, by its first bytes."""
    if path.suffix.lower() in MOVING:
        return False
    try:
        with path.open("rb") as file:
            return formats.kind_of(file.read(64)) is not None
    except OSError:
        return False


def is_glob(source: str) -> bool:
    """Whether a text has a glob's special characters."""
    return re.search(r"[*?\[]", source) is not None


def natural(text: str) -> tuple[tuple[str | int, ...], str]:
    """Sort key that puts ``frame10`` after ``frame9``, whatever the case, and folder by folder."""
    parts = re.split(r"([0-9]+)", text.casefold().replace("/", "\0"))
    # Text and numbers alternate, so that only like is compared with like; the text itself breaks ties (1, 01).
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), text


def single(path: Path, stride: int = 1, loop: bool = False) -> Stream:
    """One image, the pages of a TIFF, or, as a video, the frames of an animation.

    Raises:
        UserError: ``loop`` of what does not move; at the frame, where the image is damaged.
    """
    data = path.read_bytes()
    count = decoding.count_frames(data)
    moves = count > 1 and formats.kind_of(data) != "tiff"
    if loop and not moves:
        raise UserError(f"loop: only for video files, and '{path}' is none. Leave loop out")
    total = math.ceil(count / stride)
    if moves:
        return Stream(str(path), "video", _rate(data), _frames(path, data, stride, loop), total)
    read = _frames(path, data, stride) if count > 1 else _single(path, data)
    return Stream(str(path), "pictures", 1.0, read, total)


def _rate(data: bytes) -> float:
    """Frames per second of an animation's beginning; where it is cut off is said when it is read."""
    shown: list[float] = []
    with suppress(UnreadableImageError):
        shown.extend(seconds for seconds, _ in itertools.islice(decoding.frames(data), 25))
    return len(shown) / max(sum(shown), 1e-3) or 10.0


def _single(path: Path, data: bytes) -> Iterator[Frame]:
    try:
        yield Frame(0, 0.0, decoding.decode(data))
    except UnreadableImageError as error:
        raise UserError(f"source: '{path}' cannot be decoded: {error}. Give another file") from None


def _frames(path: Path, data: bytes, stride: int, loop: bool = False) -> Iterator[Frame]:
    """The frames of an animation with its times, or pages, whose time is their number."""
    index, now, moves = 0, 0.0, formats.kind_of(data) != "tiff"
    for _ in itertools.repeat(0) if loop else range(1):
        try:
            for seconds, image in decoding.frames(data):
                if index % stride == 0:
                    name = None if moves else f"{path.stem}-{index + 1}{path.suffix}"
                    yield Frame(index, now if moves else float(index), image, name)
                index, now = index + 1, now + seconds
        except UnreadableImageError as error:
            if index == 0:
                raise UserError(f"source: '{path}' cannot be decoded: {error}. Give another file") from None
            log.warning("%s: ended after frame %d: %s", path, index - 1, error)
            return


def folder(path: Path, stride: int = 1) -> Stream:
    """The images in a folder, not in folders below it, which are named, in natural order.

    Raises:
        UserError: No image in it, or, at the end, none that can be read.
    """
    try:
        files = [p for p in path.iterdir() if p.is_file() and not is_litter(p.name)]
    except OSError as error:
        raise UserError(f"source: the folder '{path}' may not be read ({error.strerror}); check its rights") from None
    paths = [p for p in files if p.suffix.lower() in ENDINGS or is_image(p)]
    if not paths:
        raise UserError(
            f"source: no image in the folder '{path}' ({len(files)} other files). Give one that holds images, "
            f"one video in it, or a glob for the folders below: source='{path}/**/*.png'"
        )
    _name_folders_below(path)
    return _several(str(path), path, paths, stride)


def _name_folders_below(path: Path) -> None:
    """Say which folders hold images that are left out."""
    below = [p for p in path.rglob("*") if p.parent != path and p.suffix.lower() in ENDINGS and not is_litter(p.name)]
    if not below:
        return
    folders = sorted({p.relative_to(path).parts[0] for p in below}, key=natural)
    ending, _ = Counter(p.suffix for p in below).most_common(1)[0]
    left_out = f"{counted(len(below), 'image')} in folders below it {'is' if len(below) == 1 else 'are'} left out"
    glob_for_all = f"source='{path}/**/*{ending}'"
    log.warning("%s: %s (in %s). To label them too, give a glob: %s", path, left_out, listed(folders), glob_for_all)


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
        paths = [p for p in base.glob(str(path.relative_to(base))) if p.is_file() and not is_litter(p.name)]
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
    unreadable: list[Unreadable] = []
    return Stream(name, "pictures", 1.0, _read(name, base, chosen, unreadable), len(chosen), unreadable=unreadable)


def _read(name: str, base: Path, chosen: Sequence[tuple[int, Path]], unreadable: list[Unreadable]) -> Iterator[Frame]:
    several = []
    for index, path in chosen:
        try:
            data = decoding.content(path)
            image = decoding.decode(data)
        except UnreadableImageError as error:
            unreadable.append(Unreadable(index, path.relative_to(base).as_posix(), str(error)))
            if len(unreadable) <= MOST_REPORTED:
                log.warning("%s: skipped, %s", path, error)
            continue
        if decoding.count_frames(data) > 1:
            several.append(path.name)
        yield Frame(index, float(index), image, path.relative_to(base).as_posix())
    if len(unreadable) == len(chosen):
        raise UserError(f"source: none of the {len(unreadable)} files of '{name}' is an image that can be read")
    if several:
        log.warning("%s: of several frames or pages only the first was taken: %s", name, listed(several))
    if len(unreadable) > 1:
        log.warning("%s: %d of %d images could not be read and were skipped", name, len(unreadable), len(chosen))
