"""What passes from a source to the rest: a frame, and the open source that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emotion.faces.images import Image


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        index: Position in the source, from 0. It skips what ``stride`` or damage left out.
        time: Seconds since the source's first frame: the video's own timestamps, the clock for live sources, the
            index for pictures.
        image: uint8 ``[H, W, 3]``, BGR. H and W may change from one frame to the next.
        name: The picture's file name, seen from the folder that was given; None where there is but one file.
    """

    index: int
    time: float
    image: Image
    name: str | None = None


@dataclass(frozen=True)
class Stream:
    """An open source.

    Attributes:
        name: What it is, for messages; without the password that an address may hold.
        kind: ``camera``, ``stream`` (a live address), ``video`` (a file, here or on a web server) or ``pictures``.
        rate: Frames a second, as the source says, or a usual value where it doesn't; 1 for pictures.
        frames: The frames; can be gone through once.
        total: How many frames there will be, for a progress line; None where nobody knows.
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
        """Whether frames come whether or not somebody takes them, so that the newest is the one to show."""
        return self.kind in ("camera", "stream")

    @property
    def independent(self) -> bool:
        """Whether each frame stands alone, so that nothing is tracked or smoothed from one to the next."""
        return self.kind == "pictures"
