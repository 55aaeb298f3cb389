"""How image search is done, and the filters that Bing knows."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from emotion.collect.fetching import Limits, Pace
from emotion.config import values
from emotion.config.commands import Collect, ImageSearch

_LICENCES = (
    None,
    "licenseType-Any",
    "license-L1",
    "license-L2_L3_L4_L5_L6_L7",
    "license-L2_L3_L4",
    "license-L2_L3_L5_L6",
    "license-L2_L3",
)


class Claims:
    """The addresses that some thread of this command has downloaded, or is downloading."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[str] = set()

    def take(self, url: str) -> bool:
        """Claim an address; False where another thread has it."""
        with self._lock:
            new = url not in self._taken
            self._taken.add(url)
            return new

    def give_back(self, url: str) -> None:
        """Let other threads claim an address that was not downloaded."""
        with self._lock:
            self._taken.discard(url)


@dataclass
class Settings(ImageSearch):
    """How one command searches. Make one and share it between its threads: its clock starts when it is made.

    Attributes:
        max_pixels: Of an image, width times height.
        ends: When the command's time is up, in seconds of ``time.monotonic()``.
        claims: Shared by the command's searches.
        pace: Keeps their requests to one host apart.
    """

    max_pixels: int = Collect.max_pixels
    ends: float = field(init=False, repr=False, compare=False)
    claims: Claims = field(repr=False, compare=False, default_factory=Claims)
    pace: Pace = field(repr=False, compare=False, default_factory=Pace)

    def __post_init__(self) -> None:
        self.ends = time.monotonic() + self.deadline

    @property
    def expired(self) -> bool:
        """Whether the whole command's time is up."""
        return time.monotonic() >= self.ends

    @property
    def limits(self) -> Limits:
        """Bounds on each request."""
        return Limits(self.timeout, self.retries, self.back_off, self.min_interval, self.ends, self.pace)

    @property
    def filters(self) -> str:
        """Bing's parameter ``qft``, written as the package writes it."""
        licence = dict(zip(values.LICENCES, _LICENCES, strict=True))[self.licence]
        face, size = self.face and f"face-{self.face}", self.size and f"imagesize-{self.size}"
        return "".join(f"+filterui:{name}" for name in (face, licence, size) if name)
