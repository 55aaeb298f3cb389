"""Percentile bootstrap intervals (Efron and Tibshirani 1993, chapter 13) of several metrics at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Index entries drawn at a time. It bounds the memory: about 50 MB for FER2013's test or training split.
_CHUNK = 2**21


def with_intervals(
    statistics: Callable[[Integers], Mapping[str, Floats]],
    n: int,
    resamples: int,
    seed: int,
    centred: Collection[str] = (),
) -> dict[str, Any]:
    """Every metric with the ends of its 95 % interval.

    Args:
        statistics: From the rows of resamples, int64 ``[B, n]``, to every metric of each, ``[B]`` or ``[B, C]``; NaN
            where undefined.
        n: Number of examples.
        resamples: How many to draw; 0 gives no interval.
        seed: Random seed of the draws.
        centred: Metrics that resampling biases: their interval is shifted by that bias, and cut at 0.

    Returns:
        Per metric ``{"value", "low", "high"}``, or a list of C of these; None where undefined. Ready for strict JSON.
    """
    values = {metric: value[0] for metric, value in statistics(np.arange(n)[None]).items()}
    chunks = [statistics(rows) for rows in draw(n, resamples, seed)]
    entries = {}
    for metric, value in values.items():
        ends = np.full((2, *np.shape(value)), np.nan)
        if chunks:
            draws = np.concatenate([chunk[metric] for chunk in chunks])
            if metric in centred:
                draws = np.maximum(draws - draws.mean() + value, 0.0)
            with warnings.catch_warnings():  # NumPy warns of metrics that are undefined in every resample
                warnings.simplefilter("ignore", RuntimeWarning)
                ends = np.nanpercentile(draws, (2.5, 97.5), axis=0)
        entries[metric] = _entry(value, *ends)
    return entries


def _entry(value: Any, low: Any, high: Any) -> Any:
    if np.ndim(value):
        return [_entry(*numbers) for numbers in zip(value, low, high, strict=True)]
    numbers = {"value": value, "low": low, "high": high}
    return {key: float(number) if np.isfinite(number) else None for key, number in numbers.items()}


def draw(n: int, resamples: int, seed: int) -> Iterator[Integers]:
    """Draw the rows of resamples, int64 ``[B, n]``, in chunks of bounded size that do not change the draws."""
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // n)
    for start in range(0, resamples, step):
        yield rng.integers(0, n, size=(min(step, resamples - start), n), dtype=np.int64)
