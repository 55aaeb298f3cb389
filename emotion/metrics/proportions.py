"""The interval of a rate, such as an accuracy or a recall: Wilson's, which a handful of images cannot make 0 wide.

Of 4 images of which none is right it says 0 to 49 %, where the bootstrap and the normal approximation say 0 to 0 %.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from emotion.metrics.bootstrap import Floats

#: Of a standard normal variable: 95 % of its values are nearer to 0.
Z = 1.959964


def wilson(successes: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """The 95 % score interval of a proportion (Wilson 1927, Journal of the American Statistical Association 22).

    Args:
        successes: float ``[...]``, how many of them.
        n: float ``[...]``, of how many; they are taken to be independent.

    Returns:
        Lower and upper end, float64 ``[...]``, from 0 to 1; NaN where n is 0.
    """
    count, of = np.asarray(successes, np.float64), np.asarray(n, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share, spread = count / of, Z**2 / of
        middle = (share + spread / 2) / (1 + spread)
        half = Z * np.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
        # Exactly 0 and 1 at the ends, whatever rounding says.
        low, high = np.where(count == 0, 0.0, middle - half), np.where(count == of, 1.0, middle + half)
    known = of > 0
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def wilson_f1(hits: ArrayLike, answers: ArrayLike, support: ArrayLike) -> tuple[Floats, Floats]:
    """The 95 % interval of one class's F1 by way of a rate (Lam, Gopal and Qian 2023, arXiv 2309.14621).

    F1 is 2 r / (1 + r), where r is the share of right answers among the images that are of the class or are taken for
    it: r has Wilson's interval, and its ends give those of F1.

    Args:
        hits, answers, support: float ``[...]``, right answers, all answers and images of a class.
    """
    h, a, s = (np.asarray(value, np.float64) for value in (hits, answers, support))
    low, high = wilson(h, a + s - h)
    return 2 * low / (1 + low), 2 * high / (1 + high)
