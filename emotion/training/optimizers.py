"""From trainer config to a Keras optimizer with its learning-rate schedule."""

from __future__ import annotations

import keras
from omegaconf import DictConfig

from emotion.training.phases import Phase


def build(trainer: DictConfig, phase: Phase, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Make the optimizer of a phase, its step counter set to where the phase begins on its schedule."""
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
            optimizer = keras.optimizers.AdamW(**options)
        case "adam":
            optimizer = keras.optimizers.Adam(**options)
        case "sgd":
            # Keras takes Nesterov's look-ahead only together with momentum.
            nesterov = trainer.nesterov and trainer.momentum > 0
            optimizer = keras.optimizers.SGD(momentum=trainer.momentum, nesterov=nesterov, **options)
        case "rmsprop":
            optimizer = keras.optimizers.RMSprop(momentum=trainer.momentum, **options)
    if trainer.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    optimizer.iterations.assign((phase.start - phase.schedule_start) * steps_per_epoch)
    return optimizer


def _schedule(
    trainer: DictConfig, phase: Phase, steps_per_epoch: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up, then a cosine to zero (Loshchilov and Hutter 2017) or a constant rate."""
    epochs = phase.schedule_stop - phase.schedule_start
    warmup = round(min(trainer.warmup_epochs, epochs) * steps_per_epoch)
    rest = max(1, epochs * steps_per_epoch - warmup)
    # The frozen phase trains a fresh head for a few epochs: it has no time to anneal.
    constant = trainer.schedule == "constant" or phase.frozen
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else phase.learning_rate,
        warmup_target=phase.learning_rate if warmup else None,
        warmup_steps=warmup,
        decay_steps=rest,
        alpha=1.0 if constant else 0.0,
    )
