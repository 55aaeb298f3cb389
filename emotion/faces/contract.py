"""What a model eats and says: the record that travels with every checkpoint and export.

Training, evaluation and live video all prepare pictures by this record and nothing else, so a model cannot be fed
differently from how it was trained.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from emotion.base import files
from emotion.base.errors import UserError
from emotion.faces.labels import EMOTIONS

COLOURS = ("gray", "rgb")
INTERPOLATIONS = ("area", "linear", "cubic")
#: Crop margins that leave something of a face, and not all of the picture.
CROP_MARGINS = (-0.4, 2.0)


@dataclass(frozen=True)
class Contract:
    """The input and output of a model.

    Attributes:
        height: Input height in pixels.
        width: Input width in pixels.
        colour: ``gray`` (one channel) or ``rgb`` (three channels, in that order).
        crop_margin: How much of a detector's box is added on each side before the face is cut out, as a fraction of
            the box's longer side. Negative values cut tighter than the box.
        interpolation: ``area``, ``linear`` or ``cubic``; see :func:`emotion.faces.resize`.
        labels: What the model's outputs mean, in order.
        temperature: What its logits are divided by, so that its confidence means what it says; see
            :mod:`emotion.metrics.calibration`.
    """

    height: int
    width: int
    colour: str = "gray"
    crop_margin: float = 0.0
    interpolation: str = "area"
    labels: tuple[str, ...] = EMOTIONS
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.colour not in COLOURS:
            raise UserError(f"contract: colour is '{self.colour}', must be one of {', '.join(COLOURS)}")
        if self.interpolation not in INTERPOLATIONS:
            raise UserError(
                f"contract: interpolation is '{self.interpolation}', must be one of {', '.join(INTERPOLATIONS)}"
            )
        if min(self.height, self.width) < 8:
            raise UserError(f"contract: input is {self.height}x{self.width}, must be at least 8x8 pixels")
        if len(set(self.labels)) != len(self.labels) or len(self.labels) < 2:
            raise UserError(f"contract: labels must be two or more different names, not {list(self.labels)}")
        if not self.temperature > 0:
            raise UserError(f"contract: temperature is {self.temperature}, must be above 0")

    @property
    def channels(self) -> int:
        return 1 if self.colour == "gray" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)`` of one input picture."""
        return self.height, self.width, self.channels

    def uncalibrated(self) -> Contract:
        """The same for the model's own probabilities, as two files of one model are compared by."""
        return replace(self, temperature=1.0)

    def save(self, path: Path) -> None:
        files.write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Contract:
        """Read ``contract.json``.

        Raises:
            UserError: The file is missing, is not JSON, or holds other keys or values than a contract's.
        """
        try:
            raw: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            raise UserError(f"{path}: no contract there; is this a run folder?") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not valid JSON ({error}); restore it from a backup or train again") from None
        known = {f.name for f in fields(cls)}
        if not isinstance(raw, dict) or set(raw) - known or not {"height", "width"} <= set(raw):
            raise UserError(f"{path}: not a contract; expected the keys {', '.join(sorted(known))}")
        for key, value in raw.items():
            expected, fits = _TYPES[key]
            if not fits(value):
                raise UserError(
                    f"{path}: {key} is {json.dumps(value)}, must be {expected}; restore it from a backup or train again"
                )
        if "labels" in raw:
            raw["labels"] = tuple(raw["labels"])
        try:
            return cls(**raw)
        except UserError as error:
            raise UserError(f"{path}: {error}; restore it from a backup or train again") from None


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(value: Any) -> bool:
    return _integer(value) or (isinstance(value, float) and math.isfinite(value))


def _text(value: Any) -> bool:
    return isinstance(value, str)


# What each key of contract.json holds, in words and as a test; the values themselves are checked by the class.
_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "height": ("an integer", _integer),
    "width": ("an integer", _integer),
    "colour": ("text", _text),
    "crop_margin": ("a finite number", _finite),
    "interpolation": ("text", _text),
    "temperature": ("a finite number", _finite),
    "labels": ("a list of texts", lambda v: isinstance(v, list) and all(map(_text, v))),
}
