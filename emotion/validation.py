"""Checking a composed config for what its schema cannot say: unknown keys, choices, ranges, rules across fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from emotion.config import CLASS_WEIGHTS, OPS
from emotion.contract import COLOURS, INTERPOLATIONS
from emotion.errors import UserError, did_you_mean
from emotion.labels import EMOTIONS, NUMBERINGS

_CHOICES: dict[str, tuple[str, ...]] = {
    "dataset.cache": ("memory", "disk", "none"),
    "dataset.numbering": tuple(NUMBERINGS),
    "model.colour": COLOURS,
    "model.interpolation": INTERPOLATIONS,
    "model.activation": ("relu", "relu6", "gelu", "silu", "leaky_relu"),
    "trainer.optimizer": ("adamw", "adam", "sgd", "rmsprop"),
    "trainer.schedule": ("cosine", "constant"),
    "trainer.monitor": ("val_macro_f1", "val_accuracy", "val_loss"),
    "trainer.precision": ("float32", "bfloat16", "float16"),
    "trainer.strategy": ("default", "mirrored"),
    "split": ("train", "validation", "test"),
    "checkpoint": ("best", "last"),
    "display": ("auto", "window", "none"),
}

# Closed intervals [low, high]; None is open-ended.
_RANGES: dict[str, tuple[float | None, float | None]] = {
    "seed": (0, 2**31 - 1),
    "dataset.crop_margin": (-0.4, 2),
    "dataset.validation_fraction": (0.01, 0.5),
    "dataset.test_fraction": (0.01, 0.5),
    "dataset.split_seed": (0, 2**31 - 1),
    "dataset.limit": (1, None),
    "dataset.max_unreadable": (0, 1),
    "dataset.per_emotion": (10, 100_000),
    "dataset.image_size": (24, 512),
    "dataset.noise": (0, 3),
    "augmentation.mixup": (0, 10),
    "augmentation.cutmix": (0, 10),
    "augmentation.mix_probability": (0, 1),
    "augmentation.unmixed_epochs": (0, None),
    "model.input_size": (16, 512),
    "model.alpha": (0.1, 2),
    "model.dropout": (0, 0.95),
    "model.stage_dropout": (0, 0.95),
    "model.convolutions": (1, 8),
    "model.frozen_epochs": (0, None),
    "model.batch_norm_frozen_epochs": (0, None),
    "model.fine_tune_scale": (1e-6, 100),
    "trainer.epochs": (1, 100_000),
    "trainer.batch_size": (1, 65_536),
    "trainer.learning_rate": (1e-10, 100),
    "trainer.warmup_epochs": (0, None),
    "trainer.weight_decay": (0, 1),
    "trainer.momentum": (0, 0.9999),
    "trainer.clip_norm": (1e-6, None),
    "trainer.ema": (0.5, 0.99999),
    "trainer.label_smoothing": (0, 0.9),
    "trainer.patience": (1, None),
    "trainer.min_delta": (0, None),
    "trainer.threads": (1, 1024),
    "trainer.bootstrap": (0, 100_000),
    "bootstrap": (0, 100_000),
    "batch_size": (1, 65_536),
    "threads": (1, 1024),
    "max_frames": (1, None),
    "detector.scale_factor": (1.01, 2),
    "detector.min_neighbors": (1, 50),
    "detector.min_size": (0.01, 1),
}


def validate(cfg: DictConfig) -> None:
    """Check what the schema cannot: unknown keys, choices, ranges and rules across fields.

    Raises:
        UserError: Names every key that is wrong, its value, what is allowed and the nearest match.
    """
    problems = list(_problems(cfg))
    if problems:
        raise UserError("\n".join(problems))


def _problems(cfg: DictConfig) -> Iterator[str]:
    for key in sorted(OmegaConf.missing_keys(cfg)):
        yield f"{key}: no value given. Set it with {key}=..."
    yield from _unknown_keys(cfg)
    for key, allowed in _CHOICES.items():
        value = _value(cfg, key)
        if value is not None and value not in allowed:
            yield f"{key}: '{value}' is not one of {', '.join(allowed)}.{did_you_mean(value, allowed)}"
    for key, (low, high) in _RANGES.items():
        value = _value(cfg, key)
        if value is None:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
            yield f"{key}: '{value}' is not a number"
        elif (low is not None and value < low) or (high is not None and value > high):
            yield f"{key}: {value} is out of range, must be {_interval(low, high)}"
    if "augmentation" in cfg:
        yield from _augmentation_problems(cfg.augmentation)
    if "trainer" in cfg:
        yield from _trainer_problems(cfg)
    if _value(cfg, "model._target_") == "emotion.models.cnn.build":
        yield from _cnn_problems(cfg.model)
    if "dataset" in cfg and cfg.dataset is not None:
        yield from _dataset_problems(cfg.dataset)


def _value(cfg: DictConfig, key: str) -> Any:
    node: Any = cfg
    for part in key.split("."):
        if not OmegaConf.is_dict(node) or part not in node or OmegaConf.is_missing(node, part):
            return None
        node = node[part]
    return node


def _interval(low: float | None, high: float | None) -> str:
    if high is None:
        return f"at least {low:g}"
    return f"from {low:g} to {high:g}"


def _unknown_keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    """Keys that came in with ``+`` and are in no schema; Hydra lets those pass."""
    schema = OmegaConf.get_type(cfg)
    known = {f.name for f in dataclasses.fields(schema)} if dataclasses.is_dataclass(schema) else None
    for key in map(str, cfg):
        path = f"{prefix}{key}"
        if known is not None and key not in known:
            yield f"{path}: no such key.{did_you_mean(str(key), known)} Allowed here: {', '.join(sorted(known))}"
        elif not OmegaConf.is_missing(cfg, key) and OmegaConf.is_dict(cfg[key]):
            yield from _unknown_keys(cfg[key], f"{path}.")


def _augmentation_problems(cfg: DictConfig) -> Iterator[str]:
    for i, op in enumerate(cfg.ops):
        where = f"augmentation.ops[{i}]"
        if not OmegaConf.is_dict(op) or len(op) != 1:
            yield f"{where}: '{op}' must be one operation with its parameters, such as {{flip: {{probability: 0.5}}}}"
            continue
        name, parameters = next(iter(op.items()))
        if name not in OPS:
            yield f"{where}: no operation '{name}'.{did_you_mean(str(name), OPS)} Allowed: {', '.join(OPS)}"
            continue
        given = dict(OPS[name])
        for parameter, value in (parameters or {}).items():
            if parameter not in given:
                yield f"{where}.{name}: no parameter '{parameter}'. Allowed: {', '.join(given)}"
            elif not isinstance(value, int | float) or isinstance(value, bool):
                yield f"{where}.{name}.{parameter}: '{value}' is not a number"
            else:
                given[parameter] = value
        if not 0 <= given["probability"] <= 1:
            yield f"{where}.{name}.probability: {given['probability']} is out of range, must be from 0 to 1"
        if "low" in given and not 0 <= given["low"] <= given["high"]:
            yield f"{where}.{name}: low {given['low']} and high {given['high']} must satisfy 0 <= low <= high"
        if name in ("scale", "gamma") and given["low"] <= 0:
            yield f"{where}.{name}.low: {given['low']} must be above 0"
        if name == "erase" and given["high"] >= 1:
            yield f"{where}.erase.high: {given['high']} of the picture leaves nothing to learn from, must be below 1"


def _trainer_problems(cfg: DictConfig) -> Iterator[str]:
    trainer = cfg.trainer
    weights = _value(cfg, "trainer.class_weight")
    if OmegaConf.is_dict(weights):
        for name, weight in weights.items():
            if name not in EMOTIONS:
                yield f"trainer.class_weight.{name}: no such emotion.{did_you_mean(str(name), EMOTIONS)}"
            elif not isinstance(weight, int | float) or isinstance(weight, bool) or weight < 0:
                yield f"trainer.class_weight.{name}: '{weight}' must be a number, 0 or more"
        absent = [e for e in EMOTIONS if e not in weights]
        if absent:
            yield f"trainer.class_weight: no weight for {', '.join(absent)}; give all seven"
    elif weights not in CLASS_WEIGHTS:
        yield (
            f"trainer.class_weight: '{weights}' is neither one of {', '.join(CLASS_WEIGHTS)} nor a weight for each "
            f"emotion.{did_you_mean(str(weights), CLASS_WEIGHTS)}"
        )
    epochs = _value(cfg, "trainer.epochs")
    if not isinstance(epochs, int):
        return
    for key in ("trainer.warmup_epochs", "model.frozen_epochs", "augmentation.unmixed_epochs"):
        value = _value(cfg, key)
        if isinstance(value, int | float) and value > epochs:
            yield f"{key}: {value} is more than trainer.epochs={epochs}"
    if trainer.precision == "float16" and trainer.strategy == "mirrored":
        yield "trainer.precision: float16 with trainer.strategy=mirrored is not supported; use bfloat16"


def _cnn_problems(model: DictConfig) -> Iterator[str]:
    stages = list(model.stages)
    if not stages or any(not isinstance(s, int) or s < 1 for s in stages):
        yield f"model.stages: {stages} must be a list of channel counts, such as [32,64,128,256]"
    elif model.input_size // 2 ** (len(stages) - 1) < 2:
        yield (
            f"model.stages: {len(stages)} stages halve {model.input_size} pixels below 2x2; "
            f"use fewer stages or a larger model.input_size"
        )


def _dataset_problems(dataset: DictConfig) -> Iterator[str]:
    if dataset.get("name") in ("fer2013", "folder") and not dataset.get("root"):
        yield f"dataset.root: no value given. Set dataset.root=<where the {dataset.name} data is>"
    if dataset.get("validation_fraction", 0) + dataset.get("test_fraction", 0) > 0.8:
        yield "dataset.validation_fraction and dataset.test_fraction leave less than a fifth for training"
