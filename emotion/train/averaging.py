"""Validating and saving an average of the weights instead of the last ones (``trainer.ema``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Values = list[np.ndarray[Any, Any]]
Rows = np.ndarray[Any, Any]

#: Training images that batch norm's statistics are taken over: enough for each channel, and a few seconds per epoch.
IMAGES = 2048

#: Names of batch norm's variables that follow the data.
_STATISTICS = ("moving_mean", "moving_variance")


class AveragedWeights(keras.callbacks.Callback):
    """Validate with the exponential moving average of the weights (Polyak and Juditsky 1992), then train on.

    The optimizer averages what it trains. Batch norm's statistics cannot be averaged with it: they belong to the
    weights of each moment, and steps that cancel out in the average leave smaller maps than any of those weights gave.
    They are computed again, over training images without augmentation (Izmailov et al. 2018, "Averaging Weights Leads
    to Wider Optima and Better Generalization", section 3.2). Layers that are frozen keep theirs.

    Args:
        read: Gives the training split's images ``[N, H, W, C]`` at some rows.
        rows: int ``[N]``: those that statistics are taken over.
        batch_size: As in training.
    """

    def __init__(self, read: Callable[[Rows], np.ndarray[Any, Any]], rows: Rows, batch_size: int) -> None:
        super().__init__()
        self.read = read
        self.batches = np.array_split(rows, max(1, len(rows) // batch_size))

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.model
        layers = model._flatten_layers(include_self=False)
        self.norms = [n for n in layers if isinstance(n, keras.layers.BatchNormalization) and n.trainable]
        self.moving = [v for n in self.norms for v in n.non_trainable_variables if v.name in _STATISTICS]

        @tf.function(autograph=False, reduce_retracing=True)
        def forward(images: tf.Tensor) -> None:
            model.distribute_strategy.run(lambda: model(images, training=True))

        self._forward = forward

    def on_test_begin(self, logs: Any = None) -> None:
        self.raw = _values(self._variables())
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        if self.moving:
            self._take_statistics()

    def on_test_end(self, logs: Any = None) -> None:
        self.averaged = _values(self._variables())
        self._restore()

    def on_train_end(self, logs: Any = None) -> None:
        # `fit` ends by putting the averages in place; the next phase resumes from the weights themselves.
        self._restore()

    def values(self, model: keras.Model) -> Values:
        """The model's weights as validated, in the order of ``model.weights``."""
        averaged = {id(v): value for v, value in zip(self._variables(), self.averaged, strict=True)}
        return [averaged[id(w)] if id(w) in averaged else keras.ops.convert_to_numpy(w) for w in model.weights]

    def _take_statistics(self) -> None:
        momenta = [norm.momentum for norm in self.norms]
        sums: Values = [np.zeros(v.shape) for v in self.moving]
        for norm in self.norms:
            norm.momentum = 0.0  # each batch leaves its own statistics
        try:
            for rows in self.batches:
                self._forward(tf.constant(self.read(rows)))
                sums = [total + value for total, value in zip(sums, _values(self.moving), strict=True)]
        finally:
            for norm, momentum in zip(self.norms, momenta, strict=True):
                norm.momentum = momentum
        for variable, total in zip(self.moving, sums, strict=True):
            variable.assign(total / len(self.batches))

    def _variables(self) -> list[Any]:
        return [*self.model.trainable_variables, *self.moving]

    def _restore(self) -> None:
        for variable, value in zip(self._variables(), self.raw, strict=True):
            variable.assign(value)


def _values(variables: list[Any]) -> Values:
    return [keras.ops.convert_to_numpy(v) for v in variables]
