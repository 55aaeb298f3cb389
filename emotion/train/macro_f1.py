"""Macro-F1 as :mod:`emotion.metrics` counts it, for Keras."""

from __future__ import annotations

from typing import Any

import keras


class MacroF1(keras.metrics.F1Score):
    """The mean F1 of the classes that occur; Keras's own counts a class without examples as 0."""

    def __init__(self, classes: int, name: str = "macro_f1", **options: Any) -> None:
        super().__init__(average=None, name=name, **options)
        # Keras would make the variables in the first step, and TensorFlow then trace that step a second time.
        self._build((None, classes), (None, classes))

    def result(self) -> Any:
        occurs = keras.ops.cast(self.true_positives + self.false_negatives > 0, "float32")
        return keras.ops.sum(super().result() * occurs) / keras.ops.maximum(keras.ops.sum(occurs), 1.0)
