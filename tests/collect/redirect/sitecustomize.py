"""Plays the internet for a Python process: put this folder on PYTHONPATH and EMOTION_TEST_BING=http://127.0.0.1:PORT.

``https://www.bing.com/...`` and every host under ``.test`` are answered by that server; it itself can be reached, and
nothing else.
"""

from __future__ import annotations

import copy
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any


def redirecting(urlopen: Callable[..., Any], address: str) -> Callable[..., Any]:
    """``urlopen`` in a world whose only server is at ``address``; that server sees the hosts that were asked for."""
    server = urllib.parse.urlsplit(address)

    def redirected(request: Any, *args: Any, **options: Any) -> Any:
        if isinstance(request, str):
            request = urllib.request.Request(request)
        asked = urllib.parse.urlsplit(request.full_url)
        if asked.scheme not in ("http", "https"):
            raise AssertionError(f"{request.full_url} was opened")
        if asked.netloc == server.netloc:
            return urlopen(request, *args, **options)
        name = asked.hostname or ""
        if name != "www.bing.com" and not name.endswith(".test"):
            raise urllib.error.URLError(OSError(f"{name}: no such host in tests"))
        local = copy.copy(request)
        local.full_url = urllib.parse.urlunsplit((server.scheme, server.netloc, asked.path, asked.query, ""))
        local.headers = {**request.headers, "Host": asked.netloc}
        return urlopen(local, *args, **options)

    return redirected


if "EMOTION_TEST_BING" in os.environ:
    urllib.request.urlopen = redirecting(urllib.request.urlopen, os.environ["EMOTION_TEST_BING"])
