"""How classes are weighed against each other: drawn more often, weighted, or adjusted for in the loss."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion.data import weights
from emotion.data.examples import Splits
from emotion.train.objectives import LOSSES, logit_adjusted

log = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Balance:
    """What a trainer config means for one training split.

    Attributes:
        class_weights: float32 ``[C]``.
        rates: float64 ``[N]``, how often each image is drawn in an epoch; None is each once.
        loss: The loss of Keras: targets and probabilities, float32 ``[B, C]``, to float32 ``[B]``.
        prior: The ``C`` class shares that the trained network's outputs hold for.
    """

    class_weights: Array
    rates: Array | None
    loss: Callable[..., Any]
    prior: tuple[float, ...]

    @classmethod
    def of(cls, trainer: DictConfig, splits: Splits) -> Balance:
        train, names = splits.train, splits.labels
        class_weights = weights.class_weights(train.labels, trainer.class_weight, names)
        log.info("class weights (%s)\n%s", trainer.class_weight, weights.table(train.labels, class_weights, names))
        tau = float(trainer.get("logit_adjustment", 0.0))  # runs from before this key lack it
        return cls(
            class_weights,
            weights.rates(train, trainer, len(names)),
            logit_adjusted(weights.presented(train, trainer, names), tau) if tau else LOSSES[splits.loss],
            weights.prior(train, trainer, names),
        )
