"""Bing and the picture hosts on loopback, with everything that can go wrong there.

    happy = [Entry("a.jpg", photo), Entry("b.jpg", photo, fault="truncated"), Entry("file:///etc/passwd")]
    with BingServer({"happy": happy}) as server, server.installed():
        list(bing.search("happy", "a happy face", ...))
    server.requests  # what was asked for, and whether it was sent whole

A process of its own finds the server by ``env=server.environment()``.
"""

from __future__ import annotations

import functools
import os
import posixpath
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from requests.adapters import HTTPAdapter

from tests.helpers.bing_answers import FAULTS, INDEX_FAULTS, Entry, Handler, Request, page_of
from tests.helpers.pictures import drawn, photos, png_bomb
from tests.helpers.redirect.sitecustomize import redirecting

__all__ = ["FAULTS", "INDEX_FAULTS", "BingServer", "Entry", "Request", "drawn", "page_of", "photos", "png_bomb"]


class BingServer:
    """Bing's index and picture hosts, as a context manager.

    Args:
        catalogue: Word -> results; a query shows those of the first word that it holds, in this order. It may be
            changed while the server runs.
        index_faults: Word -> one of :data:`INDEX_FAULTS`.
        page: Results shown at once.
        delay: Seconds before any picture is sent.
    """

    def __init__(
        self,
        catalogue: Mapping[str, Sequence[Entry]],
        *,
        index_faults: Mapping[str, str] | None = None,
        page: int = 10,
        delay: float = 0.0,
    ) -> None:
        self.catalogue = dict(catalogue)
        self.index_faults = dict(index_faults or {})
        self.page = page
        self.delay = delay
        self.asked: list[str] = []  # paths as sent, in the order of their coming, answered or not
        self.over = threading.Event()
        self.answering: set[threading.Thread] = set()
        self._log: list[Request] = []
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), functools.partial(Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        unknown = {e.fault for entries in self.catalogue.values() for e in entries if e.fault} - set(FAULTS)
        assert not unknown | (set(self.index_faults.values()) - set(INDEX_FAULTS)), unknown

    @property
    def address(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order in which they were answered or broken off."""
        ends = time.monotonic() + 2
        while self.answering and time.monotonic() < ends:  # a client has an answer before its sender knows
            time.sleep(0.001)
        with self._lock:
            return list(self._log)

    def pictures(self, path: str | None = None) -> list[Request]:
        """The requests for pictures; for one path below ``/pictures/``, as sent, if given."""
        some = [r for r in self.requests if r.path.startswith("/pictures/")]
        return some if path is None else [r for r in some if r.path == f"/pictures/{path}"]

    def index(self) -> list[Request]:
        """The requests for pages of results."""
        return [r for r in self.requests if r.path == "/images/async"]

    def url(self, entry: Entry) -> str:
        """A result's address as Bing shows it."""
        return entry.url if re.match("[A-Za-z]+:", entry.url) else f"{self.address}/pictures/{entry.url}"

    def environment(self) -> dict[str, str]:
        """The environment in which a Python process finds this server in place of the internet."""
        redirect = str(Path(__file__).parent / "redirect")
        path = os.pathsep.join([redirect, *filter(None, [os.environ.get("PYTHONPATH")])])
        return {**os.environ, "PYTHONPATH": path, "EMOTION_TEST_BING": self.address}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let this process find this server in place of the internet."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(HTTPAdapter, "send", redirecting(HTTPAdapter.send, self.address))
            yield

    def __enter__(self) -> BingServer:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def record(self, request: Request) -> None:
        with self._lock:
            self._log.append(request)

    def count(self, what: str) -> int:
        """How many times this was asked for before."""
        with self._lock:
            self._counts[what] = self._counts.get(what, 0) + 1
            return self._counts[what] - 1

    def word(self, query: str) -> str | None:
        return next((word for word in self.catalogue if word in query.split()), None)

    def entry(self, path: str) -> Entry | None:
        """The result at a path as sent, which may be percent-encoded."""
        wanted = urllib.parse.unquote(path)
        everything = (entry for entries in list(self.catalogue.values()) for entry in entries)
        return next((e for e in everything if urllib.parse.unquote(_path(self.url(e))) == wanted), None)


def _path(url: str) -> str:
    if not url.lower().startswith("http") or "[" in url:
        return ""
    parts = urllib.parse.urlsplit(url)
    path = posixpath.normpath(parts.path)
    return f"{path}?{parts.query}" if parts.query else path


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is expected here."""
