"""How far a classifier agrees with people who do not agree with each other: against the whole distribution of votes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from emotion.metrics.bootstrap import Floats, Integers, intervals

# As in emotion.metrics: float32's epsilon, so that one confident mistake cannot make the mean infinite.
_EPSILON = float(np.finfo(np.float32).eps)

METRICS = {
    "kl_divergence": "KL divergence from the votes (nats)",
    "top2_agreement": "Answer is among people's two first",
    "human_agreement": "Share of people who give the answer",
}


def score(probabilities: ArrayLike, votes: ArrayLike, *, bootstrap: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Score probabilities against the votes of several people.

    - ``kl_divergence``: mean over the pictures of KL(votes || probabilities) in nats; 0 is a model that says of each
      picture just what people say.
    - ``top2_agreement``: share of the pictures whose most probable label is one of the two that most people chose;
      labels with equally many votes count alike, labels without a vote never.
    - ``human_agreement``: mean share of the people who chose the most probable label: the chance that the model and
      one person say the same.

    Args:
        probabilities: float32 ``[N, C]``, rows that sum to 1.
        votes: float32 ``[N, C]``, shares of the votes, rows that sum to 1.
        bootstrap: Resamples of the 95 % intervals; 0 draws none.
        seed: Draws them.

    Returns:
        Each of these as ``{"value", "low", "high"}``, ready for strict JSON.

    Raises:
        ValueError: Shapes that differ, no pictures, or rows of votes that do not sum to 1.
    """
    p, v = np.asarray(probabilities, np.float64), np.asarray(votes, np.float64)
    if p.shape != v.shape or p.ndim != 2 or not len(p):
        raise ValueError(
            f"probabilities are {list(p.shape)}, votes {list(v.shape)}: must be the same [N, C], N above 0"
        )
    if not np.allclose(v.sum(axis=1), 1, atol=1e-3):
        raise ValueError("votes: every row must sum to 1")
    values = _of_each(p, v)
    means = {metric: each.mean() for metric, each in values.items()}

    def resampled(rows: Integers) -> dict[str, Floats]:
        return {metric: each[rows].mean(axis=1) for metric, each in values.items()}

    lows, highs = intervals(resampled, means, len(p), bootstrap, seed)
    return {
        metric: {
            key: float(number) if np.isfinite(number) else None
            for key, number in (("value", means[metric]), ("low", lows[metric]), ("high", highs[metric]))
        }
        for metric in METRICS
    }


def _of_each(p: Floats, v: Floats) -> dict[str, Floats]:
    ratio = np.maximum(v, _EPSILON) / np.clip(p, _EPSILON, 1.0)
    second = np.sort(v, axis=1)[:, -2]
    answer = p.argmax(axis=1)
    chosen = v[np.arange(len(v)), answer]
    return {
        "kl_divergence": np.sum(v * np.log(ratio), axis=1),
        "top2_agreement": ((chosen >= second) & (chosen > 0)).astype(np.float64),
        "human_agreement": chosen,
    }
