"""Which images a run has seen in training or validation: ``trained_on.npy``, which travels with it.

The first 8 bytes of each pixel hash, sorted: 240 kB for 30,000 images, of which no image can be made. The chance that
any of 30,000 other images is taken for one of them is 5e-11.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emotion.base import files, guarded
from emotion.base.errors import UserError
from emotion.data.examples import Splits

FILE = "trained_on.npy"

Compact = np.ndarray[Any, np.dtype[np.uint64]]


def of(splits: Splits) -> Compact:
    """The images that a run of this data trains on and validates by."""
    return compact(np.concatenate([splits.train.hashes, splits.validation.hashes]))


def compact(hashes: np.ndarray[Any, Any]) -> Compact:
    """Pixel hashes, ``S16`` ``[N]``, as a sorted set: uint64 ``[M]``."""
    return np.unique(_short(hashes))


def among(hashes: np.ndarray[Any, Any], seen: Compact) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """bool ``[N]``, which of these pixel hashes are in a set."""
    return np.isin(_short(hashes), seen)


def union(*several: Compact) -> Compact:
    """What any of several runs has seen."""
    return np.unique(np.concatenate(several))


def save(folder: Path, images: Compact) -> None:
    """Write what a run has seen into its folder."""
    with files.replacing(folder / FILE) as temporary, temporary.open("wb") as file:
        np.save(file, images, allow_pickle=False)


def load(folder: Path) -> Compact | None:
    """What a run has seen; None where its folder does not say.

    Raises:
        UserError: The file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    stored = guarded.read_array(path, "restore it, or delete it to look at the data itself")
    if stored.dtype != np.uint64 or stored.ndim != 1:
        raise UserError(f"{path}: not a set of images; restore it, or delete it to look at the data itself")
    return np.asarray(stored)


def _short(hashes: np.ndarray[Any, Any]) -> Compact:
    pixels = np.ascontiguousarray(hashes, "S16").view(np.uint8).reshape(-1, 16)
    return np.ascontiguousarray(pixels[:, :8]).view(">u8").ravel().astype(np.uint64)
