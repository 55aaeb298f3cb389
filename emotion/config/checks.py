"""Checking a composed config for what its types cannot say: unknown keys, choices, ranges, rules across keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from emotion.base.errors import UserError, did_you_mean
from emotion.config import rules
from emotion.config.commands import Audit, Collect, Training, Tune
from emotion.config.fields import problems
from emotion.config.schema import GROUPS, Augmentation, Dataset, MobileNetV2, Model, Trainer, Tuner

_BASES = {"dataset": Dataset, "augmentation": Augmentation, "trainer": Trainer, "tuner": Tuner}

_value = OmegaConf.select  # None where a key is absent or has no value yet


def validate(cfg: DictConfig) -> None:
    """Check what types cannot say; UserError names every wrong key, its value, what is allowed, the nearest match."""
    _raise(_problems(cfg))


def validate_paths(cfg: DictConfig) -> None:
    """Check that the files and folders which a validated config names exist; UserError names those that do not.

    This is apart from :func:`validate` because a config may be shown, or a run resumed, where its data is not.
    """
    _raise(_path_problems(cfg))


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
    votes = _value(cfg, "dataset.votes")
    if votes is not None and not _is_file(votes):
        yield f"dataset.votes: no such file '{votes}'. Set dataset.votes=<FER+'s fer2013new.csv>"
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
        elif value is not None and key in known:
            yield from problems(path, value, known[key])


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
