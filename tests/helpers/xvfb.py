"""A screen without glass: an X server in memory, on which real keys are pressed and real screenshots taken."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

SIZE = (1400, 900)
PATIENCE = 60.0  # seconds; other tests may have the cores


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something to become true, and return it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE:g} s in vain: {what}")


@dataclass(frozen=True)
class Screen:
    """A display such as ``:1``, and what a person does there."""

    display: str

    @property
    def environment(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if k != "WAYLAND_DISPLAY"} | {"DISPLAY": self.display}

    def xdotool(self, *arguments: str) -> str:
        line = ["xdotool", *arguments]
        done = subprocess.run(line, env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        return done.stdout.strip()

    def window(self, name: str, check: Callable[[], None], painted: Callable[[np.ndarray], bool] = np.any) -> str:
        """Wait for a visible window of this name and its picture, give it the keyboard, and return its number.

        On a busy machine without a window manager Qt misses the server's first word that a window is to be painted, in
        one of ten cases (plain OpenCV as much as ours); mapped anew, it paints.

        Args:
            name: Its title.
            check: Raises when there is no use in waiting on.
            painted: Whether a screenshot shows the picture. Keys that come earlier are lost.
        """

        def find() -> str:
            check()
            return self.xdotool("search", "--onlyvisible", "--name", f"^{name}$")

        number = str(until(find, f"window {name}").splitlines()[-1])

        mapped = time.monotonic()

        def seen() -> bool:
            nonlocal mapped
            check()
            if painted(self.shot()):
                return True
            if time.monotonic() - mapped > 3:
                self.xdotool("windowunmap", "--sync", number, "windowmap", "--sync", number)
                mapped = time.monotonic()
            return False

        until(seen, "a picture")

        def focus() -> bool:
            check()
            self.xdotool("windowfocus", number)  # refused until the window is to be seen
            return self.xdotool("getwindowfocus") == number

        until(focus, "the keyboard")
        return number

    def size_of(self, window: str) -> tuple[int, int]:
        lines = dict(line.split("=") for line in self.xdotool("getwindowgeometry", "--shell", window).splitlines())
        return int(lines["WIDTH"]), int(lines["HEIGHT"])

    def press(self, key: str) -> None:
        self.xdotool("key", key)

    def shot(self) -> np.ndarray:
        """What is on the screen: uint8 BGR ``[H, W, 3]``."""
        line = ["ffmpeg", "-v", "error", "-f", "x11grab", "-draw_mouse", "0", "-video_size", f"{SIZE[0]}x{SIZE[1]}"]
        line += ["-i", self.display, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "bgr24", "-"]
        data = subprocess.run(line, env=self.environment, capture_output=True, check=True, timeout=PATIENCE).stdout
        return np.frombuffer(data, np.uint8).reshape(SIZE[1], SIZE[0], 3)

    def close(self, window: str) -> None:
        """What a window manager sends when somebody clicks on the cross in the window's corner."""
        x11 = ctypes.CDLL(ctypes.util.find_library("X11"))
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        x11.XInternAtom.restype = ctypes.c_ulong
        x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
        x11.XCloseDisplay.argtypes = x11.XFlush.argtypes = [ctypes.c_void_p]
        display = x11.XOpenDisplay(self.display.encode())
        protocols, delete = (x11.XInternAtom(display, n, 0) for n in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
        event = _ClientMessage(33, 0, 1, display, int(window), protocols, 32, (ctypes.c_long * 5)(delete, 0, 0, 0, 0))
        x11.XSendEvent(display, int(window), 0, 0, ctypes.byref(event))
        x11.XFlush(display)
        x11.XCloseDisplay(display)


class _ClientMessage(ctypes.Structure):
    """Xlib's XClientMessageEvent, and the padding to the size of XEvent."""

    _fields_ = (
        *(("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int)),
        *(("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong)),
        *(("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("pad", ctypes.c_long * 24)),
    )


@contextmanager
def screen() -> Iterator[Screen]:
    """Start an X server on a display that is free; skip the test where one of the tools is missing."""
    missing = [tool for tool in ("Xvfb", "xdotool", "ffmpeg") if shutil.which(tool) is None]
    if missing or ctypes.util.find_library("X11") is None:
        pytest.skip(f"needs {', '.join(missing) or 'libX11'}: apt-get install xvfb xdotool ffmpeg")
    told, tell = os.pipe()
    line = ["Xvfb", "-displayfd", str(tell), "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24", "-nolisten", "tcp"]
    line += ["-noreset"]  # else it starts anew, and refuses clients meanwhile, whenever the last one leaves
    server = subprocess.Popen(line, pass_fds=[tell], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(tell)
    try:
        with os.fdopen(told) as answer:
            number = answer.readline().strip()
        assert number, "Xvfb did not start"
        yield Screen(f":{number}")
    finally:
        server.terminate()
        server.wait(PATIENCE)
