"""How image search is done, and the filters that Bing knows."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from emotion.collect.candidates import Candidate
from emotion.config.commands import LICENCES, Collect, ImageSearch

_LICENCES = (
    None,
    "licenseType-Any",
    "license-L1",
    "license-L2_L3_L4_L5_L6_L7",
    "license-L2_L3_L4",
    "license-L2_L3_L5_L6",
    "license-L2_L3",
)
#: ``search.licence`` -> Bing's name for it; ``any`` filters nothing.
_BING_LICENCES = dict(zip(LICENCES, _LICENCES, strict=True))


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
    """How one command searches. Make one and share it between its threads: its clock starts when it is made.

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

    @property
    def filters(self) -> str:
        """Bing's parameter ``qft``, written as the package writes it."""
        face, size = self.face and f"face-{self.face}", self.size and f"imagesize-{self.size}"
        return "".join(f"+filterui:{name}" for name in (face, _BING_LICENCES[self.licence], size) if name)
