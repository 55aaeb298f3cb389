"""The result for one face in one frame, which the classifier hands to annotators, sinks and callers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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

    def record(self, labels: Sequence[str]) -> dict[str, Any]:
        """What logs, the Python API and the server say of a face: ``track`` to ``raw``, ready for JSON.

        ``box`` is ``[x, y, width, height]`` in the source's pixels; ``top`` is the most probable label of this frame
        alone, whatever label is shown; probabilities are by label, to six digits.
        """
        raw = _by_label(labels, self.raw or self.probabilities)
        return {
            "track": self.track,
            "box": [self.box.x, self.box.y, self.box.width, self.box.height],
            "label": self.label,
            "confidence": round(self.confidence, 6),
            "top": max(raw, key=raw.__getitem__, default=None),
            "probabilities": _by_label(labels, self.probabilities),
            "raw": raw,
        }


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record as one row of a table: columns ``x, y, width, height`` for the box, one per label, ``raw_<label>``."""
    row: dict[str, Any] = {}
    for key, value in record.items():
        if value is None and key in ("box", "probabilities", "raw"):  # of an image without a face
            continue
        if key == "box":
            row |= zip(("x", "y", "width", "height"), value, strict=True)
        elif key in ("probabilities", "raw"):
            row |= {f"raw_{label}" if key == "raw" else label: p for label, p in value.items()}
        else:
            row[key] = value
    return row


def _by_label(labels: Sequence[str], probabilities: Sequence[float]) -> dict[str, float]:
    return {label: round(p, 6) for label, p in zip(labels, probabilities, strict=True)}
