"""The result for one face in one frame, which the classifier hands to annotators, sinks and callers."""

from __future__ import annotations

from dataclasses import dataclass

from emotion.faces.images import Box

#: The label of a face whose highest probability is below ``min_confidence``.
UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Face:
    """A face in a frame with its prediction.

    Attributes:
        box: Position in the frame, in pixels.
        label: The label to show: one of the contract's, or :data:`UNCERTAIN`.
        confidence: The probability of ``label``; if that is uncertain, of the most probable label.
        probabilities: One per label of the contract, in its order; smoothed over the face's track.
        raw: The same, from this frame alone.
        track: The number of the face's track, the same in all frames; None in a single image.
    """

    box: Box
    label: str
    confidence: float
    probabilities: tuple[float, ...]
    raw: tuple[float, ...] = ()
    track: int | None = None
