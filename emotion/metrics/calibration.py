"""Temperature scaling: confidence that matches accuracy (Guo, Pleiss, Sun and Weinberger 2017).

One temperature for all logits is fitted on the validation split, stored in the run's contract, and applied wherever
probabilities are shown. Predicted labels do not change, only their confidence: answers are moved to another class prior
before their temperature. (In the other order a temperature decides on labels too, and was right less often on faces of
another source, 53.6 % instead of 57.3 % of them for a network trained on FER+ votes.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emotion.faces import priors
from emotion.faces.contract import Contract

#: Limits of a fitted temperature: beyond them the validation split is too small or too easy for a fit.
LOWEST, HIGHEST = 0.2, 5.0
#: Fewest images for a fit; 100 determine the temperature to about a tenth.
FEWEST = 100

# Smallest probability in a logarithm: the logit of a probability that was rounded to 0 is unknown.
_SMALLEST = 1e-12

Probabilities = np.ndarray[Any, np.dtype[np.float32]]


def apply(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Divide the logits by a temperature: above 1 lowers confidence, below 1 raises it.

    Probabilities in and out are float32 ``[N, C]``, rows that sum to 1; their logarithms are logits up to a constant.
    """
    if temperature == 1.0 or not len(probabilities):
        return probabilities
    return _softmax(np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST)) / temperature)


def answers(raw: Probabilities, contract: Contract) -> Probabilities:
    """What a network's own probabilities say by its contract, float32 ``[N, C]``: for its target prior, calibrated."""
    if contract.target_prior is not None and len(raw):
        raw = priors.adjust(raw, priors.trained_prior(contract), contract.target_prior)
    return apply(raw, contract.temperature)


def own(answered: Probabilities, contract: Contract) -> Probabilities:
    """The network's own probabilities that :func:`answers` made these of, but for rounding."""
    raw = apply(answered, 1 / contract.temperature)
    if contract.target_prior is None:
        return raw
    return priors.adjust(raw, contract.target_prior, priors.trained_prior(contract))


def fit_temperature(probabilities: Probabilities, labels: np.ndarray[Any, Any]) -> float:
    """The temperature with the smallest cross-entropy on held-out images.

    Args:
        probabilities: float32 ``[N, C]`` of images that the model was not trained on.
        labels: int ``[N]``; the majority label where several annotators voted.

    Returns:
        Between :data:`LOWEST` and :data:`HIGHEST`; 1 where there are fewer than :data:`FEWEST` images.
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

    # The loss has one minimum in the logarithm of the temperature, in which twice is as far as half.
    fit = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-4})
    return round(float(np.exp(fit.x)), 4)


def _softmax(logits: np.ndarray[Any, Any]) -> Probabilities:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Probabilities = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities
