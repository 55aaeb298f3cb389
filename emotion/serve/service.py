"""What all routes share: the model, the limits, the counters, and threads for the work."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import HTTPConnection

from emotion.base import devices
from emotion.base.errors import UserError
from emotion.config.commands import Detector, ServeLimits
from emotion.faces import priors
from emotion.inference.model import Model
from emotion.inference.session import Session, Settings
from emotion.serve.errors import RefusedError
from emotion.serve.metrics import Metrics

T = TypeVar("T")

#: Pieces of work that may wait for a thread before others are refused.
QUEUE = 16
#: The class prior that the server was started with.
AS_SERVED = "as served"
#: Addresses whose requests are counted; more than that are counted from anew.
MOST_ADDRESSES = 4096


@dataclass
class Rates:
    """How many requests each address may make: a bucket that holds ``burst`` and refills by ``rate`` a second."""

    rate: float
    burst: float
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait(self, address: str, now: float) -> float:
        """Take one; 0, or the seconds after which there will be one."""
        left, last = self._buckets.pop(address, (self.burst, now))
        left = min(self.burst, left + (now - last) * self.rate)
        is_free = left >= 1
        self._buckets[address] = (left - 1 if is_free else left, now)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return 0.0 if is_free else (1 - left) / self.rate


class Service:
    """The state of a server process.

    Args:
        model: Opened before, and served from memory whatever becomes of its files.
        limits: Of requests.
        metrics: Shared by all processes.
        settings: Of visitors' sessions, where they ask for nothing else.
    """

    def __init__(self, model: Model, limits: ServeLimits, metrics: Metrics, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self.model, self.settings, self.limits, self.metrics = model, settings, limits, metrics
        #: The class priors that a visitor may choose from, the first by default.
        self.priors = (AS_SERVED, *(priors.WORDS if model.contract.prior else ()))
        self.rates = Rates(limits.rate, 2 * limits.rate)
        self.detector = settings.detector or Detector()
        self._threads: CapacityLimiter | None = None
        self._cores = devices.cores()
        self._read = 0

    async def work(self, function: Callable[..., T], *values: Any, waits: bool = False) -> T:
        """Run a function in a thread, as many at once as there are cores.

        Args:
            function: Gets the values.
            values: For it.
            waits: Wait for a thread however long, as a visitor's next frame does; else refuse when many wait.

        Raises:
            RefusedError: Too many wait, or the function's own.
        """
        if self._threads is None:  # it belongs to the event loop that runs now
            self._threads = CapacityLimiter(self._cores)
        if not waits and self._threads.statistics().tasks_waiting >= QUEUE:
            raise _busy()
        self.metrics.add("emotion_waiting")
        try:
            return await to_thread.run_sync(function, *values, limiter=self._threads)
        except UserError as error:
            raise RefusedError(500, f"the model cannot answer: {without_paths(str(error))}") from None
        finally:
            self.metrics.add("emotion_waiting", -1)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A place to read a body in: bodies take memory, so that no more are read than can be worked on and wait.

        Raises:
            RefusedError: There is none.
        """
        if self._read >= self._cores + QUEUE:
            raise _busy()
        self._read += 1
        try:
            yield
        finally:
            self._read -= 1

    def admit(self, connection: HTTPConnection) -> None:
        """Count a request of an address.

        Raises:
            RefusedError: It makes too many.
        """
        wait = self.rates.wait(connection.client.host if connection.client else "", time.monotonic())
        if wait:
            later = {"Retry-After": str(math.ceil(wait))}
            raise RefusedError(429, f"more than {self.limits.rate:g} requests a second; try again later", None, later)

    def enter(self) -> bool:
        """Take a place for a visitor; False where there is none."""
        if self.metrics.total("emotion_sessions") >= self.limits.sessions:
            return False
        self.metrics.add("emotion_sessions")
        return True

    def leave(self) -> None:
        self.metrics.add("emotion_sessions", -1)

    def session(self, settings: Settings, prior: str | None = None) -> Session:
        """A session of its own for a visitor or a video, which answers for one of :attr:`priors`."""
        if prior in (None, AS_SERVED):
            return Session(self.model.classifier, settings)
        settings = replace(settings, estimates_prior=prior == priors.ESTIMATE)
        return Session(self.model.classifier.answering(prior), settings)


def _busy() -> RefusedError:
    words = "the server has as much work as it can queue; try again"
    return RefusedError(429, words, None, {"Retry-After": "1"})


def without_paths(text: str) -> str:
    """A message without the server's paths: each is cut to the last part."""
    return " ".join(word if "://" in word else _cut(word) for word in text.split(" "))


def _cut(word: str) -> str:
    at = word.find("/")
    return word if at < 0 or word.count("/") < 2 else word[:at] + word.rstrip("'\":,;.)").rpartition("/")[2]
