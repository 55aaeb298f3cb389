"""Rules across the keys of a config, and rules for keys that take a list or a mapping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigTypeError

from emotion.base.errors import did_you_mean
from emotion.config import parts
from emotion.config.commands import (
    FINDINGS,
    LABEL_SOURCES,
    Audit,
    Collect,
    Compare,
    Evaluate,
    Export,
    Live,
    Publish,
    Serve,
)
from emotion.config.schema import ALPHAS, CLASS_WEIGHTS, OPS, Cnn, MobileNetV2
from emotion.faces import priors
from emotion.faces.labels import CONTEMPT, EMOTIONS

#: Datasets that are read from files, and what ``dataset.root`` is for each.
ROOTED = {
    "fer2013": "fer2013.csv or its folder",
    "ferplus": "fer2013.csv or its folder",
    "folder": "folder with your images",
}
#: Our own models' functions, and the schemas of their keys.
MODELS: dict[Any, type] = {
    "emotion.models.cnn.build": Cnn,
    "emotion.models.mobilenet_v2.build": MobileNetV2,
}
_COLLECTED = {"folder": "folder with your images", "video": "video file"}

#: Least ``low`` and most ``high`` of an operation: a quality, pixels, pixels, shares of light and way.
_STRENGTHS = {"jpeg": (1, 100), "low_resolution": (4, 512), "motion_blur": (0, 64), "shadow": (0, 1), "occlude": (0, 1)}


def value(cfg: DictConfig, key: str) -> Any:
    """A key's value; None where it is absent or has no value yet, also below a list."""
    try:
        return OmegaConf.select(cfg, key)
    except ConfigTypeError:  # an interpolation without a value raises others
        return None


_value = value


def _augmentation_problems(cfg: DictConfig) -> Iterator[str]:
    ops = _value(cfg, "augmentation.ops")
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
        elif parameters is not None and not OmegaConf.is_dict(parameters):
            first, default = next(iter(OPS[name].items()))
            yield (
                f"{where}.{name}: '{parameters}' must be its parameters by name, such as "
                f"{{{name}: {{{first}: {default}}}}}. Allowed: {', '.join(OPS[name])}"
            )
        else:
            yield from _parameter_problems(f"{where}.{name}", name, parameters or {})


def _parameter_problems(where: str, op: str, parameters: Mapping[Any, Any]) -> Iterator[str]:
    values = dict(OPS[op])
    for key, value in parameters.items():
        if key not in values:
            yield f"{where}: no parameter '{key}'. Allowed: {', '.join(values)}"
        elif not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            yield f"{where}.{key}: '{value}' is not a number"
        else:
            values[key] = value
    if not 0 <= values["probability"] <= 1:
        yield f"{where}.probability: {values['probability']} is out of range, must be from 0 to 1"
    if "low" in values and not 0 <= values["low"] <= values["high"]:
        yield f"{where}: low {values['low']} and high {values['high']} must satisfy 0 <= low <= high"
    if op in ("scale", "gamma") and values["low"] <= 0:
        yield f"{where}.low: {values['low']} must be above 0"
    least, most = _STRENGTHS.get(op, (0, math.inf))
    if "low" in values and (values["low"] < least or values["high"] > most):
        yield f"{where}: low {values['low']} and high {values['high']} must lie from {least} to {most}"
    if op == "erase" and values["high"] >= 1:
        yield f"{where}.high: {values['high']} erases the whole image, must be below 1"


def _trainer_problems(cfg: DictConfig) -> Iterator[str]:
    weights = cfg.trainer.get("class_weight", "none")
    emotions = (*EMOTIONS, CONTEMPT) if _value(cfg, "dataset.contempt") == "keep" else EMOTIONS
    if OmegaConf.is_dict(weights):
        for name, weight in weights.items():
            if name not in emotions:
                yield f"trainer.class_weight.{name}: no such emotion.{did_you_mean(str(name), emotions)}"
            elif not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 <= weight < math.inf:
                yield f"trainer.class_weight.{name}: '{weight}' must be a number, 0 or more"
        absent = [e for e in emotions if e not in weights]
        if absent:
            yield f"trainer.class_weight: no weight for {', '.join(absent)}; give all {len(emotions)}"
        if not any(weight for weight in weights.values()):
            yield "trainer.class_weight: all weights are 0, so nothing would be learned; give one above 0"
    elif weights not in CLASS_WEIGHTS:
        yield (
            f"trainer.class_weight: '{weights}' is neither one of {', '.join(CLASS_WEIGHTS)} nor a weight for each "
            f"emotion.{did_you_mean(str(weights), CLASS_WEIGHTS)}"
        )
    if _value(cfg, "trainer.initial_weights") == "teacher" and _value(cfg, "trainer.teacher") is None:
        yield "trainer.initial_weights: there is no teacher whose weights could be taken; set trainer.teacher=<run>"
    epochs = _value(cfg, "trainer.epochs")
    if not isinstance(epochs, int):
        return
    for key in ("trainer.warmup_epochs", "trainer.class_weight_epochs", "augmentation.unmixed_epochs"):
        value = _value(cfg, key)
        if isinstance(value, int | float) and value > epochs:
            yield f"{key}: {value} is more than trainer.epochs={epochs}"
    if _value(cfg, "trainer.logit_adjustment") and _value(cfg, "trainer.class_weight_epochs") is not None:
        yield (
            "trainer.class_weight_epochs: with trainer.logit_adjustment the class weights must be the same in all "
            "epochs; set trainer.class_weight_epochs=null"
        )
    if _value(cfg, "dataset.label_mode") == "multi_target":
        if _value(cfg, "trainer.balanced_targets"):
            yield "trainer.balanced_targets: needs targets that sum to 1; set dataset.label_mode=probability"
        if _value(cfg, "trainer.logit_adjustment"):
            yield "trainer.logit_adjustment: needs targets that sum to 1; set dataset.label_mode=probability"
        for key in ("augmentation.mixup", "augmentation.cutmix", "trainer.label_smoothing"):
            if _value(cfg, key):
                yield (
                    f"{key}: with dataset.label_mode=multi_target a target may have several right labels, which cannot "
                    f"be mixed or smoothed; set {key}=0 or dataset.label_mode=probability"
                )
    if _value(cfg, "trainer.precision") == "float16" and _value(cfg, "trainer.strategy") == "mirrored":
        yield "trainer.precision: float16 with trainer.strategy=mirrored is not supported; use bfloat16"


def _model_problems(cfg: DictConfig) -> Iterator[str]:
    model = cfg.model
    needed = {"_target_": "<module>.<function>", "input_size": "<side in pixels>"}
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
    schema = MODELS.get(target)
    if schema is Cnn and "stages" in model:
        stages = list(model.stages)
        if not stages or any(not isinstance(s, int) or s < 1 for s in stages):
            yield f"model.stages: {stages} must be a list of channel counts, such as [32,64,128,256]"
        elif size // 2 ** (len(stages) - 1) < 2:
            yield (
                f"model.stages: {len(stages)} stages halve {size} pixels below 2x2; "
                f"use fewer stages or a larger model.input_size"
            )
    if schema is MobileNetV2:
        if size < 32:
            yield f"model.input_size: {size} is too small for MobileNetV2, must be at least 32"
        alpha = model.get("alpha", 1.0)
        if model.get("weights", "imagenet") == "imagenet" and alpha not in ALPHAS:
            yield (
                f"model.alpha: there are ImageNet weights for {', '.join(map(str, ALPHAS))}, not for {alpha}. "
                f"Choose one of these, or set model.weights=null"
            )


def _dataset_problems(cfg: DictConfig) -> Iterator[str]:
    name = _value(cfg, "dataset.name")
    if name == "mixed":
        yield from parts.problems(cfg.dataset)
    if name in ROOTED and not _value(cfg, "dataset.root"):
        yield f"dataset.root: no value given. Set dataset.root=<{ROOTED[name]}>"
    if (_value(cfg, "dataset.validation_fraction") or 0) + (_value(cfg, "dataset.test_fraction") or 0) > 0.8:
        yield "dataset.validation_fraction and dataset.test_fraction leave less than a fifth for training"
    folds, fold = _value(cfg, "dataset.folds"), _value(cfg, "dataset.fold")
    if isinstance(folds, int) and fold is None:
        yield (
            f"dataset.fold: no value given, with dataset.folds={folds}. Set dataset.fold=<0 to {folds - 1}>, or train "
            f"all folds in one sweep: -m 'dataset.fold=range({folds})'"
        )
    elif fold is not None and folds is None:
        yield f"dataset.folds: no value given, with dataset.fold={fold}. Set dataset.folds=<how many folds there are>"
    elif isinstance(folds, int) and isinstance(fold, int) and fold >= folds:
        yield f"dataset.fold: {fold} is out of range, must be from 0 to {folds - 1} with dataset.folds={folds}"


def _compare_problems(cfg: DictConfig) -> Iterator[str]:
    if _value(cfg, "split") == "train":
        yield "split: runs are not compared on images that they were trained on; choose test or validation"


def _prior_problems(cfg: DictConfig) -> Iterator[str]:
    setting = cfg.prior
    value = OmegaConf.to_container(setting) if OmegaConf.is_config(setting) else setting
    yield from priors.problems(value, (*EMOTIONS, CONTEMPT))


def datasets(cfg: DictConfig) -> list[Any]:
    """``datasets`` of ``emotion.evaluate`` as parts: a path is a folder of images that is called after it."""
    return [
        {"name": "folder", "root": entry, "title": entry.rstrip("/").rpartition("/")[2]}
        if isinstance(entry, str)
        else {"name": "folder", **entry} if OmegaConf.is_dict(entry) else entry
        for entry in cfg.datasets
    ]  # fmt: skip


def _evaluate_problems(cfg: DictConfig) -> Iterator[str]:
    yield from _prior_problems(cfg)
    if not OmegaConf.is_list(cfg.datasets):
        yield (
            f"datasets: '{cfg.datasets}' must be a list of folders or dataset configs, such as "
            f"'datasets=[data/faces, {{name: ferplus, root: data/fer}}]'"
        )
        return
    if cfg.datasets and _value(cfg, "dataset") is not None:
        yield "dataset: with datasets=[...] leave dataset out; name it in the list"
    if cfg.datasets:
        listed = OmegaConf.create({"parts": datasets(cfg)})
        for problem in (*parts.problems(listed), *parts.path_problems(listed)):
            yield problem.replace("dataset.parts", "datasets")


def _fixed_prior_problems(cfg: DictConfig) -> Iterator[str]:
    yield from _prior_problems(cfg)
    if _value(cfg, "prior") == priors.ESTIMATE:
        yield "prior: an exported file answers for fixed shares; give training, balanced or shares, or leave it out"


def _export_problems(cfg: DictConfig) -> Iterator[str]:
    yield from _fixed_prior_problems(cfg)
    if _value(cfg, "format") in ("onnx", "saved_model") and _value(cfg, "quantize") is not None:
        yield f"quantize: format={cfg.format} is float32 only; leave quantize out, or choose format=litert"


def _audit_problems(cfg: DictConfig) -> Iterator[str]:
    fail_on = _value(cfg, "fail_on")
    names = list(fail_on) if OmegaConf.is_list(fail_on) else [] if fail_on is None else [fail_on]
    for name in names:
        if name not in FINDINGS:
            near = did_you_mean(str(name), FINDINGS)
            yield f"fail_on: '{name}' is no finding.{near} Allowed: {', '.join(FINDINGS)}"
    if "label_noise" in names and _value(cfg, "run") is None:
        yield "fail_on: label_noise needs a run whose predictions judge the labels; set run=<id>"


def _collect_problems(cfg: DictConfig) -> Iterator[str]:
    source, path, sources = _value(cfg, "source"), _value(cfg, "path"), tuple(LABEL_SOURCES)
    if source not in sources:
        near = did_you_mean(str(source), sources)
        yield f"source: '{source}' is not one of {', '.join(sources)}.{near} Give the file or folder with path=..."
    elif source in ("folder", "video") and path is None:
        yield f"path: no value given. Set path=<{_COLLECTED[source]}> for source={source}"
    elif source == "bing" and path is not None:
        yield f"path: source=bing reads none; did you mean source=folder path={path}?"
    if source == "video" and _value(cfg, "emotion") is None:
        yield "emotion: no value given. Set emotion=<the emotion that the faces in the video show> for source=video"
    for name, queries in (_value(cfg, "queries") or {}).items():
        if name not in EMOTIONS:
            yield f"queries.{name}: no such emotion.{did_you_mean(str(name), EMOTIONS)} Allowed: {', '.join(EMOTIONS)}"
        elif not queries or any(not str(query).strip() for query in queries):
            yield f"queries.{name}: {list(queries or [])} must be a list of search queries, such as ['{name} face']"


Check = Callable[[DictConfig], Iterator[str]]
#: From a command's config to what is wrong with one of its groups.
GROUPS: dict[str, Check] = {
    "dataset": _dataset_problems,
    "augmentation": _augmentation_problems,
    "model": _model_problems,
    "trainer": _trainer_problems,
}
#: The same for rules of one command.
COMMANDS: dict[type, Check] = {
    Evaluate: _evaluate_problems,
    Live: _prior_problems,
    Publish: _fixed_prior_problems,
    Serve: _prior_problems,
    Compare: _compare_problems,
    Export: _export_problems,
    Audit: _audit_problems,
    Collect: _collect_problems,
}
