"""Where frames come from: a camera, a video file, a live stream, or pictures.

>>> with opened("rtsp://127.0.0.1:8554/door") as stream:
...     for frame in stream.frames:
...         print(frame.index, frame.time, frame.image.shape)
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

import cv2

from emotion.base.errors import UserError, did_you_mean
from emotion.video import capture, diagnose, image_files, reconnect, video_file
from emotion.video.frame import Frame, Stream

Stopped = Callable[[], bool]

_POSSIBLE = (
    "Give a camera's number (0), a video, a picture, a folder or glob of pictures ('faces/*.png'), or an address "
    "(rtsp://..., http://...)"
)


def _never() -> bool:
    return False


@contextmanager
def opened(
    source: int | str | Path,
    max_frames: int | None = None,
    stride: int = 1,
    loop: bool = False,
    stopped: Stopped = _never,
) -> Iterator[Stream]:
    """Open a source and close it again.

    Args:
        source: A camera's number, a video, a picture, a folder or glob of pictures, or an address.
        max_frames: The stream's limit. Frames of a file end by themselves after so many; None reads to the end.
        stride: Only every frame whose index it divides is yielded.
        loop: A video file starts again at its end; index and time go on rising.
        stopped: Asked while waiting, about ten times a second; True ends the frames. A live source that is being
            opened then has none.

    Raises:
        UserError: No such source, or nothing that OpenCV can decode; here or at the first frame.
    """
    if stride < 1:
        raise UserError(f"stride: must be 1 (every frame) or more, not {stride}")
    with capture.quiet(), _choose(source, stride, loop, stopped) as stream:
        total = _total(stream, max_frames, loop)
        # Of a live source some frames are passed over, and they do not count.
        found = stream.frames if stream.live else itertools.islice(stream.frames, max_frames)
        yield Stream(stream.name, stream.kind, stream.rate, found, total, max_frames)


def frames(source: int | str | Path, max_frames: int | None = None) -> Iterator[Frame]:
    """The frames of a source, which is closed when the generator is; see :func:`opened`."""
    with opened(source, max_frames) as stream:
        yield from itertools.islice(stream.frames, stream.limit)


def _total(stream: Stream, max_frames: int | None, loop: bool) -> int | None:
    if stream.live or loop:
        return max_frames
    return stream.total if max_frames is None or stream.total is None else min(stream.total, max_frames)


def _choose(source: int | str | Path, stride: int, loop: bool, stopped: Stopped) -> AbstractContextManager[Stream]:
    """By what kind of source this is."""
    text = str(source)
    number = _camera_number(text)
    if number is not None:
        _refuse_loop(loop, f"camera {number}")
        return _camera(number, stride, stopped)
    path = path_of(text)
    if path is None:
        return _address(text, stride, loop, stopped)
    there = _exists(path)
    if there and path.is_file() and os.access(path, os.R_OK) and not image_files.is_picture(path):
        return _video(path, stride, loop, stopped)
    if there or image_files.is_glob(text):
        _refuse_loop(loop, text)
    if there and path.is_dir():
        return nullcontext(image_files.folder(path, stride))
    if not there and image_files.is_glob(text):
        return nullcontext(image_files.glob(text, stride))
    _check_file(path)
    return nullcontext(image_files.single(path))


def path_of(source: int | str | Path | None, key: str = "source") -> Path | None:
    """Where a source, or what is written, lies on disk; None for a camera, an address, and what is not asked for.

    Raises:
        UserError: ``~name`` of nobody; the message begins with ``key``.
    """
    text = str(source)
    if source is None or (key == "source" and _camera_number(text) is not None):
        return None
    if "://" in text and not text.lower().startswith("file://"):
        return None
    try:
        return Path(re.sub("^file://", "", text, flags=re.IGNORECASE)).expanduser()
    except RuntimeError:
        raise UserError(f"{key}: '{text}' begins with ~, but nobody here has that name; write the whole path") from None


def _camera_number(text: str) -> int | None:
    """The camera that ``0``, ``"0"`` or ``/dev/video0`` means, unless there is a file or folder of that name."""
    found = re.fullmatch(r"(?:/dev/video)?([0-9]{1,4})", text)
    is_path = found is not None and (Path(text).is_file() or Path(text).is_dir())
    return int(found[1]) if found and not is_path else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _check_file(path: Path) -> None:
    if not _exists(path):
        near = [p.name for p in path.parent.iterdir()] if _exists(path.parent) and path.parent.is_dir() else []
        raise UserError(
            f"source: no such file '{path}' (seen from {Path.cwd()}).{did_you_mean(path.name, near)} {_POSSIBLE}"
        )
    if not path.is_file():
        raise UserError(f"source: '{path}' is neither a file nor a folder. {_POSSIBLE}")
    if not os.access(path, os.R_OK):
        raise UserError(f"source: '{path}' may not be read; check its permissions")


def _refuse_loop(loop: bool, name: str) -> None:
    if loop:
        raise UserError(f"loop: only for video files, and '{name}' is none. Leave loop out")


@contextmanager
def _video(path: Path, stride: int, loop: bool, stopped: Stopped) -> Iterator[Stream]:
    opening = partial(capture.file, path)
    yield from _finite(opening(), opening, str(path), stride, loop, stopped)


def _finite(
    file: cv2.VideoCapture, reopen: Callable[[], cv2.VideoCapture], name: str, stride: int, loop: bool, stopped: Stopped
) -> Iterator[Stream]:
    found = (
        video_file.repeat(file, reopen, name, stopped, stride) if loop else video_file.read(file, name, stopped, stride)
    )
    announced = capture.announced(file)
    try:
        yield Stream(name, "video", capture.rate(file), found, announced and math.ceil(announced / stride))
    finally:
        with suppress(ValueError):  # it is being read just now: it is closed with the process, which is about to end
            found.close()
            file.release()


@contextmanager
def _camera(number: int, stride: int, stopped: Stopped) -> Iterator[Stream]:
    # Opened here and not by the worker: macOS asks for permission in the main thread only.
    camera = capture.camera(number)
    name, worker = f"camera {number}", reconnect.Worker(stopped)
    yield from _endless(camera, partial(capture.try_camera, number), name, "camera", worker, stride, stopped)


@contextmanager
def _address(text: str, stride: int, loop: bool, stopped: Stopped) -> Iterator[Stream]:
    name, worker = diagnose.shown(text), reconnect.Worker(stopped)
    try:
        opening = worker.do(partial(capture.url, text))
    except BaseException:
        worker.close()
        raise
    if opening is None:  # somebody asked to stop
        worker.close()
        yield Stream(name, "stream", capture.FALLBACK_RATE, iter(()))
    elif re.match("https?:", text, re.IGNORECASE) and capture.announced(opening) is not None:
        worker.close()
        yield from _finite(opening, partial(capture.url, text), name, stride, loop, stopped)
    else:
        try:
            _refuse_loop(loop, name)
        except UserError:
            worker.close(opening)
            raise
        yield from _endless(opening, partial(capture.try_url, text), name, "stream", worker, stride, stopped)


def _endless(
    live: cv2.VideoCapture,
    reopen: Callable[[], cv2.VideoCapture | None],
    name: str,
    kind: str,
    worker: reconnect.Worker,
    stride: int,
    stopped: Stopped,
) -> Iterator[Stream]:
    found = reconnect.read(live, reopen, name, worker, stopped, stride, reconnect.RECONNECT_SECONDS)
    try:
        yield Stream(name, kind, capture.rate(live), found)
    finally:
        found.close()
        worker.close(live)  # where not one frame was asked for
