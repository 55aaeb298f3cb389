"""How brightness, contrast, sharpness and size are spread over the images of each split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emotion.audit.pictures import Pictures
from emotion.data import framing
from emotion.data.examples import SPLITS
from emotion.data.measuring import Measured

_BINS = 32
_PERCENTILES = (5, 50, 95)


@dataclass(frozen=True)
class Distribution:
    """A measure's histogram in each split.

    Attributes:
        name: Key in ``audit.json``.
        title: For people, with the unit.
        edges: Of the bins, ``[B + 1]``.
        shares: Split -> share of its images in each bin, ``[B]``.
        percentiles: Split -> the 5th, 50th and 95th percentile; of a split without images there is none.
        logarithmic: Whether the edges grow by a factor.
    """

    name: str
    title: str
    edges: tuple[float, ...]
    shares: dict[str, tuple[float, ...]]
    percentiles: dict[str, tuple[float, ...]]
    logarithmic: bool = False


def of(pictures: Pictures, measured: Measured) -> tuple[Distribution, ...]:
    """All distributions; a measure that is the same for all images has a single bin."""
    records = measured.records
    shorter = np.minimum(records["width"], records["height"]).astype(np.float64)
    measures = (
        ("brightness", "Brightness (mean grey level)", records["brightness"], False),
        ("contrast", "Contrast (standard deviation of the grey levels)", records["contrast"], False),
        ("sharpness", "Sharpness (variance of the Laplacian at 96 pixels; low is blurred)", records["sharpness"], True),
        ("resolution", "Resolution (shorter side in pixels)", shorter, True),
        ("face", "Face (side of the cascade's box, share of the image's)", framing.shares(measured), False),
    )
    readable = measured.readable
    return tuple(
        _distribution(name, title, np.asarray(values, np.float64), readable & np.isfinite(values), log, pictures)
        for name, title, values, log in measures
        if (readable & np.isfinite(values)).any()
    )


def _distribution(
    name: str,
    title: str,
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
    known: np.ndarray[tuple[int], np.dtype[np.bool_]],
    logarithmic: bool,
    pictures: Pictures,
) -> Distribution:
    logarithmic = logarithmic and bool((values[known] > 0).any())
    if logarithmic:
        known = known & (values > 0)
    low, high = (float(v) for v in np.percentile(values[known], (0.1, 99.9)))
    if high <= low:
        edges = np.array([low - 0.5, low + 0.5])
        logarithmic = False
    else:
        edges = np.geomspace(low, high, _BINS + 1) if logarithmic else np.linspace(low, high, _BINS + 1)
    shares, percentiles = {}, {}
    for number, split in enumerate(SPLITS):
        inside = values[known & (pictures.split == number)]
        if not len(inside):
            continue
        counts, _ = np.histogram(np.clip(inside, edges[0], edges[-1]), edges)
        shares[split] = tuple(float(c) for c in counts / len(inside))
        percentiles[split] = tuple(float(v) for v in np.percentile(inside, _PERCENTILES))
    return Distribution(name, title, tuple(float(e) for e in edges), shares, percentiles, logarithmic)
