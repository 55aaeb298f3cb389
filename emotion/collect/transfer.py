"""One HTTP GET without redirects, in a thread that whoever waits for it may leave to its fate.

Every request goes through ``urllib.request.urlopen``, looked up when it is made.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

TIMED_OUT = "timed out"
#: Codes that may go away: time-outs, too many requests, and what servers and their proxies answer when overloaded.
_TRANSIENT_CODES = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECT_CODES = frozenset({301, 302, 303, 307, 308})
_CHUNK = 1 << 16


class FetchError(Exception):
    """Something could not be had; ``reason`` is one of the module's words."""

    def __init__(self, reason: str, transient: bool = False, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.transient = transient
        self.wait = wait
        self.late = reason == TIMED_OUT


@dataclass(frozen=True)
class Redirect:
    """Where the answer is."""

    location: str


class Transfer:
    """One request.

    Attributes:
        outcome: The body, a redirect, or why there is neither; once ``done`` is set.
        abandoned: To be set by who waits no longer.
    """

    def __init__(self, address: str, headers: Mapping[str, str], most_bytes: int) -> None:
        self._address = address
        self._headers = headers
        self._most_bytes = most_bytes
        self.done = threading.Event()
        self.abandoned = threading.Event()
        self.outcome: bytes | Redirect | BaseException = FetchError(TIMED_OUT, transient=True)

    def run(self, seconds: float) -> None:
        """Make the request; each wait for the network takes at most so many seconds, all together may take longer."""
        try:
            self.outcome = self._answer(seconds)
        except BaseException as error:
            self.outcome = _failure(error)
        finally:
            self.done.set()

    def _answer(self, seconds: float) -> bytes | Redirect:
        request = urllib.request.Request(self._address, headers=dict(self._headers))
        # urllib follows a redirect wherever it leads, to ftp: too. It raises instead once it has followed so many.
        followed = dict.fromkeys(range(urllib.request.HTTPRedirectHandler.max_redirections), 0)
        request.redirect_dict = followed  # type: ignore[attr-defined]
        try:
            response = urllib.request.urlopen(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            with error:
                location = error.headers.get("Location") if error.code in _REDIRECT_CODES else None
                if location is None:
                    raise _refusal(error) from None
                return Redirect(_as_utf8(location))
        with response:
            return self._body(response)

    def _body(self, response: Any) -> bytes:
        """Read a body; the lengths that the server states are not believed beyond what they promise to send."""
        declared = _declared_length(response)
        if declared is not None and declared > self._most_bytes:
            raise FetchError("too large")
        decoder = _decoder(response.headers.get("Content-Encoding"))
        body, received = bytearray(), 0
        while declared is None or received < declared:
            chunk = response.read1(_CHUNK if declared is None else min(_CHUNK, declared - received))
            if self.abandoned.is_set():
                raise FetchError(TIMED_OUT, transient=True)
            if not chunk:
                break
            received += len(chunk)
            body += chunk if decoder is None else decoder.decompress(chunk, self._most_bytes + 1 - len(body))
            if len(body) > self._most_bytes or received > self._most_bytes:
                raise FetchError("too large")
        if received < (declared or 0) or (decoder is not None and not decoder.eof and received):
            raise FetchError("truncated", transient=True)
        return bytes(body)


def _declared_length(response: Any) -> int | None:
    if response.headers.get("Transfer-Encoding", "identity").lower() != "identity":
        return None
    with suppress(TypeError, ValueError):
        length = int(response.headers.get("Content-Length"))
        return length if length >= 0 else None
    return None


def _decoder(encoding: str | None) -> Any:
    encoding = (encoding or "").strip().lower()
    if encoding in ("", "identity", "none"):
        return None
    if encoding in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(wbits=47)  # gzip or zlib, whichever it is
    raise FetchError("unknown encoding")


def _refusal(error: urllib.error.HTTPError) -> FetchError:
    wait = 0.0
    with suppress(TypeError, ValueError):  # it may be a date, too
        wait = float(max(0, int(error.headers.get("Retry-After", "0"))))
    return FetchError(f"HTTP {error.code}", transient=error.code in _TRANSIENT_CODES, wait=wait)


def _as_utf8(header: str) -> str:
    """Headers are read as Latin-1; most servers that send other than ASCII mean UTF-8."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def _failure(error: BaseException) -> BaseException:
    """What an error of urllib, http.client, ssl or the sockets means."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        inner = error.reason
        if isinstance(inner, TimeoutError | ssl.SSLCertVerificationError):
            return _failure(inner)
        return FetchError("no connection", transient=True)
    if isinstance(error, FetchError):
        return error
    if isinstance(error, TimeoutError):
        return FetchError(TIMED_OUT, transient=True)
    if isinstance(error, ssl.SSLCertVerificationError):
        return FetchError("bad certificate")
    if isinstance(error, urllib.error.URLError):
        return FetchError("no connection", transient=True)
    if isinstance(error, http.client.IncompleteRead):
        return FetchError("truncated", transient=True)
    if isinstance(error, OSError):  # among them the server's hanging up without an answer
        return FetchError("connection lost", transient=True)
    if isinstance(error, zlib.error):
        return FetchError("damaged encoding")
    if isinstance(error, http.client.HTTPException | ValueError):
        return FetchError("no HTTP answer")
    return error
