"""Percentile bootstrap intervals (Efron and Tibshirani 1993, chapter 13) of several metrics at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Index entries drawn at a time. It bounds the memory: about 50 MB for FER2013's test or training split.
_CHUNK = 2**21


def intervals(
    statistics: Callable[[Integers], Mapping[str, Floats]],
    values: Mapping[str, Any],
    n: int,
    resamples: int,
    seed: int,
    centred: Collection[str] = (),
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Lower and upper end of every metric's 95 % interval; NaN where there is none.

    Args:
        statistics: From the rows of resamples, int64 ``[B, n]``, to every metric of each: ``[B, ...]``, NaN where
            undefined.
        values: Every metric of the examples as they are, ``[...]``.
        n: Number of examples.
        resamples: How many to draw; 0 gives no interval.
        seed: Draws them.
        centred: Metrics that resampling biases: their interval is shifted by that bias, and cut at 0.
    """
    if not resamples:
        empty = {metric: np.full(np.shape(value), np.nan) for metric, value in values.items()}
        return empty, empty
    chunks = [statistics(rows) for rows in draw(n, resamples, seed)]
    lows, highs = {}, {}
    for metric in values:
        draws = np.concatenate([chunk[metric] for chunk in chunks])
        if metric in centred:
            draws = np.maximum(draws - draws.mean() + values[metric], 0.0)
        lows[metric], highs[metric] = _percentiles(draws)
    return lows, highs


def draw(n: int, resamples: int, seed: int) -> Iterator[Integers]:
    """Rows to draw, int64 ``[B, n]`` in chunks of bounded size; the draws do not depend on the chunks."""
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // n)
    for start in range(0, resamples, step):
        yield rng.integers(0, n, size=(min(step, resamples - start), n), dtype=np.int64)


def _percentiles(draws: Floats) -> Floats:
    """2.5th and 97.5th percentile along the first axis, ``[2, ...]``, over the resamples that define the metric."""
    columns = draws.reshape(len(draws), -1)
    ends = np.full((2, columns.shape[1]), np.nan)
    for i, column in enumerate(columns.T):
        defined = column[~np.isnan(column)]
        if len(defined):
            ends[:, i] = np.percentile(defined, (2.5, 97.5))
    return ends.reshape(2, *draws.shape[1:])
