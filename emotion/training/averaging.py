"""Validating and saving an average of the weights instead of the last ones (``trainer.ema``)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

Values = list[np.ndarray[Any, Any]]

#: Names of batch norm's variables that follow the data.
_STATISTICS = ("moving_mean", "moving_variance")


class AveragedWeights(keras.callbacks.Callback):
    """Validate with the exponential moving average of the weights (Polyak and Juditsky 1992), then train on.

    Keras's optimizer averages what it trains and nothing else. Batch norm's statistics belong to the weights of the
    moment: with averaged weights they are wrong, so much so that a network which is right about half of the pictures
    answers with one class. They are averaged here in the same way.

    Args:
        decay: ``trainer.ema``.

    Attributes:
        saved: What :meth:`statistics` gave, set before a run goes on within a phase. Otherwise the averages begin with
            the first step's statistics, as the optimizer's do with its weights.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.saved: Values = []

    def on_train_begin(self, logs: Any = None) -> None:
        moving = [v for v in self.model.non_trainable_variables if v.name in _STATISTICS]
        self.moving = moving
        begun = len(self.saved) == len(moving)
        values = self.saved if begun else [keras.ops.convert_to_numpy(v) for v in moving]
        self.saved = []  # the next phase begins anew
        self.averages = averages = [tf.Variable(value, trainable=False) for value in values]

        @tf.function(autograph=False, reduce_retracing=True)
        def update(kept: tf.Tensor) -> None:
            for average, variable in zip(averages, moving, strict=True):
                value = tf.cast(tf.convert_to_tensor(variable.value), average.dtype)
                average.assign(value + tf.cast(kept, average.dtype) * (average - value))

        self._update, self._kept = update, tf.constant(self.decay if begun else 0.0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._update(self._kept)
        self._kept = tf.constant(self.decay)

    def on_test_begin(self, logs: Any = None) -> None:
        self.raw = _values(self._variables())
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        for variable, value in zip(self.moving, self.averages, strict=True):
            variable.assign(value.numpy())

    def on_test_end(self, logs: Any = None) -> None:
        self.averaged = _values(self._variables())
        self._restore()

    def on_train_end(self, logs: Any = None) -> None:
        # `fit` ends by putting the averages in place; the next phase goes on from the weights themselves.
        self._restore()

    def statistics(self) -> Values:
        """The averages of batch norm's statistics, to go on from."""
        return [average.numpy() for average in self.averages]

    def values(self, model: keras.Model) -> Values:
        """The model's weights as validated, in the order of ``model.weights``."""
        averaged = {id(v): value for v, value in zip(self._variables(), self.averaged, strict=True)}
        return [averaged[id(w)] if id(w) in averaged else keras.ops.convert_to_numpy(w) for w in model.weights]

    def _variables(self) -> list[Any]:
        return [*self.model.trainable_variables, *self.moving]

    def _restore(self) -> None:
        for variable, value in zip(self._variables(), self.raw, strict=True):
            variable.assign(value)


def _values(variables: list[Any]) -> Values:
    return [keras.ops.convert_to_numpy(v) for v in variables]
