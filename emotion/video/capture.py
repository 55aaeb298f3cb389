"""Opening what OpenCV captures: video files, addresses and cameras, quietly and within a time limit.

OpenCV's pitfalls are handled here once: it opens text files as video, takes ``12:30.mp4`` for an address, waits 30
seconds for a silent server, and prints to the terminal what belongs in a message.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import shutil
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from emotion.base import files
from emotion.base.errors import UserError
from emotion.faces.images import Image
from emotion.faces.quiet import quiet
from emotion.video import containers, diagnose

log = logging.getLogger(__name__)

# FFmpeg reads its log level once per process, at the first file; -8 is silence. A value that is set already is kept.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# Seconds that OpenCV waits for a camera's next frame; 10 by default.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "5")

# FFmpeg's options, which OpenCV reads at each opening.
_OPTIONS, _TCP, _UDP = "OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp", "rtsp_transport;udp"

#: Milliseconds that opening a stream, or waiting for its next frame, may take.
TIMEOUT_MSEC = 5000
#: Frames per second where the source announces none.
FALLBACK_RATE = 25.0
#: Cameras that are tried, at most, to list those that work.
MOST_CAMERAS = 8


def rate(capture: cv2.VideoCapture) -> float:
    """Frames per second, :data:`FALLBACK_RATE` where the source announces nonsense."""
    announced = capture.get(cv2.CAP_PROP_FPS)
    return announced if 0 < announced <= 1000 else FALLBACK_RATE  # also false for NaN


def announced(capture: cv2.VideoCapture) -> int | None:
    """How many frames a file announces; None where that is implausible, as for live streams."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return round(count) if 1 <= count < 1e9 else None


def aspect(capture: cv2.VideoCapture) -> float:
    """Width of a pixel by its height, as it is to be seen: DV, DVDs and many recorders store narrow pixels."""
    across, down = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    ratio = across / down if across > 0 and down > 0 else 1.0
    if capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90 and capture.get(cv2.CAP_PROP_ORIENTATION_AUTO):
        ratio = 1 / ratio  # OpenCV has turned the frame
    return ratio if 0.2 < ratio < 5 and abs(ratio - 1) > 0.01 else 1.0


def bgr(image: np.ndarray, aspect: float = 1.0) -> Image:
    """A captured image as uint8 BGR ``[H, W, 3]`` of square pixels, the longer way; some cameras give grey."""
    if image.ndim == 2 or image.shape[2] == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if aspect != 1:
        height, width = image.shape[:2]
        size = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return image


def file(path: Path) -> cv2.VideoCapture:
    """Open a video file: the first of its tracks that is a film.

    Raises:
        UserError: Nothing that can be decoded, or no film; the message says why.
    """
    capture = _file(path)
    # FFmpeg renders any .txt file as a video of its text.
    is_text = int(capture.get(cv2.CAP_PROP_FOURCC)) == int.from_bytes(b"ansi", "little")
    if capture.isOpened() and not is_text:
        capture = _past_pictures(path, capture)
        if (reason := containers.no_film(path, capture)) is None:
            return capture
    else:
        reason = containers.damage(path, is_text)
    capture.release()
    raise UserError(f"source: '{path}' is not a video or image that can be opened: {reason}")


def _file(path: Path) -> cv2.VideoCapture:
    # Bytes, as OpenCV crashes on text that is not UTF-8; absolute, else `12:30.mp4` is an address.
    capture: cv2.VideoCapture = cv2.VideoCapture(os.fsencode(path.absolute()), _backend())  # type: ignore[call-overload]
    return capture


def _past_pictures(path: Path, capture: cv2.VideoCapture) -> cv2.VideoCapture:
    """A file opened at its first film: OpenCV takes the first track, which may be a cover, and knows no other."""
    found = containers.tracks(path)
    films = sum(track.film for track in found)
    if len(found) < 2:
        return capture
    if not _is_picture(path):
        if films > 1:
            _tell(
                f"source: '{path}' holds {films} video tracks; the first is read. For another: ffmpeg -i <file> -map "
                f"0:v:1 -map 0:a? -c copy other.mkv"
            )
        return capture
    with files.temporary_folder() as folder:  # an open file outlives its name
        copy = folder / path.name
        try:
            shutil.copyfile(path, copy)
            for track in found[:-1]:
                with copy.open("r+b") as data:
                    data.seek(track.place)
                    data.write(track.hidden)
                if not _is_picture(copy):
                    _tell(f"source: '{path}' begins with a single picture, such as a cover; the film behind it is read")
                    capture.release()
                    return _file(copy)
        except OSError as error:
            raise UserError(
                f"source: '{path}' begins with a single picture, and the film behind it can be read from a copy alone, "
                f"which cannot be made ({error.strerror}). Make room, or take the film out: ffmpeg -i <file> -map "
                f"0:v:1 -map 0:a? -c copy film.mkv"
            ) from None
    return capture


def _is_picture(path: Path) -> bool:
    capture = _file(path)
    try:
        return not capture.isOpened() or containers.is_picture(capture)
    finally:
        capture.release()


@cache
def _tell(text: str) -> None:
    """Say it once, however often a film is played."""
    log.warning("%s", text)


def shortest_interval(path: Path, most: int = 60) -> float | None:
    """Seconds between the nearest of a video's first frames, whatever the average is; None where it has no times."""
    capture = _file(path)
    try:
        times = [capture.get(cv2.CAP_PROP_POS_MSEC) for _ in range(most) if capture.grab()]
    finally:
        capture.release()
    intervals = sorted(b - a for a, b in itertools.pairwise(times) if b - a > 4)
    return intervals[len(intervals) // 10] / 1000 if intervals else None


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
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MSEC]

    def opening() -> cv2.VideoCapture | None:
        return _opened(cv2.VideoCapture(os.fsencode(address), _backend(), limits))  # type: ignore[call-overload]

    # Over UDP, RTSP's default, lost packets damage frames; some cameras send over nothing else.
    os.environ.setdefault(_OPTIONS, _TCP)
    capture = opening()
    if capture is None and os.environ[_OPTIONS] == _TCP and diagnose.refuses_tcp(address):
        os.environ[_OPTIONS] = _UDP
        capture = opening()
        if capture is None:
            os.environ[_OPTIONS] = _TCP
    return capture


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
