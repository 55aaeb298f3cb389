"""Where annotated frames go: the protocol of all sinks, a video file, a folder of images.

Nothing is stored unless it is asked for. See :mod:`emotion.live.face_log` for logs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import cv2

from emotion.base import files
from emotion.base.errors import UserError
from emotion.base.words import shortened
from emotion.faces.images import Image
from emotion.faces.labelled import Face
from emotion.video.frame import Frame
from emotion.video.video_file import FEW, FRACTION

#: Codecs that OpenCV's wheels can write; H.264 they cannot, see :mod:`emotion.live.film`. A process that is killed by
#: SIGKILL leaves an ``.avi`` that plays but for its last 256 kB, which FFmpeg had not written, many seconds of small
#: frames; and an ``.mp4`` that doesn't play: its index comes last.
CODECS = {".mp4": "mp4v", ".webm": "VP90", ".avi": "MJPG"}
#: Endings of images that can be written.
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
#: A recording of a live source shows at most this many seconds of nothing new, such as while it was away.
LONGEST_PAUSE = 2.0
#: Seconds that a film's last frame is held, at most, until the film's own length is reached.
_LONGEST_LAST = 2.0
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
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except OSError as error:  # a name that is too long, a loop of links, a file in the place of a folder
        raise UserError(f"{key}: '{shortened(path, 200)}': {error.strerror}; choose another name") from None
    if path.is_dir():
        raise UserError(f"{key}: '{path}' is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise UserError(f"{key}: no such folder '{path.parent}'. Make it first: mkdir -p {path.parent}")
    if path.exists() and not path.is_file():
        raise UserError(f"{key}: '{path}' is not a regular file, but a device or a FIFO; choose another name")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"{key}: '{path}' may not be written; check its permissions or choose another place")


class Video(Sink):
    """Writes the annotated frames to a ``.mp4``, ``.webm`` or ``.avi`` file of the first frame's size, by OpenCV.

    Frames of another size are fitted into that of the first, with black bars; of an odd size, OpenCV's encoders drop
    the last row or column. A camera may deliver fewer frames per second than it announces, or more than the machine can
    label, and the rate of a film may vary: with ``steady`` frames are repeated or left out by their times, so that the
    recording runs at the source's speed. Of a live source, which has no ``length`` in seconds, pauses are shortened.

    An existing file is replaced; ``rate`` is in frames per second.

    Raises:
        UserError: Unknown ending, no such folder, or a file that cannot be written.
    """

    def __init__(
        self, path: str | Path, rate: float, steady: bool = False, length: float | None = None, total: int = 0
    ) -> None:
        self.path = Path(path).expanduser()
        if self.path.suffix.lower() not in CODECS:
            raise UserError(f"save: '{path}' must end in {' or '.join(CODECS)}: those can be written")
        check_target("save", self.path)
        self._rate, self._steady, self._length, self._total = rate, steady, length, total
        self._taken = 0
        self._last: Image | None = None
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._written = 0
        self._clock = self._previous = 0.0

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is None:
            return
        if kind is None and self._steady and self._last is not None:
            seconds = rest(self._length, self._written / self._rate, self._taken, self._total)
            left = round(seconds * self._rate)
            for _copy in range(left):
                self._writer.write(self._last)
            self._written += left
        self._writer.release()
        # OpenCV ignores write errors, such as a full disk.
        if kind is None and self._written:
            check_whole(self.path, self._written)

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        if self._writer is None:
            self._size, self._previous = (annotated.shape[1], annotated.shape[0]), frame.time
            self._writer = self._create()
        check_room(self.path, self._written)
        self._taken += 1
        copies = self._due(frame.time) if self._steady else 1
        self._last = image = fit(annotated, self._size)
        for _ in range(copies):
            self._writer.write(image)
        self._written += copies
        return True

    def _due(self, time: float) -> int:
        """How many frames are missing at this time; a clock that jumps doesn't take the recording with it."""
        passed = max(0.0, time - self._previous)
        self._clock += min(passed, LONGEST_PAUSE) if self._length is None else passed
        self._previous = time
        nearest = 1e-6 if self._length is None else 0.5  # files round their times to milliseconds
        return max(0, int(self._clock * self._rate + nearest) + 1 - self._written)

    def _create(self) -> cv2.VideoWriter:
        check_size(self._size)
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


def rest(length: float | None, reached: float, taken: int, total: int) -> float:
    """Seconds that the last frame of a film stays to be seen: up to the film's length, where it did not break off.

    Args:
        length: Seconds that the film announces; 0 or None where that is unknown.
        reached: Seconds that the saved film has.
        taken: Frames that came.
        total: Frames that the film announces.
    """
    missing = (length or 0.0) - reached
    broke_off = total - taken > max(FEW, FRACTION * total)
    return missing if 0 < missing <= _LONGEST_LAST and not broke_off else 0.0


def check_size(size: tuple[int, int]) -> None:
    """Refuse frames on some of whose sizes encoders abort the process."""
    if min(size) < 16:
        raise UserError(f"save: frames of {size[0]}x{size[1]} pixels are too small for a video file")


def check_room(path: Path, frames: int) -> None:
    """End a video of so many frames, whole, before its disk is full."""
    if shutil.disk_usage(path.parent).free < LEAST_FREE:
        raise UserError(
            f"save: the disk that holds '{path}' is nearly full; the video is whole up to here ({frames} frames). "
            f"Make room, or save elsewhere"
        )


def check_whole(path: Path, frames: int | None) -> None:
    """Raise a UserError where a closed video does not play, or has not so many frames."""
    if not _whole(path, frames):
        raise UserError(f"save: '{path}' could not be written whole; is the disk full? Make room, or save elsewhere")


def _whole(path: Path, frames: int | None) -> bool:
    capture = cv2.VideoCapture(os.fsencode(path.absolute()))  # type: ignore[call-overload]
    try:
        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return bool(capture.isOpened() and (frames is None or abs(announced - frames) <= 1) and capture.read()[0])
    finally:
        capture.release()


def fit(image: Image, size: tuple[int, int]) -> Image:
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
