"""Checking a composed config for what its schema cannot say: unknown keys, choices, ranges, rules across fields."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from emotion.base.errors import UserError, did_you_mean
from emotion.config.commands import Audit, Collect, Training, Tune
from emotion.config.schema import ALPHAS, CLASS_WEIGHTS, OPS
from emotion.config.values import CHOICES, FINDINGS, LABEL_SOURCES, RANGES
from emotion.faces.labels import CONTEMPT, EMOTIONS

_GROUPS = ("dataset", "augmentation", "model", "trainer")
#: Datasets that are read from a place.
_ROOTED = ("fer2013", "ferplus", "folder")
_MOBILENET_V2 = "emotion.models.mobilenet_v2.build"


def validate(cfg: DictConfig) -> None:
    """Check what the schema cannot: unknown keys, choices, ranges and rules across fields.

    Raises:
        UserError: Names every key that is wrong, its value, what is allowed and the nearest match.
    """
    problems = list(_problems(cfg))
    if problems:
        raise UserError("\n".join(problems))


def validate_paths(cfg: DictConfig) -> None:
    """Check that the data and weights which a validated config names are there.

    This is apart from :func:`validate` because a config may be shown, or a run resumed, where its data is not.

    Raises:
        UserError: Names each key whose file or folder does not exist.
    """
    problems = list(_path_problems(cfg))
    if problems:
        raise UserError("\n".join(problems))


def _path_problems(cfg: DictConfig) -> Iterator[str]:
    if OmegaConf.get_type(cfg) is Collect:
        yield from _collect_path_problems(cfg)
    root, name = _value(cfg, "dataset.root"), _value(cfg, "dataset.name")
    if name in _ROOTED and not os.path.exists(os.path.expanduser(root)):  # noqa: PTH110, PTH111
        yield f"dataset.root: no such file or folder '{root}'. Set dataset.root=<where the {name} data is>"
    votes = _value(cfg, "dataset.votes")
    if votes is not None and not os.path.isfile(os.path.expanduser(votes)):  # noqa: PTH113, PTH111
        yield f"dataset.votes: no such file '{votes}'. Set dataset.votes=<FER+'s fer2013new.csv>"
    weights = _value(cfg, "model.weights")
    if _value(cfg, "model._target_") != _MOBILENET_V2 or weights in (None, "imagenet"):
        return
    if not os.path.isfile(os.path.expanduser(weights)):  # noqa: PTH113, PTH111
        yield f"model.weights: no such file '{weights}'. Give imagenet, null, or the path of a weights file"


def _problems(cfg: DictConfig) -> Iterator[str]:
    for key in sorted(OmegaConf.missing_keys(cfg)):
        yield f"{key}: no value given. Set it with {key}=..."
    yield from _unknown_keys(cfg)
    for key, allowed in CHOICES.items():
        value = _value(cfg, key)
        if value is not None and value not in allowed:
            yield f"{key}: '{value}' is not one of {', '.join(allowed)}.{did_you_mean(value, allowed)}"
    for key, (low, high) in RANGES.items():
        value = _value(cfg, key)
        if value is None:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
            yield f"{key}: '{value}' is not a number"
        elif (low is not None and value < low) or (high is not None and value > high):
            yield f"{key}: {value} is out of range, must be {_interval(low, high)}"
    if issubclass(OmegaConf.get_type(cfg) or dict, Training):
        for key in (*_GROUPS, "tuner") if OmegaConf.get_type(cfg) is Tune else _GROUPS:
            if not OmegaConf.is_missing(cfg, key) and not OmegaConf.is_dict(cfg[key]):
                yield f"{key}: '{cfg[key]}' is no {key}; choose one with {key}=<option>"
    if _value(cfg, "format") in ("onnx", "saved_model") and _value(cfg, "quantize") is not None:
        yield f"quantize: format={cfg.format} is float32 only; leave quantize out, or choose format=litert"
    if _value(cfg, "rank_by") and _value(cfg, "split") == "train":
        yield "split: runs are not compared on pictures that they were trained on; choose test or validation"
    if OmegaConf.get_type(cfg) is Collect:
        yield from _collect_problems(cfg)
    if OmegaConf.get_type(cfg) is Audit:
        yield from _audit_problems(cfg)
    given = {key: _value(cfg, key) for key in _GROUPS}
    checks = (_dataset_problems, _augmentation_problems, _model_problems)
    for key, check in zip(_GROUPS, checks, strict=False):
        if OmegaConf.is_dict(given[key]):
            yield from check(given[key])
    if OmegaConf.is_dict(given["trainer"]):
        yield from _trainer_problems(cfg)


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
    ops = _value(cfg, "ops")
    if not OmegaConf.is_list(ops):
        yield f"augmentation.ops: '{ops}' must be a list of operations, such as [{{flip: {{probability: 0.5}}}}]"
        return
    for i, op in enumerate(ops):
        where = f"augmentation.ops[{i}]"
        if not OmegaConf.is_dict(op) or len(op) != 1:
            yield f"{where}: '{op}' must be one operation with its parameters, such as {{flip: {{probability: 0.5}}}}"
            continue
        name, parameters = next(iter(op.items()))
        if name not in OPS:
            yield f"{where}: no operation '{name}'.{did_you_mean(str(name), OPS)} Allowed: {', '.join(OPS)}"
            continue
        if parameters is not None and not OmegaConf.is_dict(parameters):
            first, default = next(iter(OPS[name].items()))
            yield (
                f"{where}.{name}: '{parameters}' must be its parameters by name, such as "
                f"{{{name}: {{{first}: {default}}}}}. Allowed: {', '.join(OPS[name])}"
            )
            continue
        given = dict(OPS[name])
        for parameter, value in (parameters or {}).items():
            if parameter not in given:
                yield f"{where}.{name}: no parameter '{parameter}'. Allowed: {', '.join(given)}"
            elif not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
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
    weights = trainer.get("class_weight", "none")
    emotions = (*EMOTIONS, CONTEMPT) if _value(cfg, "dataset.contempt") == "keep" else EMOTIONS
    if OmegaConf.is_dict(weights):
        for name, weight in weights.items():
            if name not in emotions:
                yield f"trainer.class_weight.{name}: no such emotion.{did_you_mean(str(name), emotions)}"
            elif not isinstance(weight, int | float) or isinstance(weight, bool) or weight < 0:
                yield f"trainer.class_weight.{name}: '{weight}' must be a number, 0 or more"
        absent = [e for e in emotions if e not in weights]
        if absent:
            yield f"trainer.class_weight: no weight for {', '.join(absent)}; give all {len(emotions)}"
    elif weights not in CLASS_WEIGHTS:
        yield (
            f"trainer.class_weight: '{weights}' is neither one of {', '.join(CLASS_WEIGHTS)} nor a weight for each "
            f"emotion.{did_you_mean(str(weights), CLASS_WEIGHTS)}"
        )
    epochs = _value(cfg, "trainer.epochs")
    if not isinstance(epochs, int):
        return
    parts = ("trainer.warmup_epochs", "trainer.class_weight_epochs", "model.frozen_epochs")
    for key in (*parts, "augmentation.unmixed_epochs"):
        value = _value(cfg, key)
        if isinstance(value, int | float) and value > epochs:
            yield f"{key}: {value} is more than trainer.epochs={epochs}"
    if _value(cfg, "dataset.label_mode") == "multi_target":
        for key in ("augmentation.mixup", "augmentation.cutmix", "trainer.label_smoothing"):
            if _value(cfg, key):
                yield (
                    f"{key}: with dataset.label_mode=multi_target any label of a target is right, so a target takes no "
                    f"share of others; set {key}=0 or dataset.label_mode=probability"
                )
    if trainer.get("precision") == "float16" and trainer.get("strategy") == "mirrored":
        yield "trainer.precision: float16 with trainer.strategy=mirrored is not supported; use bfloat16"


def _model_problems(model: DictConfig) -> Iterator[str]:
    needed = {"_target_": "<module>.<function>", "input_size": "<pixels a side>"}
    for key, meaning in needed.items():
        if not OmegaConf.is_missing(model, key) and _value(model, key) is None:
            yield f"model.{key}: no value given, and every model needs one. Write '{key}: {meaning}' into its YAML file"
    target, size = _value(model, "_target_"), _value(model, "input_size")
    if target is not None and not isinstance(target, str):
        yield f"model._target_: '{target}' must be {needed['_target_']}"
    if isinstance(size, float):
        yield f"model.input_size: {size} must be a whole number"
    if not isinstance(size, int):
        return
    if target == "emotion.models.cnn.build" and "stages" in model:
        yield from _cnn_problems(model)
    if target == _MOBILENET_V2:
        yield from _mobilenet_v2_problems(model)


def _mobilenet_v2_problems(model: DictConfig) -> Iterator[str]:
    if model.input_size < 32:
        yield f"model.input_size: {model.input_size} is too small for MobileNetV2, must be at least 32"
    alpha = model.get("alpha", 1.0)
    if model.get("weights", "imagenet") == "imagenet" and alpha not in ALPHAS:
        yield (
            f"model.alpha: there are ImageNet weights for {', '.join(map(str, ALPHAS))}, not for {alpha}. "
            f"Choose one of these, or set model.weights=null"
        )


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
    if dataset.get("name") in _ROOTED and not dataset.get("root"):
        yield f"dataset.root: no value given. Set dataset.root=<where the {dataset.name} data is>"
    if dataset.get("validation_fraction", 0) + dataset.get("test_fraction", 0) > 0.8:
        yield "dataset.validation_fraction and dataset.test_fraction leave less than a fifth for training"


def _audit_problems(cfg: DictConfig) -> Iterator[str]:
    given = _value(cfg, "fail_on")
    names = list(given) if OmegaConf.is_list(given) else [] if given is None else [given]
    for name in names:
        if name not in FINDINGS:
            near = did_you_mean(str(name), FINDINGS)
            yield f"fail_on: '{name}' is no finding.{near} Allowed: {', '.join(FINDINGS)}"
    if "label_noise" in names and _value(cfg, "run") is None:
        yield "fail_on: label_noise needs a run whose predictions judge the labels; set run=<id>"
    if not OmegaConf.is_missing(cfg, "dataset") and not OmegaConf.is_dict(cfg.dataset):
        yield f"dataset: '{cfg.dataset}' is no dataset; choose one with dataset=<option>"


_COLLECTED_FROM = tuple(LABEL_SOURCES)


def _collect_problems(cfg: DictConfig) -> Iterator[str]:
    source, path = _value(cfg, "source"), _value(cfg, "path")
    if source not in _COLLECTED_FROM:
        near = did_you_mean(str(source), _COLLECTED_FROM)
        yield f"source: '{source}' is not one of {', '.join(_COLLECTED_FROM)}.{near} What it reads goes into path="
    elif source in ("folder", "video") and path is None:
        what = "folder of your pictures" if source == "folder" else "film"
        yield f"path: no value given. Set path=<the {what}> for source={source}"
    elif source == "bing" and path is not None:
        yield f"path: source=bing reads none; did you mean source=folder path={path}?"
    if source == "video" and _value(cfg, "emotion") is None:
        yield "emotion: no value given. Set emotion=<what the film's faces show> for source=video"
    queries = _value(cfg, "queries") or {}
    for name, words in queries.items():
        if name not in EMOTIONS:
            yield f"queries.{name}: no such emotion.{did_you_mean(str(name), EMOTIONS)} Allowed: {', '.join(EMOTIONS)}"
        elif not words or any(not str(word).strip() for word in words):
            yield f"queries.{name}: {list(words or [])} must be a list of what to search for, such as ['{name} face']"


def _collect_path_problems(cfg: DictConfig) -> Iterator[str]:
    keys = {"against": _value(cfg, "against")}
    if _value(cfg, "apply") is None and _value(cfg, "source") in ("folder", "video"):
        keys["path"] = _value(cfg, "path")
    for key, path in keys.items():
        address = key == "path" and _value(cfg, "source") == "video" and "://" in str(path)
        if path is not None and not address and not os.path.exists(os.path.expanduser(str(path))):  # noqa: PTH110, PTH111
            yield f"{key}: no such file or folder '{path}'. Set {key}=<where it is>"
    root = str(_value(cfg, "root") or "")
    if os.path.isfile(os.path.expanduser(root)):  # noqa: PTH111, PTH113
        yield f"root: '{root}' is a file; give a folder, which is made if it is not there"
