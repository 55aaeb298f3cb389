"""A frame, and the open source that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emotion.faces.images import Image


@dataclass(frozen=True)
class Frame:
    """One image of a source.

    Attributes:
        index: Position in the source, from 0. It skips what ``stride`` or damage left out.
        time: Seconds since the source's first frame: the video's own timestamps, the clock for live sources, the
            index for images.
        image: uint8 ``[H, W, 3]``, BGR. H and W may change from one frame to the next.
        name: The image's file name, relative to the folder that was given; None where there is only one file.
    """

    index: int
    time: float
    image: Image
    name: str | None = None


@dataclass(frozen=True)
class Stream:
    """An open source.

    Attributes:
        name: For messages; without the password that an address may contain.
        kind: ``camera``, ``stream`` (a live address), ``video`` (a file, here or on a web server) or ``pictures``.
        rate: Frames per second, as announced by the source, else a usual value; 1 for images.
        frames: The frames; can be iterated once.
        total: How many frames there will be, for a progress line; None where that is unknown.
        limit: Label no more frames than this; None labels all.
    """

    name: str
    kind: str
    rate: float
    frames: Iterator[Frame]
    total: int | None = None
    limit: int | None = None

    @property
    def live(self) -> bool:
        """Whether the source does not wait for its frames to be taken, so that the newest is the one to show."""
        return self.kind in ("camera", "stream")

    @property
    def independent(self) -> bool:
        """Whether each frame stands alone, so that nothing is tracked or smoothed from one to the next."""
        return self.kind == "pictures"
