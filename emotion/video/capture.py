"""Opening what OpenCV captures: video files, addresses and cameras, quietly and within a time limit.

OpenCV's pitfalls are handled here once: it opens text files as video, takes ``12:30.mp4`` for an address, waits 30
seconds for a silent server, and prints to the terminal what belongs in a message.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from emotion.base.errors import UserError
from emotion.faces.images import Image
from emotion.video import diagnose

# FFmpeg reads its log level once per process, at the first file; -8 is silence. A value that is set already is kept.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# Seconds that OpenCV waits for a camera's next frame; 10 by default.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "5")

#: Milliseconds that opening a stream, or waiting for its next frame, may take.
TIMEOUT_MSEC = 5000
#: Frames per second where the source announces none.
FALLBACK_RATE = 25.0
#: Cameras that are tried, at most, to list those that work.
MOST_CAMERAS = 8

_quiet_lock, _quiet = threading.Lock(), {"users": 0, "level": 0}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep OpenCV's own log off the terminal; may be entered by several threads."""
    with _quiet_lock:
        if not _quiet["users"]:
            _quiet["level"] = cv2.utils.logging.getLogLevel()
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        _quiet["users"] += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet["users"] -= 1
            if not _quiet["users"]:
                cv2.utils.logging.setLogLevel(_quiet["level"])


def rate(capture: cv2.VideoCapture) -> float:
    """Frames per second, :data:`FALLBACK_RATE` where the source announces nonsense."""
    announced = capture.get(cv2.CAP_PROP_FPS)
    return announced if 0 < announced <= 1000 else FALLBACK_RATE  # also false for NaN


def announced(capture: cv2.VideoCapture) -> int | None:
    """How many frames a file announces; None where that is implausible, as for live streams."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return round(count) if 1 <= count < 1e9 else None


def bgr(image: np.ndarray) -> Image:
    """A captured image as uint8 BGR ``[H, W, 3]``; some cameras give grey."""
    if image.ndim == 2 or image.shape[2] == 1:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)  # type: ignore[return-value]
    return image


def file(path: Path) -> cv2.VideoCapture:
    """Open a video file.

    Raises:
        UserError: Nothing that can be decoded; the message says why.
    """
    # Bytes, as OpenCV crashes on text that is not UTF-8; absolute, else `12:30.mp4` is an address.
    capture: cv2.VideoCapture = cv2.VideoCapture(os.fsencode(path.absolute()), _backend())  # type: ignore[call-overload]
    # FFmpeg renders any .txt file as a video of its text.
    is_text = int(capture.get(cv2.CAP_PROP_FOURCC)) == int.from_bytes(b"ansi", "little")
    if capture.isOpened() and not is_text:
        return capture
    capture.release()
    raise UserError(f"source: '{path}' is not a video or image that can be opened: {_damage(path, is_text)}")


def url(address: str) -> cv2.VideoCapture:
    """Open an address: RTSP, MJPEG over HTTP, or a video on a web server.

    Raises:
        UserError: No video came within the time limit; the message says why.
    """
    capture = try_url(address)
    if capture is None:
        raise UserError(f"source: '{diagnose.shown(address)}' gave no video; {diagnose.diagnose(address)}")
    return capture


def try_url(address: str) -> cv2.VideoCapture | None:
    """Open an address; None where that fails."""
    # Over UDP, RTSP's default, lost packets damage frames.
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MSEC]
    return _opened(cv2.VideoCapture(os.fsencode(address), _backend(), limits))  # type: ignore[call-overload]


def camera(number: int) -> cv2.VideoCapture:
    """Open a camera.

    Raises:
        UserError: No such camera, or it is in use; the message lists those that work.
    """
    capture = try_camera(number)
    if capture is not None:
        return capture
    device = Path(f"/dev/video{number}")
    if device.exists() and not os.access(device, os.R_OK | os.W_OK):
        why = f"you may not use {device}: join its group (sudo usermod -aG video $USER, then log in again)"
    elif device.exists():
        why = "it does not answer: another program may use it, or it is no capture device"
    else:
        why = "there is no camera with that number"
    others = [n for n in cameras() if n != number]
    if others:
        step = f"These answer: {', '.join(map(str, others))}. Choose one: source={others[0]}"
    else:
        step = "No other camera answers. Plug one in, or give a file: source=clip.mp4"
    raise UserError(f"source: no camera {number} here; {why}. {step}")


def try_camera(number: int) -> cv2.VideoCapture | None:
    """Open a camera; None where that fails."""
    capture = _opened(cv2.VideoCapture(number))
    if capture is not None:
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # buffered frames are old
    return capture


def cameras() -> list[int]:
    """The numbers of the cameras that can be opened now."""
    numbers = list(range(4))  # not on Linux, only opening one shows whether it exists, which takes time
    if sys.platform == "linux":
        names = (re.fullmatch(r"video(\d+)", path.name) for path in Path("/dev").glob("video*"))
        numbers = sorted(int(name[1]) for name in names if name)[:MOST_CAMERAS]
    working = []
    with quiet():
        for number in numbers:
            if (capture := try_camera(number)) is not None:
                capture.release()
                working.append(number)
    return working


def _opened(capture: cv2.VideoCapture) -> cv2.VideoCapture | None:
    if capture.isOpened():
        return capture
    capture.release()
    return None


def _backend() -> int:
    """FFmpeg where it is built in: others take ``clip_01.mp4`` for a sequence of images."""
    has = cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends()
    return cv2.CAP_FFMPEG if has else cv2.CAP_ANY


def _damage(path: Path, is_text: bool) -> str:
    """Why a file is no video, and what to do."""
    if is_text:
        return "it is text. Give a video or an image"
    try:
        size = path.stat().st_size
        with path.open("rb") as data:
            boxes = list(_boxes(data, size))
    except OSError as error:  # it was removed meanwhile
        return error.strerror or str(error)
    if not size:
        return "it is empty. Copy or record it again"
    if boxes and boxes[0] in ("ftyp", "mdat", "wide", "free", "skip") and "moov" not in boxes:
        return (
            "its index (the moov box at the end of an MP4 or MOV) is missing, because the recording or the copy was "
            "cut off. Copy it again whole; if there is no whole one, a repair program (such as untrunc) can rebuild "
            "the index from another video of the same camera"
        )
    return "it is damaged, or in a format that this OpenCV does not know. Play it elsewhere, or convert it to MP4"


def _boxes(data: BinaryIO, size: int) -> Iterator[str]:
    """The names of an MP4's outermost boxes (ISO/IEC 14496-12, 4.2); nothing, or nonsense, for other files."""
    at = 0
    while at + 8 <= size:
        data.seek(at)
        head = data.read(16)
        yield head[4:8].decode("latin-1")
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: to the end of the file
            return
        at += length
