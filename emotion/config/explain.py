"""Explaining why a command line does not compose: one sentence per mistake, instead of Hydra's message."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from emotion.base.errors import did_you_mean

#: What Hydra raises when a config does not compose; ValueError for ``model=null``.
COMPOSING = (HydraException, OmegaConfBaseException, ValueError, YAMLError)


def explain(error: Exception, command: str, overrides: list[str]) -> str:
    """What is wrong with these overrides: key, value, what is allowed, the nearest match.

    Call it inside the Hydra context in which composing them raised ``error``.
    """
    return "\n".join(_problems(command, overrides)) or _in_a_file(error) or plain(error)


def _problems(command: str, overrides: list[str]) -> Iterator[str]:
    parser = OverridesParser.create()
    groups = _groups()
    choosing: list[Override] = []
    setting: list[Override] = []
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except HydraException as error:
            yield _unparsable(text, error)
            continue
        (choosing if override.get_key_element().lstrip("+~") in groups else setting).append(override)
    usable = []
    for override in choosing:
        problems = list(_group_problems(override))
        yield from problems
        if not problems and not override.is_sweep_override():
            usable.append(override.input_line or "")
    try:
        known = keys(compose(command, usable))
    except COMPOSING:
        return
    for override in setting:
        key = override.get_key_element()
        if key.startswith(("+", "~", "hydra.")) or override.is_sweep_override():
            continue
        if key not in known:
            yield _unknown_key(key, known, groups)
            continue
        try:
            compose(command, [*usable, override.input_line or ""])
        except COMPOSING as error:
            yield f"{key}: {_wrong_value(override, error)}"


def _groups() -> set[str]:
    groups = set(GlobalHydra.instance().config_loader().list_groups("")) - {"hydra"}
    return groups | {"hydra/launcher", "hydra/sweeper", "hydra/job_logging"}


def _options(group: str) -> list[str]:
    options = GlobalHydra.instance().config_loader().get_group_options(group, ObjectType.CONFIG)
    return [option for option in options if not option.startswith("base_")]


def _group_problems(override: Override) -> Iterator[str]:
    group = override.get_key_element().lstrip("+~")
    options = _options(group)
    values = list(override.sweep_string_iterator()) if override.is_sweep_override() else [override.value()]
    for value in values:
        if value is None and not override.is_delete():
            yield f"{group}: null is no option. Allowed: {', '.join(options)}"
        elif value is not None and str(value) not in options:
            yield f"{group}: no option '{value}'.{did_you_mean(str(value), options)} Allowed: {', '.join(options)}"


def _unparsable(text: str, error: Exception) -> str:
    if "=" not in text:
        return f"'{text}': expected key=value. A flag starts with --; a value with spaces needs quotes"
    reason = str(error).splitlines()[0]
    key, value = text.split("=", 1)
    return f"{key}: cannot read the value {value!r} ({reason}). Quote it twice: \"{key}='{value}'\""


def _unknown_key(key: str, keys: set[str], groups: set[str]) -> str:
    group, _, rest = key.partition(".")
    if rest and group in groups and not any(k.startswith(f"{group}.") for k in keys):
        return f"{key}: no {group} is chosen; say which as well: {group}={'|'.join(_options(group))}"
    parent = key.rpartition(".")[0]
    siblings = sorted(k.rpartition(".")[2] for k in keys if k.rpartition(".")[0] == parent)
    hint = did_you_mean(key, keys | groups) or did_you_mean(key.rpartition(".")[2], keys | groups)
    allowed = f" Allowed under {parent}: {', '.join(siblings)}" if parent and siblings else ""
    return f"{key}: no such key.{hint}{allowed}"


def keys(cfg: DictConfig, prefix: str = "") -> set[str]:
    """Every key of a config, dotted, groups included."""
    dotted: set[str] = set()
    for key in map(str, cfg):
        dotted.add(f"{prefix}{key}")
        if not OmegaConf.is_missing(cfg, key) and not OmegaConf.is_interpolation(cfg, key):
            value = cfg[key]
            if isinstance(value, DictConfig):
                dotted |= keys(value, f"{prefix}{key}.")
    return dotted


def _wrong_value(override: Override, error: Exception) -> str:
    value = override.get_value_element_as_str()
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    reasons = {
        "could not be converted to Integer": f"'{value}' must be a whole number",
        "could not be converted to Float": f"'{value}' must be a number",
        "could not be converted to String": f"'{value}' must be text",
        "could not be converted to list": f"'{value}' must be a list, such as [a,b]",
        "is not a valid bool": f"'{value}' must be true or false",
        "is not Optional": "null is not allowed here",
    }
    return next(
        (text for part, text in reasons.items() if part in str(cause)), f"'{value}' does not fit ({plain(cause)})"
    )


def _in_a_file(error: BaseException) -> str:
    """A key of a YAML file that the chosen groups do not have, such as in an experiment for another model."""
    file = re.match(r"In '([^']+)'", str(error))
    key = re.search(r"full_key: (\S+)", str(error))
    schema = re.search(r"Key '[^']+' not in '(\w+)'", str(error))
    if not (file and key and schema):
        return ""
    group = key[1].partition(".")[0]
    return f"{key[1]}: {file[1]}.yaml sets it, but the chosen {group}, {schema[1]}, has no such key; choose another"


def plain(error: BaseException) -> str:
    """The first line of an exception and of what caused it."""
    if isinstance(error, YAMLError):
        return " ".join(str(error).split())  # its last line has the position
    lines = [str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__]
    cause = error.__cause__
    if cause is not None and str(cause).strip():
        lines.append(str(cause).strip().splitlines()[0])
    return ": ".join(dict.fromkeys(lines))
