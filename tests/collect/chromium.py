"""A real browser without a window, driven through its debugging pipe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

_PATIENCE = 60.0
# The browser reads from its file 3 and writes to its file 4.
_PIPED = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """A page that is open; see :func:`opened`."""

    def __init__(self, send: int, receive: int, downloads: Path) -> None:
        self._send, self._receive, self._downloads = send, receive, downloads
        self._buffer, self._number, self._session = b"", 0, ""
        self.messages: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> Any:
        """Ask the browser for something (Chrome DevTools Protocol)."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.messages.append(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            data = os.read(self._receive, 1 << 16)
            assert data, "the browser has gone"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path: Path) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Log.enable")
        self.call("Page.navigate", url=path.absolute().as_uri())
        end = time.monotonic() + _PATIENCE
        while self.evaluate("document.readyState + location.protocol") != "completefile:":
            assert time.monotonic() < end
            time.sleep(0.02)
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self._downloads))

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key, such as ``x`` or ``ArrowRight``."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def downloaded(self, name: str) -> Path:
        """Wait for a file that the page saves."""
        path, end = self._downloads / name, time.monotonic() + _PATIENCE
        while not path.exists() or not path.stat().st_size:
            assert time.monotonic() < end, list(self._downloads.iterdir())
            time.sleep(0.02)
        return path

    @property
    def complaints(self) -> list[str]:
        """What the browser has logged, such as breaches of the page's own policy."""
        self.evaluate("1")
        return [m["params"]["entry"]["text"] for m in self.messages if m.get("method") == "Log.entryAdded"]


@contextmanager
def opened(path: Path, scratch: Path) -> Iterator[Page]:
    """Open a page in Chromium; skip the test where there is none."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("needs a browser: apt-get install chromium")
    downloads = scratch / "downloads"
    downloads.mkdir(exist_ok=True)
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()
    line = [program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    line += [f"--user-data-dir={scratch / 'profile'}"]
    line = [sys.executable, "-c", _PIPED, str(their_in), str(their_out), *line]
    process = subprocess.Popen(
        line, pass_fds=[their_in, their_out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(their_in)
    os.close(their_out)
    try:
        page = Page(our_out, our_in, downloads)
        page.open(path)
        yield page
    finally:
        with suppress(OSError):
            os.write(our_out, b'{"id":0,"method":"Browser.close"}\0')
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(our_out)
        os.close(our_in)
