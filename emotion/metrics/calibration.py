"""Confidence that means what it says: one temperature for all logits (Guo, Pleiss, Sun and Weinberger 2017).

It is fitted on the validation split, kept in the run's contract, and applied wherever probabilities are shown: in
evaluation and in live video. No answer changes, only how sure it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: What a fit may give: outside, the validation split is too small or too easy to say anything.
LOWEST, HIGHEST = 0.2, 5.0
#: Fewer pictures say too little: from 100 of them the temperature is known to about a tenth.
FEWEST = 100

# Below this a probability counts as this: a logit that was rounded to 0 says little about its own size.
_SMALLEST = 1e-12

Probabilities = np.ndarray[Any, np.dtype[np.float32]]


def apply(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Divide the logits by a temperature: above 1 answers become less sure, below 1 surer.

    Args:
        probabilities: float32 ``[N, C]``, rows that sum to 1; their logarithms are logits up to a constant.
        temperature: 1 changes nothing.

    Returns:
        float32 ``[N, C]``, rows that sum to 1.
    """
    if temperature == 1.0 or not len(probabilities):
        return probabilities
    return _softmax(np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST)) / temperature)


def fit_temperature(probabilities: Probabilities, labels: np.ndarray[Any, Any]) -> float:
    """The temperature with the least cross-entropy on held out pictures.

    Args:
        probabilities: float32 ``[N, C]`` of pictures that the weights were not fitted to.
        labels: int ``[N]``. Where several people voted, that of the majority: confidence is the chance to be right.

    Returns:
        Between :data:`LOWEST` and :data:`HIGHEST`; 1 where there are fewer than :data:`FEWEST` pictures.
    """
    from scipy.optimize import minimize_scalar

    if len(labels) < FEWEST:
        return 1.0
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), _SMALLEST))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        peak = scaled.max(axis=1)
        normaliser = peak + np.log(np.exp(scaled - peak[:, None]).sum(axis=1))
        return float(np.mean(normaliser - scaled[rows, labels]))

    # In the logarithm of the temperature the loss has one minimum, and twice is as far as half.
    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-4})
    return round(float(np.exp(found.x)), 4)


def _softmax(logits: np.ndarray[Any, Any]) -> Probabilities:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
