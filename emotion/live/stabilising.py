"""Faces as they are drawn: without the detector's trembling, and without blinking where it misses a frame.

This is for the eye alone. What is logged is what was found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from emotion.faces.face import Face
from emotion.faces.images import Box

#: Seconds over which a box's place and size are averaged: two or three frames, so that it keeps up with its face.
SETTLING = 0.08
#: Seconds for which a face that is missing stays drawn where it was, unless told otherwise.
LINGERING = 0.2


@dataclass(frozen=True)
class _Drawn:
    face: Face
    edges: tuple[float, float, float, float]
    time: float


class BoxStabiliser:
    """Keeps what was drawn last of each track.

    Args:
        lingering: Seconds for which a face that is missing stays drawn.
    """

    def __init__(self, lingering: float = LINGERING) -> None:
        self._lingering = lingering
        self._drawn: dict[int, _Drawn] = {}

    def update(self, time: float, faces: Sequence[Face]) -> list[Face]:
        """The faces to draw in a frame.

        Args:
            time: The frame's, in seconds.
            faces: Those found in it.

        Returns:
            These with averaged boxes, in their order, then those that are missing for no longer than
            ``lingering``, as they were drawn last. A face without a track comes back as it is.
        """
        shown, now = [], dict[int, _Drawn]()
        for face in faces:
            if face.track is None:
                shown.append(face)
                continue
            edges = self._averaged(face, time)
            drawn = replace(face, box=Box(*(round(edge) for edge in edges)))
            now[face.track] = _Drawn(drawn, edges, time)
            shown.append(drawn)
        for track, drawn_before in self._drawn.items():
            if track not in now and 0 <= time - drawn_before.time <= self._lingering:
                now[track] = drawn_before
                shown.append(drawn_before.face)
        self._drawn = now
        return shown

    def reset(self) -> None:
        """Forget all, as after a cut."""
        self._drawn = {}

    def _averaged(self, face: Face, time: float) -> tuple[float, float, float, float]:
        box = face.box
        found = float(box.x), float(box.y), float(box.width), float(box.height)
        before = self._drawn.get(face.track or 0)
        if before is None:
            return found
        kept = math.exp(-max(0.0, time - before.time) / SETTLING)
        x, y, width, height = (kept * old + (1 - kept) * new for old, new in zip(before.edges, found, strict=True))
        return x, y, width, height
