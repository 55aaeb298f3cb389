"""Where labelled frames go: a video file, a JSON Lines file, a window. Nothing is stored unless it is asked for."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import cv2

from emotion.errors import UserError
from emotion.faces import Image
from emotion.live.classifier import Face
from emotion.live.source import Frame

#: Codecs that OpenCV's wheels can write (they cannot write H.264).
CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


class Sink(Protocol):
    """A context manager that takes labelled frames.

    Attributes:
        draws: Whether it shows the annotated picture; if no sink does, nothing is drawn.
    """

    draws: bool

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        """Take one frame; False asks the loop to end after it."""
        ...


def _check_target(key: str, path: Path) -> None:
    if path.is_dir():
        raise UserError(f"{key}: '{path}' is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise UserError(f"{key}: no such folder '{path.parent}'. Make it first: mkdir -p {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"{key}: '{path}' may not be written; check its permissions or choose another place")


class Video:
    """Writes the annotated frames to a ``.mp4`` or ``.avi`` file of the first frame's size.

    Frames of another size are fitted into that of the first, with black bars. A file gets each frame once. A camera
    may deliver fewer frames a second than it announces, or more than the machine can label: with ``steady`` frames are
    repeated or left out by their times, so that the recording runs at real speed.

    Args:
        path: An existing file is replaced.
        rate: Frames a second.
        steady: Keep to the frames' times.

    Raises:
        UserError: Unknown ending, no such folder, or a file that cannot be written.
    """

    draws = True

    def __init__(self, path: str | Path, rate: float, steady: bool = False) -> None:
        self.path = Path(path).expanduser()
        if self.path.suffix.lower() not in CODECS:
            raise UserError(f"save: '{path}' must end in {' or '.join(CODECS)}: OpenCV's builds can write those")
        _check_target("save", self.path)
        self._rate, self._steady = rate, steady
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        self._writer.release()
        # OpenCV swallows write errors, such as a full disk.
        if kind is None and self._written and not _readable(self.path):
            raise UserError(f"save: '{self.path}' could not be written whole; is the disk full?")

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        if self._writer is None:
            self._size = (annotated.shape[1], annotated.shape[0])
            self._writer = self._create()
        copies = max(0, int(frame.time * self._rate) + 1 - self._written) if self._steady else 1
        picture = _fit(annotated, self._size)
        for _ in range(copies):
            self._writer.write(picture)
        self._written += copies
        return True

    def _create(self) -> cv2.VideoWriter:
        if min(self._size) < 16:  # the encoder aborts the process on some tiny sizes
            raise UserError(f"save: frames of {self._size[0]}x{self._size[1]} pixels are too small for a video file")
        codec = CODECS[self.path.suffix.lower()]
        writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter_fourcc(*codec), self._rate, self._size)  # type: ignore[attr-defined]
        if not writer.isOpened():  # without this check, writing would be a silent no-op
            other = next(ending for ending in CODECS if ending != self.path.suffix.lower())
            raise UserError(f"save: cannot write '{self.path}' with codec {codec}; try a name that ends in {other}")
        return writer


def _readable(path: Path) -> bool:
    capture = cv2.VideoCapture(str(path))
    try:
        return capture.isOpened() and capture.read()[0]
    finally:
        capture.release()


def _fit(image: Image, size: tuple[int, int]) -> Image:
    """Scale a picture into ``(width, height)`` and fill the rest with black."""
    width, height = size
    if image.shape[:2] == (height, width):
        return image
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    right, bottom = width - inner[0] - left, height - inner[1] - top
    return cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))  # type: ignore[return-value]


class Lines:
    """Writes one JSON object a face a frame, each on a line of its own (JSON Lines).

    Keys: ``frame``, ``time`` (seconds), ``box`` (``[x, y, width, height]`` in pixels), ``label``, ``confidence`` and
    ``probabilities`` (by label).

    Args:
        path: An existing file is replaced.
        labels: The contract's.

    Raises:
        UserError: No such folder, or a file that cannot be written.
    """

    draws = False

    def __init__(self, path: str | Path, labels: Sequence[str]) -> None:
        self.path = Path(path).expanduser()
        _check_target("log", self.path)
        self._labels = tuple(labels)
        self._file: FileIO | None = None
        self._whole = 0  # bytes of whole lines

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open("wb", buffering=0)  # a reader, or a crash, finds each frame at once
        except OSError as error:
            raise UserError(f"log: cannot write '{self.path}': {error.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        assert self._file is not None, "used outside `with`"
        text = "".join(json.dumps(self._record(frame, face), allow_nan=False) + "\n" for face in faces).encode()
        left = text
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._whole)
            raise UserError(f"log: cannot write '{self.path}': {error.strerror}") from None
        self._whole += len(text)
        return True

    def _record(self, frame: Frame, face: Face) -> dict[str, object]:
        box = face.box
        return {
            "frame": frame.index,
            "time": round(frame.time, 6),
            "box": [box.x, box.y, box.width, box.height],
            "label": face.label,
            "confidence": round(face.confidence, 6),
            "probabilities": {k: round(p, 6) for k, p in zip(self._labels, face.probabilities, strict=True)},
        }


class Window:
    """Shows the annotated frames; q, Esc or closing the window ends the loop.

    Args:
        pace: Wait until each frame's time, so that a file plays at its own speed; leave it off for a camera.
        hold: Keep each frame until a key is pressed, for a picture.
        stopped: Ends the holding early when it returns True.

    Raises:
        UserError: No window can be opened here.
    """

    draws = True
    _NAME = "emotion"

    def __init__(self, pace: bool = False, hold: bool = False, stopped: Callable[[], bool] = lambda: False) -> None:
        obstacle = no_window()
        if obstacle:
            raise UserError(f"display: {obstacle}. Use display=none save=labelled.mp4, and watch the file elsewhere")
        self._pace, self._hold, self._stopped = pace, hold, stopped
        self._started: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started is not None:
            cv2.destroyAllWindows()

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        if self._started is None:
            self._started = time.monotonic() - frame.time
            cv2.namedWindow(self._NAME, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            scale = min(1.0, 1280 / max(annotated.shape[:2]))
            cv2.resizeWindow(self._NAME, round(annotated.shape[1] * scale), round(annotated.shape[0] * scale))
        cv2.imshow(self._NAME, annotated)
        early = self._started + frame.time - time.monotonic() if self._pace else 0.0
        go_on = self._poll(max(1, round(early * 1000)))
        while go_on and self._hold and not self._stopped():
            go_on = self._poll(50)
        return go_on

    def _poll(self, milliseconds: int) -> bool:
        key = cv2.waitKey(milliseconds) & 0xFF
        return key not in (ord("q"), 27) and cv2.getWindowProperty(self._NAME, cv2.WND_PROP_VISIBLE) >= 1


def no_window() -> str | None:
    """Why no window can be opened here, or None if one can.

    OpenCV aborts the process (SIGABRT) where there is no display, so this looks first: for a build with windows, for a
    display, and last, as a display may be named but not answer, whether a child process survives opening a window.
    """
    gui = [line.split(":", 1)[1].strip() for line in cv2.getBuildInformation().splitlines() if " GUI:" in line]
    if not gui or gui[0] in ("", "NONE", "NO"):
        return "this OpenCV was built without windows (opencv-python-headless)"
    if platform.system() == "Linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    probe = "import cv2; cv2.namedWindow('emotion'); cv2.destroyAllWindows()"
    try:
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, timeout=20)
    except subprocess.TimeoutExpired:
        return "the display does not answer"
    return None if done.returncode == 0 else "the display cannot be opened"
