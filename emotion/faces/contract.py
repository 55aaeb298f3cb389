"""The model's input and output specification, which is stored with every checkpoint and export.

Training, evaluation and live video prepare images by this specification and nothing else, so a model always gets the
input that it was trained on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from emotion.base import files, guarded
from emotion.base.errors import UserError
from emotion.faces.labels import EMOTIONS

COLOURS = ("gray", "rgb")
INTERPOLATIONS = ("area", "linear", "cubic")
#: Smallest and largest crop margin; see :attr:`Contract.crop_margin`.
CROP_MARGINS = (-0.4, 2.0)
#: Largest side of an input in pixels, smallest and largest temperature, most labels, longest name of one.
LARGEST_SIDE, TEMPERATURES, MOST_LABELS, LONGEST_LABEL = 4096, (1e-3, 1e3), 1000, 100


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
        prior: The share of each label in what training presented, which the network's own outputs hold for; None where
            it is not known. See :mod:`emotion.faces.priors`.
        target_prior: The shares that answers are given for; None leaves them as trained.
    """

    height: int
    width: int
    colour: str = "gray"
    crop_margin: float = 0.0
    interpolation: str = "area"
    labels: tuple[str, ...] = EMOTIONS
    temperature: float = 1.0
    prior: tuple[float, ...] | None = None
    target_prior: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.colour not in COLOURS:
            raise UserError(f"contract: colour is '{self.colour}', must be one of {', '.join(COLOURS)}")
        if self.interpolation not in INTERPOLATIONS:
            raise UserError(
                f"contract: interpolation is '{self.interpolation}', must be one of {', '.join(INTERPOLATIONS)}"
            )
        if min(self.height, self.width) < 8:
            raise UserError(f"contract: input is {self.height}x{self.width}, must be at least 8x8 pixels")
        if max(self.height, self.width) > LARGEST_SIDE:
            raise UserError(f"contract: height or width is above {LARGEST_SIDE} pixels: {self.height}x{self.width}")
        if not CROP_MARGINS[0] <= self.crop_margin <= CROP_MARGINS[1]:
            raise UserError(
                f"contract: crop_margin is {self.crop_margin}, must be from {CROP_MARGINS[0]} to {CROP_MARGINS[1]}"
            )
        texts = {label for label in self.labels if isinstance(label, str)}
        if len(texts) != len(self.labels) or len(texts) < 2:
            raise UserError(f"contract: labels must be two or more different names, not {list(self.labels)}")
        if len(texts) > MOST_LABELS or max(map(len, texts)) > LONGEST_LABEL or not all(t.isprintable() for t in texts):
            raise UserError(
                f"contract: labels must be at most {MOST_LABELS} names of at most {LONGEST_LABEL} printable characters"
            )
        if not TEMPERATURES[0] <= self.temperature <= TEMPERATURES[1]:
            raise UserError(
                f"contract: temperature is {self.temperature}, must be from {TEMPERATURES[0]} to {TEMPERATURES[1]:g}"
            )
        for key, shares in (("prior", self.prior), ("target_prior", self.target_prior)):
            if shares is not None and not _are_shares(shares, len(self.labels)):
                raise UserError(f"contract: {key} is {list(shares)}, must be a share of each label, which sum to 1")
        if self.target_prior is not None and self.prior is None:
            raise UserError("contract: target_prior is given without prior, the shares that the outputs hold for")

    @property
    def channels(self) -> int:
        return 1 if self.colour == "gray" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)`` of one input image."""
        return self.height, self.width, self.channels

    def uncalibrated(self) -> Contract:
        """The same contract for a network's own outputs: without calibration, and for the shares of training."""
        return replace(self, temperature=1.0, target_prior=None)

    def save(self, path: Path) -> None:
        files.write_json(path, {key: value for key, value in asdict(self).items() if value is not None})

    @classmethod
    def load(cls, path: Path) -> Contract:
        """Read ``contract.json``.

        Raises:
            UserError: The file is missing, is not JSON, or has other keys or values than a contract.
        """
        if not path.exists():
            raise UserError(f"{path}: no contract there; is this a run folder?")
        raw = guarded.read_json(path, "restore it from a backup or train again")
        known = {f.name for f in fields(cls)}
        if set(raw) - known or not {"height", "width"} <= set(raw):
            raise UserError(f"{path}: not a contract; expected the keys {', '.join(sorted(known))}")
        for key, value in raw.items():
            types, expected = _TYPES[key]
            is_finite = not isinstance(value, float) or math.isfinite(value)
            if not isinstance(value, types) or isinstance(value, bool) or not is_finite:
                raise UserError(
                    f"{path}: {key} is {json.dumps(value)[:100]}, must be {expected}; restore it from a backup or "
                    f"train again"
                )
        raw = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
        try:
            return cls(**raw)
        except UserError as error:
            raise UserError(f"{path}: {error}; restore it from a backup or train again") from None


def _are_shares(shares: tuple[Any, ...], count: int) -> bool:
    numbers = [s for s in shares if isinstance(s, int | float) and not isinstance(s, bool) and 0 <= s <= 1]
    return len(numbers) == len(shares) == count and sum_to_one(numbers)


def sum_to_one(shares: Sequence[float]) -> bool:
    """Whether shares sum to 1, but for each being rounded to two decimals: a third is 0.33."""
    return abs(sum(shares) - 1) <= 0.005 * len(shares) + 1e-9


# Types of the values in contract.json, for Python and in words; the class checks the values themselves.
_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "height": (int, "an integer"),
    "width": (int, "an integer"),
    "colour": (str, "text"),
    "crop_margin": ((int, float), "a finite number"),
    "interpolation": (str, "text"),
    "temperature": ((int, float), "a finite number"),
    "labels": (list, "a list of texts"),
    "prior": (list, "a list of shares, one a label"),
    "target_prior": (list, "a list of shares, one a label"),
}
