"""Class weights: how much each emotion's examples count, where some emotions are rare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion.base.errors import UserError, did_you_mean
from emotion.config.schema import CLASS_WEIGHTS
from emotion.data.examples import Examples
from emotion.faces.labels import EMOTIONS

#: Of the effective number of examples. Cui et al. use 0.9, 0.99, 0.999 and 0.9999; 0.999 lies between no weighting
#: and full inverse frequency for classes of some hundred to some thousand examples.
BETA = 0.999


def class_weights(
    labels: np.ndarray[Any, Any], setting: str | Mapping[str, float], names: Sequence[str] = EMOTIONS
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Weigh classes by how often they occur.

    With N examples, of which n_c are of class c, and C classes:

    - ``none``: 1.
    - ``balanced``: N / (C n_c), as scikit-learn's ``compute_class_weight`` (King and Zeng 2001).
    - ``sqrt``: the square root of that.
    - ``effective``: (1 - beta) / (1 - beta ** n_c), the effective number of examples (Cui et al. 2019), with beta
      :data:`BETA`.
    - a mapping from name to weight: taken as it is.

    ``balanced``, ``sqrt`` and ``effective`` are then divided by their mean over the training examples, so that the
    loss keeps its size and a learning rate its meaning. A class without examples gets 0 there.

    Args:
        labels: int ``[N]``, the training split's classes.
        setting: ``trainer.class_weight``.
        names: The ``C`` classes in order; the result is float32 ``[C]``.

    Raises:
        UserError: An unknown setting, or a mapping that does not name every class once.
    """
    if isinstance(setting, Mapping):
        setting = {str(name): float(weight) for name, weight in setting.items()}
        if set(setting) != set(names):
            raise UserError(f"trainer.class_weight: {setting} must give a weight to each of {', '.join(names)}")
        return np.array([setting[name] for name in names], np.float32)
    counts = np.bincount(np.asarray(labels, np.int64), minlength=len(names)).astype(np.float64)
    present = counts > 0
    if setting == "none":
        return np.ones(len(names), np.float32)
    if setting == "balanced":
        raw = _balanced(counts)
    elif setting == "sqrt":
        raw = np.sqrt(_balanced(counts))
    elif setting == "effective":
        raw = (1 - BETA) / (1 - BETA ** np.maximum(counts, 1))
    else:
        raise UserError(
            f"trainer.class_weight: '{setting}' is not one of {', '.join(CLASS_WEIGHTS)}, nor a weight for each class."
            f"{did_you_mean(str(setting), CLASS_WEIGHTS)}"
        )
    raw = np.where(present, raw, 0)
    if present.any():
        raw = raw / ((raw * counts).sum() / counts.sum())
    return raw.astype(np.float32)


def rates(train: Examples, trainer: DictConfig, classes: int) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """How often each image is drawn in an epoch, on average: float64 ``[N]`` with mean 1; None is each once.

    By the images' own weights, times the reciprocal of the class's count with ``trainer.sampler=balanced``, so that all
    classes are drawn equally often; with ``sqrt`` times the square root of that.
    """
    sampler = trainer.get("sampler", "shuffle")  # runs from before this key lack it
    if sampler == "shuffle" and (train.weights is None or (train.weights == train.weights[:1]).all()):
        return None
    own = np.ones(len(train)) if train.weights is None else np.asarray(train.weights, np.float64)
    counts = np.bincount(train.labels, own, minlength=classes)
    power = {"shuffle": 0.0, "sqrt": 0.5, "balanced": 1.0}[sampler]
    raw = own * (1 / np.maximum(counts, 1e-12)[train.labels]) ** power
    return np.asarray(raw * len(train) / raw.sum())


def presented(train: Examples, trainer: DictConfig, names: Sequence[str] = EMOTIONS) -> tuple[float, ...]:
    """The share of each class in all that a training presents.

    The mean of the targets, as they are fitted (one-hot or soft, smoothed), over all epochs, each counted as often as
    it is drawn, and by its class weight in the epochs in which these count. Mixing of images is left out: without class
    weights it does not change the mean.

    Args:
        train: The training split, with the targets that are fitted.
        trainer: The ``trainer`` node of the run's config.
        names: The classes in order.
    """
    targets = np.eye(len(names))[train.labels] if train.targets is None else np.asarray(train.targets, np.float64)
    targets = targets / np.maximum(targets.sum(axis=1, keepdims=True), 1e-12)
    smoothing = float(trainer.label_smoothing)
    smoothed = targets * (1 - smoothing) + smoothing / len(names)
    weighted_epochs = trainer.get("class_weight_epochs")
    weighted = 1.0 if weighted_epochs is None else weighted_epochs / trainer.epochs
    weight = targets @ class_weights(train.labels, trainer.class_weight, names).astype(np.float64)
    drawn = rates(train, trainer, len(names))
    counted = np.ones(len(train)) if drawn is None else drawn
    total = (counted * (1 - weighted + weighted * weight)) @ smoothed
    return tuple(round(float(share), 6) for share in total / total.sum())


def prior(train: Examples, trainer: DictConfig, names: Sequence[str] = EMOTIONS) -> tuple[float, ...]:
    """The class shares that the trained network's outputs hold for: those :func:`presented`, as far as
    ``trainer.logit_adjustment`` does not take them out. Arguments as there."""
    shares = np.array(presented(train, trainer, names))
    left = np.where(shares > 0, np.maximum(shares, 1e-12) ** (1 - float(trainer.get("logit_adjustment", 0.0))), 0.0)
    return tuple(round(float(share), 6) for share in left / left.sum())


def _balanced(counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(counts.sum() / (len(counts) * np.maximum(counts, 1)))


def table(labels: np.ndarray[Any, Any], weights: np.ndarray[Any, Any], names: Sequence[str] = EMOTIONS) -> str:
    """A table for the log: each class's examples, weight, and share of the examples and of the weighted loss."""
    counts = np.bincount(np.asarray(labels, np.int64), minlength=len(names))
    weighted = counts * np.asarray(weights, np.float64)
    width = max(len("class"), *(len(name) for name in names))
    lines = [f"{'class':<{width}}  examples   share  weight  weighted"]
    for name, count, weight, share in zip(names, counts, weights, weighted, strict=True):
        lines.append(
            f"{name:<{width}}  {count:>8,}  {_percent(count, counts.sum())}  {weight:>6.3f}  "
            f"{_percent(share, weighted.sum()):>8}"
        )
    return "\n".join(lines)


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole if whole else 0.0:>4.1f} %"
