"""When which layers are trained, and at which rate."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import keras
from omegaconf import DictConfig

from emotion.base.errors import UserError


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs with one set of trainable layers.

    Attributes:
        start, stop: First epoch, counted from 0, and the epoch after the last.
        frozen: The layer called ``backbone`` is not trained.
        batch_norm_frozen: Its batch normalisation keeps statistics, scale and offset.
        learning_rate: Peak of the schedule that the phase is on.
        schedule_start, schedule_stop: As ``start`` and ``stop``, of that schedule; successive phases may share one.
    """

    start: int
    stop: int
    frozen: bool
    batch_norm_frozen: bool
    learning_rate: float
    schedule_start: int
    schedule_stop: int


def plan(model: DictConfig, epochs: int, learning_rate: float) -> list[Phase]:
    """Divide a run's epochs: first the head alone, then everything, first without and then with batch norm."""
    frozen = min(int(model.get("frozen_epochs") or 0), epochs)
    still = model.get("batch_norm_frozen_epochs", 0)
    still = epochs if still is None else min(int(still), epochs)
    tuned = learning_rate * float(model.get("fine_tune_scale", 1.0)) if frozen else learning_rate
    cuts = sorted({0, frozen, max(still, frozen), epochs})
    return [
        Phase(
            start=start,
            stop=stop,
            frozen=start < frozen,
            batch_norm_frozen=start < still,
            learning_rate=learning_rate if start < frozen else tuned,
            schedule_start=0 if start < frozen else frozen,
            schedule_stop=frozen if start < frozen else epochs,
        )
        for start, stop in pairwise(cuts)
    ]


def apply(phase: Phase, model: keras.Model) -> None:
    """Freeze and thaw the model's layers for a phase. Compile it again afterwards.

    Raises:
        UserError: The config freezes a backbone and the model has no layer of that name.
    """
    backbone = next((layer for layer in model.layers if layer.name == "backbone"), None)
    if backbone is None:
        if phase.frozen or phase.batch_norm_frozen:
            raise UserError("model.frozen_epochs: the model has no layer called 'backbone' to freeze; set it to 0")
        return
    backbone.trainable = not phase.frozen
    for layer in backbone._flatten_layers(include_self=False):
        # Each by itself: a backbone that is trainable already passes the word on to none of its layers.
        still = phase.batch_norm_frozen and isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = not (phase.frozen or still)
