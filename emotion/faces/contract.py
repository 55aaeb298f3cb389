"""The model's input and output specification, which is stored with every checkpoint and export.

Training, evaluation and live video prepare images by this specification and nothing else, so a model always gets the
input that it was trained on.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from emotion.base import files
from emotion.base.errors import UserError
from emotion.faces.labels import EMOTIONS

COLOURS = ("gray", "rgb")
INTERPOLATIONS = ("area", "linear", "cubic")
#: Smallest and largest crop margin; see :attr:`Contract.crop_margin`.
CROP_MARGINS = (-0.4, 2.0)


@dataclass(frozen=True)
class Contract:
    """The input and output of a model.

    Attributes:
        height: Input height in pixels.
        width: Input width in pixels.
        colour: ``gray`` (one channel) or ``rgb`` (three channels, in that order).
        crop_margin: Margin that is added to each side of a face box before cropping, as a fraction of the box's longer
            side. Negative values crop tighter than the box.
        interpolation: ``area``, ``linear`` or ``cubic``; see :func:`emotion.faces.images.resize`.
        labels: The classes of the outputs, in order.
        temperature: Divisor of the logits that calibrates confidence; see :mod:`emotion.metrics.calibration`.
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
        texts = {label for label in self.labels if isinstance(label, str)}
        if len(texts) != len(self.labels) or len(texts) < 2:
            raise UserError(f"contract: labels must be two or more different names, not {list(self.labels)}")
        if not self.temperature > 0:
            raise UserError(f"contract: temperature is {self.temperature}, must be above 0")

    @property
    def channels(self) -> int:
        return 1 if self.colour == "gray" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)`` of one input image."""
        return self.height, self.width, self.channels

    def uncalibrated(self) -> Contract:
        """The same contract without calibration, to compare the raw probabilities of two files of one model."""
        return replace(self, temperature=1.0)

    def save(self, path: Path) -> None:
        files.write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Contract:
        """Read ``contract.json``.

        Raises:
            UserError: The file is missing, is not JSON, or has other keys or values than a contract.
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
            types, expected = _TYPES[key]
            is_finite = not isinstance(value, float) or math.isfinite(value)
            if not isinstance(value, types) or isinstance(value, bool) or not is_finite:
                raise UserError(
                    f"{path}: {key} is {json.dumps(value)}, must be {expected}; restore it from a backup or train again"
                )
        if "labels" in raw:
            raw["labels"] = tuple(raw["labels"])
        try:
            return cls(**raw)
        except UserError as error:
            raise UserError(f"{path}: {error}; restore it from a backup or train again") from None


# Types of the values in contract.json, for Python and in words; the class checks the values themselves.
_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "height": (int, "an integer"),
    "width": (int, "an integer"),
    "colour": (str, "text"),
    "crop_margin": ((int, float), "a finite number"),
    "interpolation": (str, "text"),
    "temperature": ((int, float), "a finite number"),
    "labels": (list, "a list of texts"),
}
