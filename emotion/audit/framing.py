"""How large the face is in a dataset's images, and the crop margin that makes live crops look like them.

Live video cuts a square of side ``box * (1 + 2 * margin)`` round the box of the same cascade. Where that box takes a
share ``r`` of an image's side, a crop of the same framing has ``1 / r = 1 + 2 * margin``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emotion.audit.measuring import Measured
from emotion.faces.contract import CROP_MARGINS

#: Fewer boxes than this say too little about a dataset.
LEAST_BOXES = 20
#: Overlapping windows that live video asks for.
NEIGHBORS = 5


@dataclass(frozen=True)
class Framing:
    """Where the Haar cascade's box is in the images.

    Attributes:
        pictures: How many images it rests on.
        of: How many images there are.
        share: Median of the box's side as a share of the image's.
        low: The 25th percentile.
        high: The 75th percentile.
        right: Median offset of the box's centre from the image's to the right, as a share of the image's width.
        down: The same, downwards, of its height.
        margin: The crop margin that follows, or None where there are too few boxes.
    """

    pictures: int
    of: int
    share: float | None
    low: float | None
    high: float | None
    right: float | None
    down: float | None
    margin: float | None

    def sentence(self) -> str:
        if self.margin is None or self.share is None or self.low is None or self.high is None:
            return (
                f"The face's box was measured in {self.pictures} of {self.of:,} images; that is too few to derive a "
                f"crop margin from (at least {LEAST_BOXES})."
            )
        return (
            f"The cascade's box takes {100 * self.share:.0f} % of an image's side (half of the images: "
            f"{100 * self.low:.0f} to {100 * self.high:.0f} %; measured in {self.pictures:,} of {self.of:,}), so live "
            f"crops look like these images with a margin of {self.margin:g}."
        )


def of(measured: Measured) -> Framing:
    """Derive the framing from the boxes that live video would take too."""
    records = measured.records
    share = shares(measured)
    clear = np.isfinite(share)
    count = int(clear.sum())
    if not count:
        return Framing(0, len(records), None, None, None, None, None, None)
    left, top, width, height = records["box"][clear].T.astype(np.float64)
    low, middle, high = (float(v) for v in np.percentile(share[clear], (25, 50, 75)))
    margin = None
    if count >= LEAST_BOXES:
        margin = round(float(np.clip(margin_of(middle), *CROP_MARGINS)), 3)
    return Framing(
        pictures=count,
        of=len(records),
        share=middle,
        low=low,
        high=high,
        right=float(np.median(left + width / 2 - 0.5)),
        down=float(np.median(top + height / 2 - 0.5)),
        margin=margin,
    )


def shares(measured: Measured) -> np.ndarray[Any, np.dtype[np.float64]]:
    """float64 ``[N]``: the box's side as a share of the image's; NaN without a box that live video would take.

    Of an image that is not square, the side is the square root of width times height: training stretches it to one.
    """
    records = measured.records
    share = np.sqrt(records["box"][:, 2].astype(np.float64) * records["box"][:, 3])
    return np.where(records["neighbors"] >= NEIGHBORS, share, np.nan)


def margin_of(share: float) -> float:
    """The crop margin at which a box takes this share of the crop's side."""
    return (1 / share - 1) / 2
