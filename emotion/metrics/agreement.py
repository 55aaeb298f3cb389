"""Agreement of a classifier with annotators who disagree: scores against the distribution of their votes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from emotion.metrics.bootstrap import RESAMPLES, Floats, with_intervals
from emotion.metrics.scores import EPSILON

METRICS = {
    "kl_divergence": "KL divergence from the votes (nats)",
    "top2_agreement": "Prediction is among the two labels with most votes",
    "human_agreement": "Share of annotators who chose the prediction",
}


def score(probabilities: ArrayLike, votes: ArrayLike, *, bootstrap: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Score probabilities against the votes of several annotators.

    - ``kl_divergence``: mean over the images of KL(votes || probabilities) in nats (Kullback and Leibler 1951).
    - ``top2_agreement``: share of images whose most probable label is one of the two with most votes; ties in votes
      count as both, labels without votes never.
    - ``human_agreement``: mean share of annotators who chose the most probable label, which is the probability that
      the model and one annotator agree.

    Args:
        probabilities, votes: float32 ``[N, C]``, rows that sum to 1.
        bootstrap, seed: As in :func:`emotion.metrics.scores.score`, which also says what is returned per metric.

    Raises:
        ValueError: Shapes that differ, no images, or rows of votes that do not sum to 1.
    """
    p, v = np.asarray(probabilities, np.float64), np.asarray(votes, np.float64)
    if p.shape != v.shape or p.ndim != 2 or not len(p):
        raise ValueError(
            f"probabilities are {list(p.shape)}, votes {list(v.shape)}: must be the same [N, C], N above 0"
        )
    if not np.allclose(v.sum(axis=1), 1, atol=1e-3):
        raise ValueError("votes: every row must sum to 1")
    ratio = np.maximum(v, EPSILON) / np.clip(p, EPSILON, 1.0)
    second = np.sort(v, axis=1)[:, -2]
    chosen = v[np.arange(len(v)), p.argmax(axis=1)]
    values = {
        "kl_divergence": np.sum(v * np.log(ratio), axis=1),
        "top2_agreement": ((chosen >= second) & (chosen > 0)).astype(np.float64),
        "human_agreement": chosen,
    }

    def statistics(drawn: Floats) -> dict[str, Floats]:
        return {metric: drawn @ value / len(p) for metric, value in values.items()}

    return with_intervals(statistics, len(p), bootstrap, seed)
