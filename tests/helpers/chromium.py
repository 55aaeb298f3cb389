"""A real browser without a window, driven through its debugging pipe."""

from __future__ import annotations

import base64
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

    def open(self, url: str) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Log.enable")
        self.go(url)
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self._downloads))

    def go(self, url: str) -> None:
        """Load another page."""
        self.call("Page.navigate", url=url)
        scheme = url.partition(":")[0]
        self.until(f"document.readyState == 'complete' && location.protocol == '{scheme}:'")

    def until(self, condition: str, patience: float = _PATIENCE) -> None:
        """Wait until a JavaScript condition is true."""
        end = time.monotonic() + patience
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"waited in vain for {condition}: {self.evaluate('document.body.innerText')}"
            time.sleep(0.05)

    def show(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """The screen's size and its colours."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        """Save what the page looks like, in its whole length, as PNG."""
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; of a promise, what it comes to."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, userGesture=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key, such as ``x`` or ``ArrowRight``."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def downloaded(self, name: str) -> Path:
        """Wait for a file that the page saves, by its name or a pattern."""
        end = time.monotonic() + _PATIENCE
        while not (found := [p for p in self._downloads.glob(name) if p.stat().st_size]):
            assert time.monotonic() < end, list(self._downloads.iterdir())
            time.sleep(0.02)
        return found[0]

    @property
    def complaints(self) -> list[str]:
        """What the browser has logged, such as breaches of the page's own policy."""
        self.evaluate("1")
        return [m["params"]["entry"]["text"] for m in self.messages if m.get("method") == "Log.entryAdded"]


@contextmanager
def opened(page_at: Path | str, scratch: Path, *arguments: str) -> Iterator[Page]:
    """Open a file or an address in Chromium; skip the test where there is none. Arguments are the browser's."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("needs a browser: apt-get install chromium")
    downloads = scratch / "downloads"
    downloads.mkdir(exist_ok=True)
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()
    line = [program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    line += [f"--user-data-dir={scratch / 'profile'}", *arguments]
    line = [sys.executable, "-c", _PIPED, str(their_in), str(their_out), *line]
    process = subprocess.Popen(
        line, pass_fds=[their_in, their_out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(their_in)
    os.close(their_out)
    try:
        page = Page(our_out, our_in, downloads)
        page.open(page_at.absolute().as_uri() if isinstance(page_at, Path) else page_at)
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
