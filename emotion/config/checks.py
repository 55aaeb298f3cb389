"""Checking a composed config for what its types cannot say: unknown keys, choices, ranges, rules across keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emotion.base import staging
from emotion.base.errors import UserError, did_you_mean
from emotion.base.words import shortened
from emotion.config import parts, rules
from emotion.config.commands import Audit, Collect, Training, Tune
from emotion.config.fields import problems as problems_of
from emotion.config.schema import GROUPS, Augmentation, Dataset, MobileNetV2, Model, Trainer, Tuner

_BASES = {"dataset": Dataset, "augmentation": Augmentation, "trainer": Trainer, "tuner": Tuner}

_value = rules.value


def validate(cfg: DictConfig) -> None:
    """Check what types cannot say; UserError names every wrong key, its value, what is allowed, the nearest match."""
    _raise(_problems(cfg))


def validate_paths(cfg: DictConfig) -> None:
    """Check that the files and folders which a validated config names exist; UserError names those that do not.

    This is apart from :func:`validate` because a config may be shown, or a run resumed, where its data is not.
    """
    _raise(_path_problems(cfg))


def completed(cfg: DictConfig) -> DictConfig:
    """A run's saved config, with defaults for keys that are newer than it.

    Raises:
        UserError: A value is none that could be typed; names each key.
    """
    schemas = {
        "dataset": GROUPS["dataset"].get(_value(cfg, "dataset.name")),
        "augmentation": Augmentation,
        "model": rules.MODELS.get(_value(cfg, "model._target_"), Model),
        "trainer": Trainer,
    }
    problems, whole = [], cfg.copy()
    for group, schema in schemas.items():
        section = cfg.get(group)
        if group not in cfg or (group == "dataset" and section is None):  # as of an adopted run
            continue
        if not OmegaConf.is_dict(section) or schema is None:
            value = section.get("name") if OmegaConf.is_dict(section) else section
            problems.append(f"{group}: '{shortened(value)}' is none that emotion knows")
            continue
        node = OmegaConf.structured(schema)  # one for all values, as it takes milliseconds
        found = [problem for key in section for problem in _saved_problems(f"{group}.{key}", section[key], node)]
        problems += found
        if not found:
            absent = {k: v for k, v in node.items_ex(resolve=False) if k not in section and v != MISSING}
            whole[group] = {**absent, **section}
    ops = "augmentation.ops"
    if not problems and _value(cfg, ops) is not None:
        problems += [problem for problem in rules.GROUPS["augmentation"](cfg) if problem.startswith(ops)]
    if problems:
        raise UserError("; ".join(problems[:5]))
    return whole


def _saved_problems(path: str, value: Any, node: DictConfig) -> Iterator[str]:
    """What is wrong with a value of a saved config, by its field's type and metadata; older keys are not looked at.

    ``node`` is of the schema, and takes the value.
    """
    name = path.rpartition(".")[2]
    schema = OmegaConf.get_type(node)
    assert schema is not None
    field = next((f for f in fields(schema) if f.name == name), None)
    if field is None or value is None:
        return
    try:
        OmegaConf.update(node, name, value)
    except OmegaConfBaseException:
        yield f"{path}: '{shortened(value)}' is not of its kind"
        return
    if isinstance(value, str) and value == MISSING:
        yield f"{path}: no value"
        return
    yield from problems_of(path, value, field.metadata)


def _raise(messages: Iterator[str]) -> None:
    text = "\n".join(messages)
    if text:
        raise UserError(text)


# os.path answers False where pathlib raises: a path that is too long, or the home of an unknown user.
def _exists(path: object) -> bool:
    return os.path.exists(os.path.expanduser(str(path)))  # noqa: PTH110, PTH111


def _is_file(path: object) -> bool:
    return os.path.isfile(os.path.expanduser(str(path)))  # noqa: PTH113, PTH111


def _path_problems(cfg: DictConfig) -> Iterator[str]:
    if OmegaConf.get_type(cfg) is Collect:
        yield from _collect_path_problems(cfg)
    root, name = _value(cfg, "dataset.root"), _value(cfg, "dataset.name")
    if name in rules.ROOTED and not _exists(root):
        yield f"dataset.root: no such file or folder '{root}'. Set dataset.root=<{rules.ROOTED[name]}>"
    if name == "mixed":
        yield from parts.path_problems(cfg.dataset)
    votes = _value(cfg, "dataset.votes")
    if votes is not None and not _is_file(votes):
        yield f"dataset.votes: no such file '{votes}'. Set dataset.votes=<FER+'s fer2013new.csv>"
    metadata = _value(cfg, "dataset.metadata")
    if metadata is not None and not _is_file(metadata) and not _is_file(f"{root}/{metadata}"):
        yield f"dataset.metadata: no such file '{metadata}', neither here nor in dataset.root. Set it to a CSV file"
    weights = _value(cfg, "model.weights")
    is_path = rules.MODELS.get(_value(cfg, "model._target_")) is MobileNetV2 and weights not in (None, "imagenet")
    if is_path and not _is_file(weights):
        yield f"model.weights: no such file '{weights}'. Give imagenet, null, or the path of a weights file"


def _problems(cfg: DictConfig) -> Iterator[str]:
    for key in sorted(OmegaConf.missing_keys(cfg)):
        yield f"{key}: no value given. Set it with {key}=..."
    yield from _key_problems(cfg)
    command = OmegaConf.get_type(cfg) or dict
    groups = [*rules.GROUPS, "tuner"] if command is Tune else rules.GROUPS
    for group in groups:
        if group not in cfg or OmegaConf.is_missing(cfg, group):
            continue
        if not OmegaConf.is_dict(cfg[group]):
            if issubclass(command, Training | Audit):
                yield f"{group}: '{cfg[group]}' is not an option; choose one with {group}=<option>"
        elif group in rules.GROUPS:
            yield from rules.GROUPS[group](cfg)
    if command in rules.COMMANDS:
        yield from rules.COMMANDS[command](cfg)


def _key_problems(cfg: DictConfig, schema: Any = Training, prefix: str = "") -> Iterator[str]:
    """Keys that came in with ``+``, which Hydra lets pass, and values that their fields do not allow.

    A composed node knows its schema; for one that was saved or written by a user it is ``schema``, beside other keys.
    """
    own = OmegaConf.get_type(cfg)
    schema = own if is_dataclass(own) else schema
    known = {f.name: f.metadata for f in fields(schema)} if schema else {}
    for key in map(str, cfg):
        path, value = f"{prefix}{key}", None if OmegaConf.is_missing(cfg, key) else cfg[key]
        if key not in known and is_dataclass(own):
            yield f"{path}: no such key.{did_you_mean(key, known)} Allowed here: {', '.join(sorted(known))}"
        elif isinstance(value, DictConfig):
            base = rules.MODELS.get(value.get("_target_"), Model) if key == "model" else _BASES.get(key)
            if key in ("dataset", "tuner"):  # a user's own file of a known kind
                base = GROUPS[key].get(_value(value, "name"), base)
            yield from _key_problems(value, base, f"{path}.")
        elif isinstance(value, str) and not value.strip() and key in known:
            yield f"{path}: the value is empty; leave the key out, or give it one"
        elif value is not None and key in known:
            yield from problems_of(path, value, known[key])


def _collect_path_problems(cfg: DictConfig) -> Iterator[str]:
    source, path, root = _value(cfg, "source"), _value(cfg, "path"), _value(cfg, "root")
    paths = {"against": _value(cfg, "against")}
    if _value(cfg, "apply") is None and (source == "folder" or (source == "video" and "://" not in str(path))):
        paths["path"] = path
    for key, value in paths.items():
        if value is not None and not _exists(value):
            yield f"{key}: no such file or folder '{value}'. Set {key}=<path>"
    if root and _is_file(root):
        yield f"root: '{root}' is a file; give a folder (it is created if it does not exist)"
    elif root:
        try:
            staging.check_writable(Path(os.path.expanduser(root)), "root")  # noqa: PTH111
        except UserError as error:
            yield str(error)
