"""Where annotated frames go: the protocol of all sinks, a video file, a folder of images.

Nothing is stored unless it is asked for. See :mod:`emotion.live.face_log` for logs.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import cv2

from emotion.base import files
from emotion.base.errors import UserError
from emotion.faces.images import Image
from emotion.faces.labelled import Face
from emotion.video.frame import Frame, Stream
from emotion.video.image_files import is_glob

#: Codecs that OpenCV's wheels can write (they cannot write H.264). A process that is killed with SIGKILL leaves an
#: ``.avi`` that plays up to its last second, and an ``.mp4`` that doesn't play: its table of contents comes last.
CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
#: Endings of images that can be written.
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
#: A recording of a live source shows at most this many seconds of nothing new, such as while it was away.
LONGEST_PAUSE = 2.0
#: A video ends, whole, when no more than this many bytes are left on its disk.
LEAST_FREE = 16 << 20


class Sink(Protocol):
    """A context manager that takes labelled frames."""

    draws: bool = True  #: whether it shows the annotated image; if no sink does, nothing is drawn

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close what is open; ``kind`` is that of the error that ended the block, if any."""
        return

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        """Take one frame; False asks the loop to end after it."""
        ...


def check_target(key: str, path: Path) -> None:
    """Refuse a file that cannot be written, before any work is done for it.

    Raises:
        UserError: A folder, in a missing folder, or write-protected; the message begins with ``key``.
    """
    if path.is_dir():
        raise UserError(f"{key}: '{path}' is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise UserError(f"{key}: no such folder '{path.parent}'. Make it first: mkdir -p {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"{key}: '{path}' may not be written; check its permissions or choose another place")


def save_sink(path: str | Path, stream: Stream, stride: int = 1) -> Sink:
    """What ``save=`` asks for: a video (``x.mp4``, ``x.avi``), or for images also a folder (``x/``) or one image.

    A file of which every third frame is read (``stride``) is saved at a third of its rate.

    Raises:
        UserError: An ending that doesn't suit the source, the source's own place, or a place that cannot be written.
    """
    target = Path(path).expanduser()
    suffix = target.suffix.lower()
    folder = str(path).endswith(("/", os.sep)) or target.is_dir()
    if not stream.independent or (suffix in CODECS and not folder):
        return Video(path, stream.rate if stream.live else stream.rate / stride, steady=stream.live)
    source = Path(stream.name).expanduser()
    if suffix in PICTURES and not folder:
        if stream.total != 1 or not source.is_file():
            raise UserError(f"save: '{path}' is one image, but the source has several; give a folder: save=labelled/")
        check_target("save", target)
        if target.exists() and target.samefile(source):
            raise UserError(f"save: '{path}' is the source itself; choose another name")
        return Pictures(target.parent, target.name)
    if suffix and not folder:
        allowed = ", ".join((*PICTURES, *CODECS))
        raise UserError(f"save: '{path}' must be a folder (save=labelled/) or end in one of {allowed}")
    home = _home(source)
    if target.exists() and home.exists() and target.samefile(home):
        raise UserError(f"save: '{path}' holds the source, which would be overwritten; choose another folder")
    return Pictures(target, source.name)


def _home(source: Path) -> Path:
    """The folder that the names of a source's images are relative to."""
    if source.exists():
        return source if source.is_dir() else source.parent
    return Path(*itertools.takewhile(lambda part: not is_glob(part), source.parts))


class Video(Sink):
    """Writes the annotated frames to a ``.mp4`` or ``.avi`` file of the first frame's size.

    Frames of another size are fitted into that of the first, with black bars; of an odd size, OpenCV's encoders drop
    the last row or column. A camera may deliver fewer frames per second than it announces, or more than the machine can
    label: with ``steady`` frames are repeated or left out by their times, so that the recording runs at real speed.

    An existing file is replaced; ``rate`` is in frames per second.

    Raises:
        UserError: Unknown ending, no such folder, or a file that cannot be written.
    """

    def __init__(self, path: str | Path, rate: float, steady: bool = False) -> None:
        self.path = Path(path).expanduser()
        if self.path.suffix.lower() not in CODECS:
            raise UserError(f"save: '{path}' must end in {' or '.join(CODECS)}: OpenCV's builds can write those")
        check_target("save", self.path)
        self._rate, self._steady = rate, steady
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._written = 0
        self._clock = self._previous = 0.0

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is None:
            return
        self._writer.release()
        # OpenCV ignores write errors, such as a full disk.
        if kind is None and self._written and not _whole(self.path, self._written):
            raise UserError(
                f"save: '{self.path}' could not be written whole; is the disk full? Make room, or save elsewhere"
            )

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        if self._writer is None:
            self._size, self._previous = (annotated.shape[1], annotated.shape[0]), frame.time
            self._writer = self._create()
        if shutil.disk_usage(self.path.parent).free < LEAST_FREE:
            raise UserError(
                f"save: the disk that holds '{self.path}' is nearly full; the video is whole up to here "
                f"({self._written} frames). Make room, or save elsewhere"
            )
        copies = self._due(frame.time) if self._steady else 1
        image = _fit(annotated, self._size)
        for _ in range(copies):
            self._writer.write(image)
        self._written += copies
        return True

    def _due(self, time: float) -> int:
        """How many frames are missing at this time; a clock that jumps doesn't take the recording with it."""
        self._clock += min(max(0.0, time - self._previous), LONGEST_PAUSE)
        self._previous = time
        return max(0, int(self._clock * self._rate + 1e-6) + 1 - self._written)

    def _create(self) -> cv2.VideoWriter:
        if min(self._size) < 16:  # the encoder aborts the process on some tiny sizes
            raise UserError(f"save: frames of {self._size[0]}x{self._size[1]} pixels are too small for a video file")
        codec = CODECS[self.path.suffix.lower()]
        # Bytes, as OpenCV crashes on text that is not UTF-8; absolute, else `12:30.mp4` is an address.
        name, fourcc = os.fsencode(self.path.absolute()), cv2.VideoWriter.fourcc(*codec)
        writer: cv2.VideoWriter = cv2.VideoWriter(name, fourcc, self._rate, self._size)  # type: ignore[call-overload]
        if not writer.isOpened():  # without this check, writing would be a silent no-op
            other = next(ending for ending in CODECS if ending != self.path.suffix.lower())
            raise UserError(f"save: cannot write '{self.path}' with codec {codec}; try a name that ends in {other}")
        return writer


class Pictures(Sink):
    """Writes each annotated image to a file of its own, named like the source's, as PNG where that cannot be written.

    The folder is created; files of the same name are replaced, each at once. ``name`` is for an image without one.

    Raises:
        UserError: The folder cannot be made, or a file cannot be written.
    """

    def __init__(self, folder: str | Path, name: str) -> None:
        self.folder, self._name = Path(folder).expanduser(), name
        existing = next(p for p in (self.folder, *self.folder.absolute().parents) if p.exists())
        if existing == self.folder and not existing.is_dir():
            raise UserError(f"save: '{self.folder}' is a file; give a folder for the images: save=labelled/")
        if not os.access(existing, os.W_OK):
            raise UserError(f"save: '{self.folder}' may not be written; check its permissions or choose another place")

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        # A glob's `..` may not lead out of the folder.
        name = "/".join("_" if part == ".." else part for part in Path(frame.name or self._name).parts)
        path = self.folder / (name if name.lower().endswith(PICTURES) else name + ".png")
        encoded, data = cv2.imencode(path.suffix.lower(), annotated)
        if not encoded:
            raise UserError(f"save: cannot write '{path}' as {path.suffix}: {annotated.shape} is more than it takes")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, data.tobytes())
        except OSError as error:
            raise UserError(f"save: cannot write '{path}': {error.strerror}") from None
        return True


def _whole(path: Path, frames: int) -> bool:
    capture = cv2.VideoCapture(os.fsencode(path.absolute()))  # type: ignore[call-overload]
    try:
        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return bool(capture.isOpened() and abs(announced - frames) <= 1 and capture.read()[0])
    finally:
        capture.release()


def _fit(image: Image, size: tuple[int, int]) -> Image:
    """Scale an image into ``(width, height)`` and fill the rest with black."""
    width, height = size
    if image.shape[:2] == (height, width):
        return image
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    right, bottom = width - inner[0] - left, height - inner[1] - top
    return cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))  # type: ignore[return-value]
