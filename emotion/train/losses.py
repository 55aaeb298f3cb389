"""What is minimised: cross-entropy, or its form for targets that name several right labels."""

from __future__ import annotations

from typing import Any

import keras


def any_target(targets: Any, probabilities: Any) -> Any:
    """The smallest cross-entropy to any of the labels that a target names: ``-log max_k t_k p_k``.

    The multi-label loss of FER+ (Barsoum et al. 2016): an image that people call both sad and neutral asks for one of
    the two, not for a mixture.

    Args:
        targets: float32 ``[B, C]``, 1 for each label that counts as right.
        probabilities: float32 ``[B, C]``.

    Returns:
        float32 ``[B]``.
    """
    epsilon = keras.config.epsilon()
    best = keras.ops.max(targets * keras.ops.clip(probabilities, epsilon, 1.0), axis=-1)
    return -keras.ops.log(keras.ops.maximum(best, epsilon))


#: By :attr:`emotion.data.examples.Splits.loss`.
LOSSES: dict[str, Any] = {"cross_entropy": keras.losses.categorical_crossentropy, "any_target": any_target}
