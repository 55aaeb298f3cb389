"""What one face in one frame is: the record that passes from the classifier to annotators, sinks and callers."""

from __future__ import annotations

from dataclasses import dataclass

from emotion.faces.images import Box

#: The label of a face whose most probable label is not probable enough.
UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Face:
    """A face in a frame and what the model says of it.

    Attributes:
        box: Where it is, in the frame's pixels.
        label: The label that is shown: one of the contract's, or :data:`UNCERTAIN`.
        confidence: The probability of the label that is shown; where that is uncertain, of the most probable one.
        probabilities: One for each of the contract's labels, in its order; smoothed over the face's track.
        raw: The same, from this frame alone.
        track: The number that this face keeps from frame to frame; None in a picture that stands alone.
    """

    box: Box
    label: str
    confidence: float
    probabilities: tuple[float, ...]
    raw: tuple[float, ...] = ()
    track: int | None = None
