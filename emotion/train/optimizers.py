"""From trainer config to a Keras optimizer with its learning-rate schedule."""

from __future__ import annotations

import math
from typing import Any

import keras
from omegaconf import DictConfig

from emotion.train.phases import Phase


def build(trainer: DictConfig, phase: Phase, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Make the optimizer of a phase; its step counter begins at 0, so that averages and moments begin well."""
    options = {
        "learning_rate": _schedule(trainer, phase, steps_per_epoch),
        "weight_decay": trainer.weight_decay or None,
        "global_clipnorm": trainer.clip_norm,
        "use_ema": trainer.ema is not None,
        "ema_momentum": trainer.ema or 0.99,
    }
    match trainer.optimizer:
        case "adamw":
            options["weight_decay"] = trainer.weight_decay
            optimizer = AdamW(**options)
        case "adam":
            optimizer = Adam(**options)
        case "sgd":
            # Keras takes Nesterov's look-ahead only together with momentum.
            nesterov = trainer.nesterov and trainer.momentum > 0
            optimizer = SGD(momentum=trainer.momentum, nesterov=nesterov, **options)
        case "rmsprop":
            optimizer = RMSprop(momentum=trainer.momentum, **options)
    if trainer.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    if trainer.precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale")
    return optimizer


def _schedule(trainer: DictConfig, phase: Phase, steps_per_epoch: int) -> WarmupCosine:
    epochs = phase.schedule_stop - phase.schedule_start
    warmup = round(min(trainer.warmup_epochs, epochs) * steps_per_epoch)
    return WarmupCosine(
        peak=phase.learning_rate,
        warmup_steps=warmup,
        decay_steps=max(1, epochs * steps_per_epoch - warmup),
        # The frozen phase trains a fresh head for a few epochs: it has no time to anneal.
        constant=trainer.schedule == "constant" or phase.frozen,
        offset=(phase.start - phase.schedule_start) * steps_per_epoch,
    )


class _EarlyAverage(keras.optimizers.Optimizer):
    """An average of the weights that follows them from the start, where they still change much.

    With a constant decay of 0.999 a third of the average is the untrained weights after 1,000 steps: more than a small
    dataset's whole training. Here the decay of step n is at most (1 + n) / (10 + n), as in TensorFlow 1's
    ``ExponentialMovingAverage(num_updates=...)``; after some 9,000 steps it is the one that was asked for.
    """

    def _update_model_variables_moving_average(self, trainable_variables: list[Any]) -> None:
        step = keras.ops.cast(self.iterations, "float32")
        decay = keras.ops.minimum(self.ema_momentum, (1.0 + step) / (10.0 + step))
        decay = keras.ops.where(step > 0, decay, 0.0)  # the first average is the weights after the first step
        for weight, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            if average is not None:
                average.assign(decay * average + (1.0 - decay) * weight)


class AdamW(_EarlyAverage, keras.optimizers.AdamW): ...


class Adam(_EarlyAverage, keras.optimizers.Adam): ...


class SGD(_EarlyAverage, keras.optimizers.SGD): ...


class RMSprop(_EarlyAverage, keras.optimizers.RMSprop): ...


class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then a cosine to zero (Loshchilov and Hutter 2017) or a constant rate.

    Keras's ``CosineDecay`` has a branch in its graph, and an optimizer asks for the rate once for each variable that
    decays: tracing 50 branches takes seconds.

    Args:
        peak: Learning rate after the warm-up.
        warmup_steps: Steps from zero to the peak.
        decay_steps: Steps from the peak to zero.
        constant: Stay at the peak instead.
        offset: Steps of this schedule that an earlier phase has done.
    """

    def __init__(self, peak: float, warmup_steps: int, decay_steps: int, constant: bool, offset: int = 0) -> None:
        self.peak, self.warmup_steps, self.decay_steps = peak, warmup_steps, decay_steps
        self.constant, self.offset = constant, offset

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32") + self.offset
        rate = keras.ops.minimum(step / self.warmup_steps, 1.0) if self.warmup_steps else 1.0
        if not self.constant:
            done = keras.ops.clip((step - self.warmup_steps) / self.decay_steps, 0.0, 1.0)
            rate = rate * (0.5 + 0.5 * keras.ops.cos(math.pi * done))
        return keras.ops.multiply(self.peak, rate)

    def get_config(self) -> dict[str, Any]:
        names = ("peak", "warmup_steps", "decay_steps", "constant", "offset")
        return {name: getattr(self, name) for name in names}
