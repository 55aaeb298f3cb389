"""A frame, and the open source that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from emotion.faces.images import Image


@dataclass(frozen=True)
class Frame:
    """One image of a source."""

    index: int  #: position in the source, from 0; it skips what ``stride`` or damage left out
    time: float  #: seconds since the first frame: a video's timestamps, a live source's clock, the index for images
    image: Image  #: uint8 BGR ``[H, W, 3]``; H and W may change from one frame to the next
    name: str | None = None  #: the image's path in the folder that is the source; None where there is only one file


@dataclass(frozen=True)
class Unreadable:
    """An image of a source that cannot be read."""

    index: int  #: as of :class:`Frame`
    name: str  #: likewise
    reason: str


@dataclass(frozen=True)
class Stream:
    """An open source."""

    name: str  #: for messages; without the password that an address may contain
    kind: str  #: ``camera``, ``stream`` (a live address), ``video`` (a file, here or on a web server) or ``pictures``
    rate: float  #: frames per second, as announced by the source, else a usual value; 1 for images
    frames: Iterator[Frame]  #: can be iterated once
    total: int | None = None  #: how many frames there will be, for a progress line; None where that is unknown
    limit: int | None = None  #: label no more frames than this; None labels all
    unreadable: list[Unreadable] = field(default_factory=list)  #: images that were skipped so far

    @property
    def live(self) -> bool:
        """Whether the source does not wait for its frames to be taken, so that the newest is the one to show."""
        return self.kind in ("camera", "stream")

    @property
    def independent(self) -> bool:
        """Whether each frame stands alone, so that nothing is tracked or smoothed from one to the next."""
        return self.kind == "pictures"
