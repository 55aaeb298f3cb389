"""Whether a window can be opened here, tested in a child process."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from emotion.base.errors import UserError

PROBE_SECONDS = 20


class NoWindowError(UserError):
    """No window can be opened here; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"display: {reason}. Take display=browser for a page, or display=none save=labelled.mp4")
        self.reason = reason


def gui(build_information: str) -> str | None:
    """The windows that OpenCV was built with, such as ``QT5``, or None; from ``cv2.getBuildInformation()``."""
    match = re.search(r"^ *GUI: *(\S+)", build_information, re.MULTILINE)
    return match[1] if match and match[1] not in ("NONE", "NO") else None


@contextmanager
def probe() -> Iterator[str | None]:
    """Yield why no window can be opened here, or None if one can, while the child that has tried stays connected.

    OpenCV aborts the process (SIGABRT) where there is no display, so this checks first: for a build with windows, for a
    display, and last, as a display may be named but not answer, whether a child process survives opening a window.

    An X server such as ``xvfb-run``'s restarts when its last client disconnects, and refuses others meanwhile: the next
    window must be opened before the child ends.
    """
    # OpenCV's Qt warns of fonts, Wayland and runtime folders; the user need not do anything about them.
    os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false;*.info=false;*.debug=false")
    name = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if gui(cv2.getBuildInformation()) is None:
        yield "this OpenCV was built without windows (opencv-python-headless)"
        return
    if platform.system() == "Linux" and not name:
        yield "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
        return
    display = f"the display '{name}'" if name else "the display"
    for last in (False, True):
        with _child() as opened:
            if opened:
                yield None
                return
            if opened is None:
                yield f"{display} does not answer"
                return
            if last:
                yield f"{display} cannot be opened"
        time.sleep(0.5)  # it may be restarting just now


@contextmanager
def _child() -> Iterator[bool | None]:
    """Open a window in a child process, which lives until the block ends; yields None where that takes too long."""
    code = "import cv2, sys; cv2.namedWindow('a display?'); cv2.destroyAllWindows(); print(1, flush=True)"
    code += "; sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as child:  # type: ignore[call-overload]
        late = threading.Timer(PROBE_SECONDS, child.kill)
        late.start()
        try:
            opened = bool(child.stdout.readline())
            yield None if not opened and late.finished.is_set() else opened
        finally:
            late.cancel()
            child.stdin.close()
