"""Correction of p values where several hypotheses are tested at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from emotion.metrics.bootstrap import Floats


def holm(p: ArrayLike, family: int | None = None) -> Floats:
    """Holm's step-down adjustment (1979, Scandinavian Journal of Statistics 6), in the order given.

    Args:
        p: float ``[K]``, p values.
        family: How many hypotheses there are; default K. Those whose p values are not given are taken to be smaller
            than none of these, which can only make the adjusted values larger.

    Returns:
        float64 ``[K]``; rejecting those at most alpha makes a false rejection with probability at most alpha.
    """
    values = np.asarray(p, np.float64)
    family = len(values) if family is None else family
    if family < len(values):
        raise ValueError(f"family is {family}, but there are {len(values)} p values")
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, (family - np.arange(len(values))) * values[order]))
    return adjusted
