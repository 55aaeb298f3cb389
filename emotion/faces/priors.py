"""Class priors: answers for a place where emotions occur with other shares than in a network's training.

A network's probabilities hold for the shares that its training presented (``prior`` of its contract). For other shares
each is multiplied by wanted / trained share and the row is normalised: logit adjustment after training (Menon et al.
2021, "Long-tail learning via logit adjustment"). It is Bayes' rule where an emotion's faces look alike in both places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from emotion.base.errors import UserError, did_you_mean
from emotion.faces.contract import Contract, sum_to_one

#: Words for ``prior=``; a mapping from emotion to share is the other way to say it.
TRAINING, BALANCED, ESTIMATE = "training", "balanced", "estimate"
WORDS = (TRAINING, BALANCED, ESTIMATE)

Probabilities = np.ndarray[Any, np.dtype[np.float32]]
Shares = tuple[float, ...]

# EM ends when no share moves by more than this, or after this many steps.
_SETTLED, _STEPS = 1e-6, 2000


def problems(setting: Any, labels: Sequence[str]) -> Iterator[str]:
    """Say what is wrong with a value of ``prior=``: None, a word, or a mapping from some of the labels to shares."""
    if setting is None:
        return
    if not isinstance(setting, Mapping):
        if setting not in WORDS:
            yield (
                f"prior: '{setting}' is neither one of {', '.join(WORDS)} nor shares of emotions, such as "
                f"prior='{{happy: 0.4, neutral: 0.6}}'.{did_you_mean(str(setting), WORDS)}"
            )
        return
    numbers = []
    for name, share in setting.items():
        if name not in labels:
            yield f"prior.{name}: no such emotion.{did_you_mean(str(name), labels)} There are: {', '.join(labels)}"
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
            yield f"prior.{name}: '{share}' must be a share from 0 to 1"
        else:
            numbers.append(share)
    if len(numbers) == len(setting) and not sum_to_one(numbers):
        yield (
            f"prior: the shares sum to {sum(numbers):g}, must sum to 1; an emotion that is left out counts as 0 and is "
            f"never answered"
        )


def shares(setting: Any, contract: Contract) -> Shares | None:
    """What ``prior=`` asks for, in the order of the contract's labels; None for the network's own answers.

    None asks for what the contract itself says, ``training`` for None, ``balanced`` for the same share of every class
    that training presented. ``estimate`` follows from answers, see :func:`estimate`; it begins with what None asks for.

    Raises:
        UserError: Not a value of ``prior=`` for these labels, shares for a class that training never presented, or a
            contract without a prior.
    """
    for problem in problems(setting, contract.labels):
        raise UserError(problem)
    if setting is None:
        return contract.target_prior
    if setting == TRAINING:
        return None
    trained = trained_prior(contract)
    if setting == ESTIMATE:
        return contract.target_prior
    known = np.array(trained) > 0
    if setting == BALANCED:
        wanted = known / known.sum()
    else:
        wanted = np.array([float(setting.get(name, 0)) for name in contract.labels])
        wanted = wanted / wanted.sum()
    for name in np.array(contract.labels)[(wanted > 0) & ~known]:
        raise UserError(f"prior.{name}: training presented no such faces, so the network cannot answer it; give it 0")
    return tuple(float(share) for share in wanted)


def trained_prior(contract: Contract) -> Shares:
    """The shares that a network's own answers hold for.

    Raises:
        UserError: The contract does not say.
    """
    if contract.prior is None:
        raise UserError(
            "prior: contract.json does not record the class shares of training, so answers cannot be moved to others. "
            'Take prior=training, or write the shares into it: "prior": [one share a label, in the labels\' order]'
        )
    return contract.prior


def with_target(contract: Contract, setting: Any) -> Contract:
    """The contract whose answers are for the prior that ``prior=`` asks for; raises what :func:`shares` does."""
    return replace(contract, target_prior=shares(setting, contract))


def adjust(probabilities: Probabilities, trained: ArrayLike, wanted: ArrayLike) -> Probabilities:
    """Move answers from the class shares of training to wanted ones.

    Args:
        probabilities: float32 ``[N, C]`` as the network gives them, before their temperature: it is fitted on what this
            returns, so it changes confidence and never the answer.
        trained: ``C`` shares that the probabilities hold for.
        wanted: ``C`` shares that the result holds for.

    Returns:
        float32 ``[N, C]``, rows sum to 1. A class that training did not present gets 0.
    """
    trained_shares, wanted_shares = np.asarray(trained, np.float64), np.asarray(wanted, np.float64)
    ratio = np.divide(wanted_shares, trained_shares, out=np.zeros_like(wanted_shares), where=trained_shares > 0)
    moved = np.maximum(probabilities.astype(np.float64), 1e-12) * ratio
    return np.asarray(moved / moved.sum(axis=1, keepdims=True), np.float32)


def estimate(
    probabilities: Probabilities,
    trained: Sequence[float],
    *,
    weights: np.ndarray[Any, Any] | None = None,
    believed: float = 0.0,
) -> Shares:
    """The class shares of unlabelled images, by expectation maximisation (Saerens, Latinne and Decaestecker 2002).

    It assumes that the faces of an emotion look alike here and in training, and only their shares differ. Images of
    another kind break that, so hold its result against labels where there are any.

    Args:
        probabilities: float32 ``[N, C]`` as for :func:`adjust`.
        trained: ``C`` shares that they hold for.
        weights: float ``[N]``, how much each image counts; default 1.
        believed: Images' worth of belief that the shares are those of training: 0 is the published method, more keeps
            few or alike images from making one class certain.

    Returns:
        ``C`` shares that sum to 1; those of training where there are no images.
    """
    start = np.asarray(trained, np.float64)
    counts = np.ones(len(probabilities)) if weights is None else np.asarray(weights, np.float64)
    if not counts.sum() > 0:
        return tuple(float(share) for share in start)
    current = start
    for _ in range(_STEPS):
        answered = adjust(probabilities, start, current).astype(np.float64)
        following = (counts @ answered + believed * start) / (counts.sum() + believed)
        settled = np.abs(following - current).max() < _SETTLED
        current = following
        if settled:
            break
    return tuple(float(share) for share in current / current.sum())
