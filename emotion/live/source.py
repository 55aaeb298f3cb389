"""Where frames come from: a camera, a video file or stream, or one picture.

OpenCV's traps are handled here once: it opens text files as video, announces frame counts that are nonsense, waits 30
seconds for a silent server, and tells the end of a file and damage apart in no way.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2

from emotion import faces
from emotion.errors import UserError
from emotion.faces import Image

log = logging.getLogger(__name__)

#: Milliseconds that opening a stream, or waiting for its next frame, may take.
TIMEOUT_MSEC = 5000
#: Frames a second where the source does not say.
FALLBACK_RATE = 25.0
#: Files that begin like a picture and go on like a video.
MOVING = (".gif", ".mjpeg", ".mjpg")


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        index: Position in the source, from 0.
        time: Seconds since the source's first frame: the video's own timestamps, or the clock for a camera.
        image: uint8 ``[H, W, 3]``, BGR.
    """

    index: int
    time: float
    image: Image


@dataclass(frozen=True)
class Stream:
    """An open source.

    Attributes:
        name: What it is, for messages.
        kind: ``camera``, ``video`` or ``picture``.
        rate: Frames a second, as the source says, or :data:`FALLBACK_RATE`; 1 for a picture.
        frames: The frames; can be gone through once.
    """

    name: str
    kind: str
    rate: float
    frames: Iterator[Frame]


@contextmanager
def opened(source: int | str | Path, max_frames: int | None = None) -> Iterator[Stream]:
    """Open a source and close it again.

    Args:
        source: A camera's number, the path of a video or picture file, or the URL of a video.
        max_frames: End after this many frames; None reads to the end.

    Raises:
        UserError: No such file or camera, or nothing that OpenCV can decode; here or at the first frame.
    """
    camera = _camera_number(source)
    name = f"camera {camera}" if camera is not None else str(source)
    if camera is None and "://" not in name:
        path = Path(name).expanduser()
        _check_file(path)
        if path.suffix.lower() not in MOVING and cv2.haveImageReader(str(path)):
            yield Stream(name, "picture", 1.0, iter([Frame(0, 0.0, _picture(path))]))
            return
        name = str(path)
    capture = _open(name, camera)
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = rate if 0 < rate <= 1000 else FALLBACK_RATE  # also false for NaN
        kind = "video" if camera is None else "camera"
        yield Stream(name, kind, rate, _read(capture, name, kind, rate, max_frames))
    finally:
        capture.release()


def frames(source: int | str | Path, max_frames: int | None = None) -> Iterator[Frame]:
    """The frames of a source, which is closed when the generator is; see :func:`opened`."""
    with opened(source, max_frames) as stream:
        yield from stream.frames


def _camera_number(source: int | str | Path) -> int | None:
    """The camera that ``0`` or ``"0"`` means, unless there is a file of that name."""
    text = str(source)
    return int(text) if text.isascii() and text.isdigit() and not Path(text).exists() else None


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UserError(f"source: '{path}' is a folder; give one video or picture file, or a camera's number")
    if not path.exists():
        raise UserError(
            f"source: no such file '{path}' (seen from {Path.cwd()}). Give a video or picture, or a camera's number"
        )
    if not path.is_file():
        raise UserError(f"source: '{path}' is not a regular file; for a camera give its number: source=0")
    if not os.access(path, os.R_OK):
        raise UserError(f"source: '{path}' may not be read; check its permissions")


def _picture(path: Path) -> Image:
    try:
        return faces.read(path)
    except faces.UnreadableImageError as error:
        raise UserError(f"source: '{path}' cannot be decoded: {error}. Give another file") from None


def _open(name: str, camera: int | None) -> cv2.VideoCapture:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "8")  # one clear message instead of ffmpeg's chatter
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        if camera is not None:
            capture = cv2.VideoCapture(camera)
        else:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MSEC]
            capture = cv2.VideoCapture(name, cv2.CAP_ANY, limits if "://" in name else [])
    finally:
        cv2.utils.logging.setLogLevel(level)
    if camera is not None and not capture.isOpened():
        raise UserError(
            f"source: no {name} here, or another program has it. Close that program, try another number "
            f"(source=1), or give a file: source=clip.mp4"
        )
    # FFmpeg renders any .txt file as a video of its text.
    is_text = int(capture.get(cv2.CAP_PROP_FOURCC)) == int.from_bytes(b"ansi", "little")
    if not capture.isOpened() or is_text:
        capture.release()
        if "://" in name:
            raise UserError(f"source: '{name}' gave no video within {TIMEOUT_MSEC / 1000:g} seconds; check the address")
        raise UserError(f"source: '{name}' is not a video or picture that OpenCV can open, or it is damaged")
    return capture


def _read(capture: cv2.VideoCapture, name: str, kind: str, rate: float, max_frames: int | None) -> Iterator[Frame]:
    announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    index, previous, started = 0, -1 / rate, 0.0
    while max_frames is None or index < max_frames:
        ok, image = capture.read()
        if not ok or image is None or image.size == 0:
            break
        if kind == "camera":
            started = started if index else time.monotonic()
            now = time.monotonic() - started
        else:
            now = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if not math.isfinite(now) or now <= previous:  # some containers have no timestamps
                now = previous + 1 / rate
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        yield Frame(index, now, image)  # type: ignore[arg-type]
        index, previous = index + 1, now
    if index == 0:
        raise UserError(f"source: no frame of {name} could be decoded; it is damaged, or its codec is not there")
    ended = max_frames is None or index < max_frames
    if ended and kind == "video" and index < 0.9 * announced < 1e9:
        log.warning("%s ended after %d frames, though it announces %d: it may be damaged", name, index, announced)
