"""What is minimised, cross-entropy or its form for targets that name several right labels, and macro-F1 for Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def any_target(targets: Any, probabilities: Any) -> Any:
    """The smallest cross-entropy to any of the labels that a target names: ``-log max_k t_k p_k``.

    The multi-label loss of FER+ (Barsoum et al. 2016): an image that people call both sad and neutral asks for one of
    the two, not for a mixture.
    Both arguments are float32 ``[B, C]``, targets 1 for each label that counts as right; the result is ``[B]``.
    """
    epsilon = keras.config.epsilon()
    best = keras.ops.max(targets * keras.ops.clip(probabilities, epsilon, 1.0), axis=-1)
    return -keras.ops.log(keras.ops.maximum(best, epsilon))


def logit_adjusted(shares: Any, tau: float) -> Callable[[Any, Any], Any]:
    """Cross-entropy of the answers times ``shares ** tau``, normalised.

    From Menon et al. 2021, "Long-tail learning via logit adjustment": there as logits plus ``tau * log(share)``.

    With tau 1 the network's own answers hold for classes that occur equally often.

    Args:
        shares: float ``[C]``, from :func:`emotion.data.weights.presented`; classes without examples have 0.
        tau: Strength.
    """
    factors = np.maximum(np.asarray(shares, np.float64), 1e-6) ** tau
    factors = (factors / factors.max()).astype(np.float32)

    def loss(targets: Any, probabilities: Any) -> Any:
        adjusted = keras.ops.cast(probabilities, "float32") * factors
        adjusted = adjusted / keras.ops.maximum(keras.ops.sum(adjusted, axis=-1, keepdims=True), 1e-30)
        return keras.losses.categorical_crossentropy(targets, adjusted)

    return loss


#: By :attr:`emotion.data.examples.Splits.loss`.
LOSSES: dict[str, Any] = {"cross_entropy": keras.losses.categorical_crossentropy, "any_target": any_target}


class MacroF1(keras.metrics.F1Score):
    """The mean F1 of the classes that occur, as in :mod:`emotion.metrics`; Keras's own counts absent classes as 0."""

    def __init__(self, classes: int, name: str = "macro_f1", **options: Any) -> None:
        super().__init__(average=None, name=name, **options)
        # Keras would make the variables in the first step, and TensorFlow then trace that step a second time.
        self._build((None, classes), (None, classes))

    def result(self) -> Any:
        occurs = keras.ops.cast(self.true_positives + self.false_negatives > 0, "float32")
        return keras.ops.sum(super().result() * occurs) / keras.ops.maximum(keras.ops.sum(occurs), 1.0)
