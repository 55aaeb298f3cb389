"""A window that shows the annotated frames, and its keys."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Self

import cv2

from emotion.faces.images import Image, resize
from emotion.faces.labelled import Face
from emotion.video.frame import Frame
from emotion.video.lettering import width, write
from emotion.video.palette import DARK, LIGHT
from emotion.video.window_probe import NoWindowError, probe

log = logging.getLogger(__name__)

#: The longer side of what is shown, in pixels: larger frames are shrunk, and on smaller ones the help has no room.
LARGEST, SMALLEST = 1280, 640
#: Seconds for which a message is shown.
MESSAGE_SECONDS = 2.5

_NAME = "emotion"
_POLL = 0.03  # seconds between two checks of the keys while nothing moves
_LATE = 0.5  # seconds of delay after which a file continues from where it is, instead of running to catch up
_ESCAPE = 27
# The right arrow as OpenCV's Qt and GTK, Windows and macOS windows name it.
_RIGHT = (0xFF53, 0x270000, 0xF703)


class Window:
    """Shows the annotated frames, until q or Esc is pressed or the window is closed. ``h`` shows the keys.

    To be used in the main thread, like all windows. While it is paused, :meth:`write` does not return.

    Args:
        pace: Wait until each frame's time, so that a file plays at its own speed; leave it off for live sources.
        hold: Keep each frame until a key is pressed, for images.
        stopped: Ends waiting when it returns True.
        snapshots: Folder for the images that ``s`` saves; created with the first.

    Raises:
        NoWindowError: No window can be opened here.
    """

    draws = True

    def __init__(
        self,
        pace: bool = False,
        hold: bool = False,
        stopped: Callable[[], bool] = lambda: False,
        snapshots: str | Path = ".",
    ) -> None:
        with ExitStack() as stack:
            obstacle = stack.enter_context(probe())
            if obstacle:
                raise NoWindowError(obstacle)
            self._probe = stack.pop_all()  # it stays until this process has a window
        self._pace, self._hold, self._stopped, self._snapshots = pace, hold, stopped, Path(snapshots).expanduser()
        self._origin: float | None = None  # the clock's time at the source's second 0
        self._size = (0, 0)
        self._last: Image | None = None
        self._paused = self._help = False
        self._message, self._message_ends = "h: help", 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._probe.close()
        if self._origin is not None:
            with suppress(cv2.error):  # the user has closed it
                cv2.destroyWindow(_NAME)
            cv2.waitKey(1)  # it disappears when events are handled

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        """Show a frame for as long as it should be seen. False: the user has asked to end."""
        now = time.monotonic()
        if self._origin is None:
            cv2.namedWindow(_NAME, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            self._probe.close()
            self._origin, self._message_ends = now - frame.time, now + MESSAGE_SECONDS
        if self._paused or now - self._origin - frame.time > _LATE:
            self._origin = now - frame.time
        self._last = annotated
        self._show(annotated)
        while True:
            early = self._origin + frame.time - time.monotonic() if self._pace else 0.0
            key = _key(_POLL if self._hold or self._paused else min(_POLL, early))
            if key in ("q", "escape") or not _is_open() or self._stopped():
                return False
            if key in ("space", "n", "right") and (self._hold or (self._paused and key != "space")):
                return True  # if paused, the next one stands still
            if key == "space":
                self._paused = not self._paused
                self._origin = time.monotonic() - frame.time
            self._react(key, annotated)
            is_over = not self._pace or time.monotonic() >= self._origin + frame.time
            if is_over and not self._hold and not self._paused:
                return True

    def idle(self) -> bool:
        """React to keys while no frame comes, as from a camera that is away. False: the user has asked to end."""
        if self._last is None:
            return True
        key = _key(_POLL)
        self._react(key, self._last)
        return key not in ("q", "escape") and _is_open()

    def _react(self, key: str, annotated: Image) -> None:
        if key == "s":
            self._snapshot(annotated)
        elif key == "h":
            self._help = not self._help
        is_over = self._message and time.monotonic() >= self._message_ends
        if is_over:
            self._message = ""
        if key in ("space", "s", "h") or is_over:
            self._show(annotated)

    def _show(self, annotated: Image) -> None:
        view = _view(annotated)
        size = view.shape[1], view.shape[0]
        if size != self._size:
            cv2.resizeWindow(_NAME, *size)
            self._size = size
        if self._help:
            paused = [("space", "pause or resume"), ("n or →", "next frame, while paused")]
            _draw_help(view, [("n, space or →", "next image")] if self._hold else paused)
        message = self._message or ("paused" if self._paused else "")
        if message:
            _draw_message(view, message)
        cv2.imshow(_NAME, view)

    def _snapshot(self, image: Image) -> None:
        try:
            path = save_snapshot(image, self._snapshots)
        except OSError as error:
            self._message = f"not saved: {error.strerror or error}"
            log.warning("snapshot: cannot write in '%s': %s", self._snapshots, error.strerror or error)
        else:
            self._message = f"saved {path.name}"
            log.info("snapshot: %s", path)
        self._message_ends = time.monotonic() + MESSAGE_SECONDS


def save_snapshot(image: Image, folder: Path) -> Path:
    """Save uint8 BGR ``[H, W, 3]`` as a PNG file that is named by the time and replaces no other.

    Raises:
        OSError: It cannot be written; no part of it is left.
    """
    data = cv2.imencode(".png", image)[1].tobytes()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    path = folder / f"emotion-{datetime.now():%Y%m%d-%H%M%S-%f}.png"
    with path.open("xb") as file:
        try:
            file.write(data)
            file.flush()
        except OSError:
            path.unlink(missing_ok=True)
            raise
    return path


def _view(image: Image) -> Image:
    """A copy in a size that fits the screen."""
    height, across = image.shape[:2]
    scale = min(max(1.0, SMALLEST / max(height, across)), LARGEST / max(height, across))
    if scale == 1:
        return image.copy()
    return resize(image, max(1, round(height * scale)), max(1, round(across * scale)), "area")


def _capital(view: Image) -> int:
    return max(10, round(max(map(int, view.shape[:2])) / 85))


def _draw_help(view: Image, keys: Sequence[tuple[str, str]]) -> None:
    lines = [*keys, ("s", "save a snapshot"), ("h", "show or hide this help"), ("q or Esc", "end")]
    capital = _capital(view)
    pad, row = 2 * capital, round(2.2 * capital)
    names = max(width(name, capital, True) for name, _ in lines)
    across = names + max(width(does, capital) for _, does in lines) + 3 * pad
    height = row * (len(lines) - 1) + capital + 2 * pad
    top = (view.shape[0] - height) // 2
    left = _panel(view, top, across, height)
    for number, (name, does) in enumerate(lines):
        baseline = top + pad + capital + row * number
        write(view, name, (left + pad, baseline), capital, LIGHT, DARK, bold=True)
        write(view, does, (left + 2 * pad + names, baseline), capital, LIGHT, DARK)


def _draw_message(view: Image, message: str) -> None:
    capital = _capital(view)
    across, height = width(message, capital) + 2 * capital, 3 * capital
    top = view.shape[0] - height - capital
    left = _panel(view, top, across, height)
    write(view, message, (left + capital, top + 2 * capital), capital, LIGHT, DARK)


def _panel(view: Image, top: int, across: int, height: int) -> int:
    """Draw a dark rectangle in the middle of the width; returns its left edge."""
    left = (int(view.shape[1]) - across) // 2
    cv2.rectangle(view, (left, top), (left + across - 1, top + height - 1), DARK, cv2.FILLED)
    return left


def _key(seconds: float) -> str:
    """The key that is pressed within this time, else an empty string; the window is kept alive meanwhile."""
    code = cv2.waitKeyEx(max(1, round(seconds * 1000)))
    if code < 0:
        return ""
    if code in _RIGHT:
        return "right"
    code &= 0xFFFF  # without the modifiers that Qt adds above
    if code > 255:  # an arrow's lower byte is a letter
        return ""
    return {_ESCAPE: "escape", 32: "space"}.get(code, chr(code).lower())


def _is_open() -> bool:
    try:
        return cv2.getWindowProperty(_NAME, cv2.WND_PROP_VISIBLE) >= 1
    except cv2.error:  # on some systems, where it was closed
        return False
