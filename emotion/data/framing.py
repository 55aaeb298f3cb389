"""How large the face is in a dataset's images, and the crop margin that makes live crops look like them.

Live video cuts a square of side ``box * (1 + 2 * margin)`` round the box of the same cascade. Where that box takes a
share ``r`` of an image's side, a crop of the same framing has ``1 / r = 1 + 2 * margin``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion.base import files
from emotion.base.errors import UserError
from emotion.base.progress import working
from emotion.config import parts, typed
from emotion.data import folder, measuring
from emotion.data.examples import Examples, Splits
from emotion.data.measuring import Measured
from emotion.faces.contract import CROP_MARGINS

#: Fewer boxes than this say too little about a dataset.
LEAST_BOXES = 20
#: Images whose face takes less of their side, at the median, are photos: a crop with half a box as margin has as much.
PHOTO = 0.5
#: Share of the images looked at that must show a face to say so, and how many training looks at.
_SHOWING, _SAMPLE = 0.2, 60
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


def are_photos(found: Framing) -> bool:
    """Whether images are photos in which the face is small, and not face crops."""
    return found.share is not None and found.share < PHOTO and found.pictures >= _SHOWING * found.of


def photos(found: Framing, root: Path) -> tuple[str, str]:
    """What to say of a folder of photos: how large their faces are, and the commands that cut these out."""
    here, splits = Path(files.from_here(root)), folder.split_folders(root.absolute()).values()
    commands = "; ".join(
        f"python -m emotion.collect source=folder {typed.as_typed('path', here / split)} "
        f"{typed.as_typed('root', _beside(root) / split)} faces=largest"
        for split in [path.name for path in splits] or [""]
    )
    return (
        f"the images in '{here}' are photos, not face crops: the face takes {100 * (found.share or 0):.0f} % of an "
        f"image's side (median of {found.pictures} of {found.of} images)",
        f"Cut the faces out: {commands}",
    )


@working("looking at how large the faces are")
def check(cfg: DictConfig, splits: Splits) -> None:
    """Refuse to train on photos that are not face crops, unless ``dataset.faces=whole`` asks for it.

    Raises:
        UserError: Images of a folder are photos; says how to cut the faces out.
    """
    for node, examples in _folders(cfg, splits):
        if node.get("faces") == "whole" or not node.root or not len(examples):
            continue
        rows = np.unique(np.linspace(0, len(examples) - 1, min(_SAMPLE, len(examples))).round().astype(np.int64))
        found = of(measuring.measure(examples.take(rows), Path(node.cache_dir).expanduser(), f"train {node.root}"))
        if are_photos(found):
            path = Path(node.root).expanduser()
            what, cut = photos(found, path)
            raise UserError(
                f"dataset.faces: {what}\n{cut}\nThen train with {typed.as_typed('dataset.root', _beside(path))}, or "
                f"on whole photos all the same with dataset.faces=whole"
            )


def _beside(root: Path) -> Path:
    """Where the faces of a folder of photos go."""
    whole = root.absolute()
    return Path(files.from_here(whole.with_name(f"{whole.name}-faces")))


def _folders(cfg: DictConfig, splits: Splits) -> Iterator[tuple[DictConfig, Examples]]:
    """The folders of images in a dataset, each with what is trained on of it."""
    if cfg.name == "folder":
        yield cfg, splits.train
    elif cfg.name == "mixed" and splits.train.part_labels is not None:
        for column, node in zip(splits.train.part_labels.T, parts.nodes(cfg).values(), strict=True):
            if node.name == "folder":
                yield node, splits.train.take(np.flatnonzero(column >= 0))
