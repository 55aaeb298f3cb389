"""What is minimised, cross-entropy or its form for targets that name several right labels, and macro-F1 for Keras."""

from __future__ import annotations

from typing import Any

import keras


def any_target(targets: Any, probabilities: Any) -> Any:
    """The smallest cross-entropy to any of the labels that a target names: ``-log max_k t_k p_k``.

    The multi-label loss of FER+ (Barsoum et al. 2016): an image that people call both sad and neutral asks for one of
    the two, not for a mixture.
    Both arguments are float32 ``[B, C]``, targets 1 for each label that counts as right; the result is ``[B]``.
    """
    epsilon = keras.config.epsilon()
    best = keras.ops.max(targets * keras.ops.clip(probabilities, epsilon, 1.0), axis=-1)
    return -keras.ops.log(keras.ops.maximum(best, epsilon))


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
