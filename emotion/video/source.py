"""Where frames come from: a camera, a video file, a live stream, or images.

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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2

from emotion.base.errors import UserError, did_you_mean
from emotion.faces.quiet import quiet
from emotion.video import capture, diagnose, image_files, reconnect, still, video_file
from emotion.video.frame import Frame, Stream

Stopped = Callable[[], bool]

_ADVICE = (
    "Give a camera's number (0), a video, an image, a folder or glob of images ('faces/*.png'), or an address "
    "(rtsp://..., http://...)"
)


@dataclass(frozen=True)
class _Options:
    stride: int
    loop: bool
    stopped: Stopped


@contextmanager
def opened(
    source: int | str | Path,
    max_frames: int | None = None,
    stride: int = 1,
    loop: bool = False,
    stopped: Stopped = lambda: False,
) -> Iterator[Stream]:
    """Open a source and close it again.

    Args:
        source: A camera's number, a video, an image, a folder or glob of images, or an address.
        max_frames: The stream's limit. Frames of a file end by themselves after so many; None reads to the end.
        stride: Only frames whose index it divides are yielded.
        loop: A video file starts again at its end, and a picture at an address is asked for again; index and time keep
            rising.
        stopped: Asked while waiting, about ten times a second; True ends the frames.

    Raises:
        UserError: No such source, or nothing that OpenCV can decode; here or at the first frame.
    """
    if stride < 1:
        raise UserError(f"stride: must be 1 (every frame) or more, not {stride}")
    with quiet(), _choose(str(source), _Options(stride, loop, stopped)) as stream:
        total = _total(stream, max_frames, loop)
        # Of a live source some frames are passed over, and they do not count.
        limited = stream.frames if stream.live else itertools.islice(stream.frames, max_frames)
        yield replace(stream, frames=limited, total=total, limit=max_frames)


def frames(source: int | str | Path, max_frames: int | None = None) -> Iterator[Frame]:
    """The frames of a source, which is closed when the generator is; see :func:`opened`."""
    with opened(source, max_frames) as stream:
        yield from itertools.islice(stream.frames, stream.limit)


def _total(stream: Stream, max_frames: int | None, loop: bool) -> int | None:
    if stream.live or loop:
        return max_frames
    return stream.total if max_frames is None or stream.total is None else min(stream.total, max_frames)


def _choose(text: str, options: _Options) -> AbstractContextManager[Stream]:
    """Open a source as the kind that it is."""
    number = _camera_number(text)
    if number is not None:
        _refuse_loop(options, f"camera {number}")
        return _camera(text, number, options)
    path = path_of(text)
    if path is None:
        return _address(text, options)
    exists = _exists(path)
    if exists and path.is_file() and os.access(path, os.R_OK) and not image_files.is_image(path):
        opening = partial(capture.file, path)
        return _finite(opening(), opening, str(path), options)
    is_file = exists and path.is_file()
    if not is_file and (exists or image_files.is_glob(text)):
        _refuse_loop(options, text)
    if exists and path.is_dir():
        return nullcontext(image_files.folder(path, options.stride))
    if not exists and image_files.is_glob(text):
        return nullcontext(image_files.glob(text, options.stride))
    _check_file(path)
    return nullcontext(image_files.single(path, options.stride, options.loop))


def path_of(source: int | str | Path | None, key: str = "source") -> Path | None:
    """The path of a source or an output; None for a camera, an address, and None.

    Raises:
        UserError: ``~name`` of an unknown user; the message begins with ``key``.
    """
    text = str(source)
    if source is None or (key == "source" and _camera_number(text) is not None):
        return None
    if "://" in text and not text.lower().startswith("file://"):
        return None
    try:
        return Path(re.sub("^file://", "", text, flags=re.IGNORECASE)).expanduser()
    except RuntimeError:
        raise UserError(f"{key}: '{text}' begins with ~, but no user has that name; write the whole path") from None


def _camera_number(text: str) -> int | None:
    """The camera that ``0``, ``"0"``, ``/dev/video0`` or a link to it (``/dev/v4l/by-id/...``) means.

    None for the name of a file or folder.
    """
    if text.startswith("/dev/"):
        text = os.path.realpath(text)
    match = re.fullmatch(r"(?:/dev/video)?([0-9]{1,4})", text)
    is_path = match is not None and (Path(text).is_file() or Path(text).is_dir())
    return int(match[1]) if match and not is_path else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _check_file(path: Path) -> None:
    if not _exists(path):
        near = [p.name for p in path.parent.iterdir()] if _exists(path.parent) and path.parent.is_dir() else []
        raise UserError(
            f"source: no such file '{path}' (seen from {Path.cwd()}).{did_you_mean(path.name, near)} {_ADVICE}"
        )
    if not path.is_file():
        raise UserError(f"source: '{path}' is neither a file nor a folder. {_ADVICE}")
    if not os.access(path, os.R_OK):
        raise UserError(f"source: '{path}' may not be read; check its permissions")


def _refuse_loop(options: _Options, name: str) -> None:
    if options.loop:
        raise UserError(f"loop: only for video files, and '{name}' is none. Leave loop out")


@contextmanager
def _finite(
    file: cv2.VideoCapture, reopen: Callable[[], cv2.VideoCapture], name: str, options: _Options
) -> Iterator[Stream]:
    read = partial(video_file.repeat, reopen=reopen) if options.loop else video_file.read
    frames_read = read(file, name=name, stopped=options.stopped, stride=options.stride)
    announced = capture.announced(file)
    total = announced and math.ceil(announced / options.stride)
    try:
        yield Stream(name, "video", capture.rate(file), frames_read, total)
    finally:
        with suppress(ValueError):  # another thread is reading it: it is closed with the process, which is about to end
            frames_read.close()
            file.release()


@contextmanager
def _camera(text: str, number: int, options: _Options) -> Iterator[Stream]:
    # Opened here and not by the worker: macOS asks for permission in the main thread only.
    camera, worker = capture.camera(number), reconnect.Worker(options.stopped)
    stream = Stream(f"camera {number}", "camera", capture.rate(camera), iter(()))

    def reopen() -> cv2.VideoCapture | None:
        again = _camera_number(text)  # a link leads to another number once the camera was plugged in again
        return None if again is None else capture.try_camera(again)

    yield from _endless(stream, camera, reopen, worker, options.stride, reconnect.WAKE_SECONDS)


@contextmanager
def _address(text: str, options: _Options) -> Iterator[Stream]:
    name, worker = diagnose.shown(text), reconnect.Worker(options.stopped)
    try:
        picture = worker.do(partial(still.picture, text))
        if picture is not None:
            yield still.stream(text, picture, options.loop, worker)
            return
        opening = worker.do(partial(capture.url, text))
        stream = Stream(name, "stream", capture.rate(opening) if opening else capture.FALLBACK_RATE, iter(()))
        if opening is None:  # stopped
            yield stream
        elif re.match("https?:", text, re.IGNORECASE) and capture.announced(opening) is not None:
            with _finite(opening, partial(capture.url, text), name, options) as stream:
                yield stream
        else:
            try:
                _refuse_loop(options, name)
            except UserError:
                worker.close(opening)
                raise
            yield from _endless(stream, opening, partial(capture.try_url, text), worker, options.stride)
    finally:
        worker.close()


def _endless(
    stream: Stream,
    live: cv2.VideoCapture,
    reopen: Callable[[], cv2.VideoCapture | None],
    worker: reconnect.Worker,
    stride: int,
    wake: float = 0.0,
) -> Iterator[Stream]:
    frames_read = reconnect.read(live, reopen, stream.name, worker, stride, reconnect.RECONNECT_SECONDS, wake)
    try:
        yield replace(stream, frames=frames_read)
    finally:
        frames_read.close()
        worker.close(live)  # where not one frame was asked for
