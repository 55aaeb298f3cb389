"""HTTP GET from untrusted hosts: http(s) only, bounded in time and size, one request per interval and host, retried.

Addresses are taken as pages write them, with spaces, umlauts and stray percent signs.

A failure is named by one of a few stable reasons: ``not http(s)``, ``bad address``, ``HTTP 404`` (and other codes),
``timed out``, ``no connection``, ``bad certificate``, ``connection lost``, ``truncated``, ``too large``,
``too many redirects``, ``unknown encoding``, ``damaged encoding``, ``private address``, ``no HTTP answer``.
"""

from __future__ import annotations

import http.client
import random
import re
import ssl
import threading
import time
import urllib.parse
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

import requests
import urllib3.exceptions
from urllib3.util import Retry, parse_url

from emotion.collect import addresses
from emotion.collect.candidates import Candidate
from emotion.config.commands import Collect, ImageSearch

_MAX_REDIRECTS = 5
_MAX_RETRY_AFTER = 60.0  # s; a host that asks for a longer pause is given up sooner
_POLL = 0.05  # s between checks of the clock and of stop()
_CHUNK = 1 << 16  # bytes
_TIMED_OUT = "timed out"
#: Codes that may go away: time-outs, too many requests, and what servers and their proxies answer when overloaded.
_TRANSIENT_CODES = frozenset({408, 425, 429, 500, 502, 503, 504})
_COMPRESSED = ("gzip", "x-gzip", "deflate")
_ENCODINGS = ("", "identity", "none", *_COMPRESSED)
#: The first that is among the causes of an error names it; whether a retry may help.
_REASONS: tuple[tuple[type[BaseException], str, bool], ...] = (
    (addresses.PrivateAddressError, "private address", False),
    (TimeoutError, _TIMED_OUT, True),
    (ssl.SSLCertVerificationError, "bad certificate", False),
    (urllib3.exceptions.MaxRetryError, "no connection", True),
    (http.client.IncompleteRead, "truncated", True),
    (zlib.error, "damaged encoding", False),
    (OSError, "connection lost", True),
)
_LABEL = "[a-z0-9_~-]{1,63}"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*\.?|\[[0-9a-f:.]+\]")


class FetchError(Exception):
    """A request failed; ``reason`` is one of the module's reasons, ``wait`` the seconds that the host asks for."""

    def __init__(self, reason: str, transient: bool = False, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.transient, self.wait = reason, transient, wait


class Stopped(BaseException):
    """Asked to stop, or out of time. Not an Exception, so that no ``except Exception`` on the way takes it for one."""


class Pace:
    """Keeps requests to one host apart, over all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: dict[str, float] = {}

    def reserve(self, host: str, interval: float) -> float:
        """The moment of ``time.monotonic()`` from which a request to this host may be made."""
        with self._lock:
            moment = max(time.monotonic(), self._free.get(host, 0.0))
            self._free[host] = moment + interval
            return moment


@dataclass
class Settings(ImageSearch):
    """The limits of one command's searches. Its threads share it; its clock starts when it is made.

    Attributes:
        max_pixels: Of an image, width times height.
        ends: When the command's time is up, by ``time.monotonic()``.
        claims: Address -> the candidate of the thread that downloads it, or has done so.
        pace: Keeps their requests to one host apart.
    """

    max_pixels: int = Collect.max_pixels
    ends: float = field(init=False, repr=False, compare=False)
    claims: dict[str, Candidate] = field(repr=False, compare=False, default_factory=dict)
    pace: Pace = field(repr=False, compare=False, default_factory=Pace)

    def __post_init__(self) -> None:
        self.ends = time.monotonic() + self.deadline

    @property
    def expired(self) -> bool:
        """Whether the whole command's time is up."""
        return time.monotonic() >= self.ends


class Fetcher:
    """Gets addresses within a search's limits, and stops at once when asked to."""

    def __init__(self, settings: Settings, stop: Callable[[], bool]) -> None:
        self._settings, self._stop = settings, stop

    def get(self, url: str, headers: Mapping[str, str], max_bytes: int, *, patient: bool = True) -> bytes:
        """Get an address's body, decompressed.

        Args:
            url, headers: Of the request; see :func:`normalised`.
            max_bytes: Of the body, before and after decompression.
            patient: Whether a time-out is tried again.

        Raises:
            FetchError: After the last try.
            Stopped: ``stop()`` is true, or the time is up.
        """
        address = _checked(url)
        for attempt in range(1 + self._settings.retries):
            try:
                return self._follow(address, headers, max_bytes)
            except FetchError as failure:
                late = failure.reason == _TIMED_OUT
                if not failure.transient or attempt == self._settings.retries or (late and not patient):
                    raise
                back_off = self._settings.back_off * 2**attempt * random.uniform(0.5, 1.5)
                self._wait_until(time.monotonic() + max(back_off, min(failure.wait, _MAX_RETRY_AFTER)))
        raise AssertionError  # the last attempt returns or raises

    def _follow(self, address: str, headers: Mapping[str, str], max_bytes: int) -> bytes:
        """One try, through all redirects: `requests` would follow them unpaced, whatever their scheme."""
        seconds: float = self._settings.timeout
        for _ in range(1 + _MAX_REDIRECTS):
            host = urllib.parse.urlsplit(address).hostname or ""
            self._wait_until(self._settings.pace.reserve(host, self._settings.min_interval))
            began = time.monotonic()
            answer = self._in_time(address, headers, max_bytes, seconds)
            if isinstance(answer, bytes):
                return answer
            address = _checked(urllib.parse.urljoin(address, answer))
            seconds -= time.monotonic() - began  # waiting politely does not count
        raise FetchError("too many redirects")

    def _in_time(self, address: str, headers: Mapping[str, str], max_bytes: int, seconds: float) -> bytes | str:
        """Make one request in a thread, which is abandoned when the time is up.

        A socket's time-out starts again with every byte, and no `stop` ends its wait.
        """
        answer: Future[bytes | str] = Future()
        abandoned = threading.Event()

        def work() -> None:
            try:
                private = self._settings.allow_private
                answer.set_result(_request(address, headers, max_bytes, max(seconds, 0.001), abandoned, private))
            except Exception as error:
                answer.set_exception(error)

        ends = time.monotonic() + seconds
        try:
            threading.Thread(target=work, daemon=True, name="fetching").start()
            while True:
                try:
                    return answer.result(_POLL)
                except TimeoutError:
                    self._check_stop()
                if time.monotonic() >= ends:
                    raise FetchError(_TIMED_OUT, transient=True)
        finally:
            abandoned.set()

    def _wait_until(self, moment: float) -> None:
        self._check_stop()
        while (left := moment - time.monotonic()) > 0:
            time.sleep(min(left, _POLL))
            self._check_stop()

    def _check_stop(self) -> None:
        if self._stop() or self._settings.expired:
            raise Stopped


def _request(
    address: str,
    headers: Mapping[str, str],
    max_bytes: int,
    seconds: float,
    abandoned: threading.Event,
    allow_private: bool = False,
) -> bytes | str:
    """The body, or where a redirect leads; each wait for the network takes at most so many seconds.

    Raises:
        FetchError: Anything else.
    """
    try:
        with requests.Session() as session:
            if not allow_private:
                addresses.public_only(session)
            session.auth = lambda request: request  # or the passwords of ~/.netrc are sent
            # or a redirect's body is read whole, whatever its size, to find the next request
            session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
            with session.get(
                address, headers=dict(headers), timeout=seconds, stream=True, allow_redirects=False
            ) as response:
                return _location(response) or _body(response, max_bytes, abandoned)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, zlib.error) as error:
        raise _failure(error) from None


def _location(response: requests.Response) -> str | None:
    """Where a redirect leads, as UTF-8 where it is that."""
    if not response.is_redirect:
        return None
    raw = response.headers["location"].encode("latin-1")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _body(response: requests.Response, max_bytes: int, abandoned: threading.Event) -> bytes:
    if response.status_code // 100 != 2:
        wait = 0.0
        with suppress(urllib3.exceptions.InvalidHeader):
            wait = Retry().get_retry_after(response.raw) or 0.0
        raise FetchError(f"HTTP {response.status_code}", response.status_code in _TRANSIENT_CODES, wait)
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise FetchError("unknown encoding")
    decoder = zlib.decompressobj(wbits=47) if encoding in _COMPRESSED else None  # gzip or zlib, whichever it is
    if (response.raw.length_remaining or 0) > max_bytes:
        raise FetchError("too large")
    body, received = bytearray(), 0
    while chunk := response.raw.read1(_CHUNK, decode_content=False):
        received += len(chunk)
        body += decoder.decompress(chunk, max_bytes + 1 - len(body)) if decoder else chunk
        if max(received, len(body)) > max_bytes:
            raise FetchError("too large")
        if abandoned.is_set():
            raise FetchError(_TIMED_OUT, transient=True)
    if decoder and received and not decoder.eof:
        raise FetchError("truncated", transient=True)
    return bytes(body)


def _failure(error: BaseException | None) -> FetchError:
    causes = []
    while error is not None:
        if not isinstance(error, requests.RequestException):  # each is an OSError too
            causes.append(error)
        error = error.__cause__ or error.__context__
    for kind, reason, transient in _REASONS:
        if any(isinstance(cause, kind) for cause in causes):
            return FetchError(reason, transient)
    return FetchError("no HTTP answer")


def normalised(url: str) -> str:
    """An http(s) address in ASCII as browsers request it (RFC 3986, section 6.2.2), without a fragment.

    Normalising twice changes nothing.

    Raises:
        ValueError: ``not http(s)``; or ``bad address``: no host, a user name and password, a port that is no number.
    """
    url = re.sub(r"[\t\r\n]", "", url.strip())
    if not re.match("https?:", url, re.IGNORECASE):
        raise ValueError("not http(s)")
    try:
        parts = parse_url(url)
    except urllib3.exceptions.LocationParseError:
        raise ValueError("bad address") from None
    if parts.auth is not None or not _HOST.fullmatch(parts.host or ""):
        raise ValueError("bad address")
    return parts._replace(path=parts.path or "/", query=parts.query or None, fragment=None).url


def _checked(url: str) -> str:
    try:
        return normalised(url)
    except ValueError as error:
        raise FetchError(str(error)) from None
