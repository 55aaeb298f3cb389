"""How image search is done, and the filters that Bing knows."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from emotion.config import commands
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
#: Licence filter -> what Bing calls it. ``any`` filters nothing.
LICENCES = dict(zip(commands.LICENCES, _LICENCES, strict=True))
#: Face filter: pictures of faces, or of head and shoulders.
FACES = {name: f"face-{name}" for name in commands.FACES}
#: Size filter, by Bing's own classes.
SIZES = {name: f"imagesize-{name}" for name in commands.SIZES}


class Claims:
    """Which addresses some thread of this command has, or is getting."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[str] = set()

    def take(self, url: str) -> bool:
        """Claim an address; False where another has it."""
        with self._lock:
            new = url not in self._taken
            self._taken.add(url)
            return new

    def give_back(self, url: str) -> None:
        """Let others have it: it was not had."""
        with self._lock:
            self._taken.discard(url)


@dataclass(frozen=True)
class Settings:
    """How one command searches. Make one and share it between its threads: its clock runs from its making.

    Attributes:
        adult_filter: Ask Bing for its strict filter.
        face: A key of :data:`FACES`, or None.
        licence: A key of :data:`LICENCES`.
        size: A key of :data:`SIZES`, or None.
        timeout: Seconds for one request, from connecting to the last byte.
        deadline: Seconds for the whole command.
        retries: How many times a request is tried again that failed for what may go away.
        back_off: Seconds before the first retry, doubled for each further one, times a random 0.5 to 1.5.
        min_interval: Seconds between the starts of two requests to one host, over all threads.
        max_bytes: Of a picture file.
        max_pixels: Of a picture, width times height.
        ends: When the time is up, in seconds of ``time.monotonic()``.
        claims: What this command's searches share.
    """

    adult_filter: bool = ImageSearch.adult_filter
    face: str | None = ImageSearch.face
    licence: str = ImageSearch.licence
    size: str | None = ImageSearch.size
    timeout: int = ImageSearch.timeout
    deadline: float = ImageSearch.deadline
    retries: int = ImageSearch.retries
    back_off: float = ImageSearch.back_off
    min_interval: float = ImageSearch.min_interval
    max_bytes: int = ImageSearch.max_bytes
    max_pixels: int = Collect.max_pixels
    ends: float = field(init=False, repr=False, compare=False)
    claims: Claims = field(init=False, repr=False, compare=False, default_factory=Claims)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ends", time.monotonic() + self.deadline)

    @property
    def expired(self) -> bool:
        """Whether the whole command's time is up."""
        return time.monotonic() >= self.ends

    @property
    def filters(self) -> str:
        """Bing's parameter ``qft``, written as the package writes it."""
        chosen = (FACES.get(self.face or ""), LICENCES[self.licence], SIZES.get(self.size or ""))
        return "".join(f"+filterui:{name}" for name in chosen if name)
