"""Plays the internet for a Python process: put this folder on PYTHONPATH and EMOTION_TEST_BING=http://127.0.0.1:PORT.

``https://www.bing.com/...`` and every host under ``.test`` are answered by that server; it itself can be reached, and
nothing else.
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError


def redirecting(send: Callable[..., Any], address: str) -> Callable[..., Any]:
    """``HTTPAdapter.send`` in a world whose only server is at ``address``; it sees the hosts that were asked for."""
    server = urllib.parse.urlsplit(address)

    def redirected(self: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        asked = urllib.parse.urlsplit(request.url or "")
        if asked.scheme not in ("http", "https"):
            raise AssertionError(f"{request.url} was opened")
        if asked.netloc == server.netloc:
            return send(self, request, *args, **options)
        name = asked.hostname or ""
        if name != "www.bing.com" and not name.endswith(".test"):
            cause = MaxRetryError(None, asked.path, OSError(f"{name}: no such host in tests"))
            raise requests.ConnectionError(cause) from cause
        local = request.copy()
        local.url = urllib.parse.urlunsplit((server.scheme, server.netloc, asked.path, asked.query, ""))
        local.headers["Host"] = asked.netloc
        return send(self, local, *args, **options)

    return redirected


if "EMOTION_TEST_BING" in os.environ:
    HTTPAdapter.send = redirecting(HTTPAdapter.send, os.environ["EMOTION_TEST_BING"])  # type: ignore[method-assign]
