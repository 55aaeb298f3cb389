"""HTTP GET from hosts that nobody vouches for: http(s) only, bounded in time and size, polite, with retries.

Why something could not be had is one of a few stable words: ``not http(s)``, ``bad address``, ``HTTP 404`` (and other
codes), ``timed out``, ``no connection``, ``bad certificate``, ``connection lost``, ``truncated``, ``too large``,
``too many redirects``, ``unknown encoding``, ``damaged encoding``, ``no HTTP answer``.
"""

from __future__ import annotations

import math
import random
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from emotion.collect.addresses import normalised
from emotion.collect.transfer import TIMED_OUT, FetchError, Redirect, Transfer

_MOST_REDIRECTS = 5
_MOST_RETRY_AFTER = 60.0  # s; who asks for a longer break is given up sooner by the retries running out
_POLL = 0.05  # s between looks at the clock and at stop()


class Stopped(BaseException):
    """Asked to stop, or out of time. Not an Exception, so that the downloader's own ``except`` lets it through."""


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


_PACE = Pace()


@dataclass(frozen=True)
class Limits:
    """Bounds on requests.

    Attributes:
        timeout: Seconds for one request in all: connecting, every redirect, the last byte.
        retries: How many times what may go away is tried again.
        back_off: Seconds before the first retry; doubled for each further one, times a random 0.5 to 1.5.
        min_interval: Seconds between the starts of two requests to one host.
        ends: Moment of ``time.monotonic()`` after which nothing is tried.
    """

    timeout: float
    retries: int
    back_off: float
    min_interval: float
    ends: float = math.inf


class Fetcher:
    """Gets addresses within limits, and lets go at once when told to stop."""

    def __init__(self, limits: Limits, stop: Callable[[], bool]) -> None:
        self._limits = limits
        self._stop = stop

    def get(self, url: str, headers: Mapping[str, str], most_bytes: int, *, patient: bool = True) -> bytes:
        """Get an address.

        Args:
            url: As a person or a page writes it; see :func:`emotion.collect.addresses.normalised`.
            headers: Of the request.
            most_bytes: Of the body, before and after decompression.
            patient: Whether a time-out is tried again; where there is enough else to get it takes too long.

        Returns:
            The body, decompressed where it came as gzip.

        Raises:
            FetchError: After the last try.
            Stopped: ``stop()`` said so, or the time is up.
        """
        address = _checked(url)
        for attempt in range(1 + self._limits.retries):
            try:
                return self._try(address, headers, most_bytes)
            except FetchError as failure:
                if not failure.transient or attempt == self._limits.retries or (failure.late and not patient):
                    raise
                back_off = self._limits.back_off * 2**attempt * random.uniform(0.5, 1.5)
                self._wait_until(time.monotonic() + max(back_off, min(failure.wait, _MOST_RETRY_AFTER)))
        raise AssertionError  # the last attempt returns or raises

    def _try(self, address: str, headers: Mapping[str, str], most_bytes: int) -> bytes:
        seconds = self._limits.timeout
        for _ in range(1 + _MOST_REDIRECTS):
            host = urllib.parse.urlsplit(address).hostname or ""
            self._wait_until(_PACE.reserve(host, self._limits.min_interval))
            began = time.monotonic()
            answer = self._in_time(Transfer(address, headers, most_bytes), seconds)
            if isinstance(answer, bytes):
                return answer
            address = _checked(urllib.parse.urljoin(address, answer.location))
            seconds -= time.monotonic() - began  # waiting politely does not count
        raise FetchError("too many redirects")

    def _in_time(self, request: Transfer, seconds: float) -> bytes | Redirect:
        """Run a request in a thread of its own, which is left to its fate when the time is up.

        A socket's time-out starts anew with every byte, and a server that sends its headers byte by byte is inside
        urllib for hours: no other way to be on time, or to stop at once while a server is silent.
        """
        worker = threading.Thread(target=request.run, args=(max(seconds, 0.001),), daemon=True, name="fetching")
        ends = time.monotonic() + seconds
        try:
            worker.start()
            while not request.done.wait(_POLL):
                self._look_up()
                if time.monotonic() >= ends:
                    raise FetchError(TIMED_OUT, transient=True)
        finally:
            request.abandoned.set()
        if isinstance(request.outcome, BaseException):
            raise request.outcome
        return request.outcome

    def _wait_until(self, moment: float) -> None:
        self._look_up()
        while (left := moment - time.monotonic()) > 0:
            time.sleep(min(left, _POLL))
            self._look_up()

    def _look_up(self) -> None:
        if self._stop() or time.monotonic() >= self._limits.ends:
            raise Stopped


def _checked(url: str) -> str:
    try:
        return normalised(url)
    except ValueError as error:
        raise FetchError(str(error)) from None
