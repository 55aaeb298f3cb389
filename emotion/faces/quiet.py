"""Keeping what decoders print off the terminal; what it means is said in our own messages, with the file's name."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import cv2

_quiet_lock, _quiet = threading.Lock(), {"users": 0, "level": 0}
_stderr_lock = threading.Lock()


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


@contextmanager
def without_chatter(kind: str) -> Iterator[None]:
    """Keep off the terminal what libtiff prints there itself; lines of others that come meanwhile follow it."""
    if kind != "tiff":
        yield
        return
    with _stderr_lock, ExitStack() as stack:
        kept = stack.enter_context(tempfile.TemporaryFile())
        try:
            own = os.dup(2)
        except OSError:  # there is no terminal to keep clean
            yield
            return
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(own, 2)
            os.close(own)
            kept.seek(0)
            others = [line for line in kept if not re.match(rb"(?!error)[\w.]+: .*\.\s*$", line)]
            if others:
                os.write(2, b"".join(others))
