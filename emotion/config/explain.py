"""What Hydra prints, for users: one sentence per mistake in a command line, and ``--help`` with each key's comment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

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

_LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z_]\w*):(?P<value>[^#]*?)(?:\s+#\s*(?P<comment>.*))?$")


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


def with_comments(text: str, command: str, conf: Path) -> str:
    """A command's help text from Hydra, with each key's comment from the config files in the folder ``conf``."""
    head, values, body = text.partition("Values (set with key=value)\n")
    if not values:  # completions, or Hydra's help about itself
        return text
    comments = _comments(conf / f"{command}.yaml", "")
    chosen = set(re.findall(r"^  name: (\S+)$", body, flags=re.MULTILINE))
    for folder in sorted(p for p in conf.iterdir() if p.is_dir()):
        for file in sorted(folder.glob("*.yaml"), key=lambda p: (p.stem not in chosen, p.name)):
            comments = _comments(file, f"{folder.name}.") | comments
    lines = list(_paths(body.splitlines()))
    width = max((len(line) for line, path in lines if path in comments and len(line) <= 40), default=0)
    body = "\n".join(f"{line:<{width}}  # {comments[path]}" if path in comments else line for line, path in lines)
    return head + values + body + "\n"


def _comments(file: Path, prefix: str) -> dict[str, str]:
    matches = ((path, _LINE.match(line)) for line, path in _paths(file.read_text().splitlines()))
    return {prefix + path: match["comment"] for path, match in matches if match and match["comment"]}


def _paths(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Each line with the dotted path of its key, or an empty one where it has none."""
    parents: list[tuple[int, str]] = []
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            yield line, ""
            continue
        indent = len(match["indent"])
        parents = [(depth, key) for depth, key in parents if depth < indent] + [(indent, match["key"])]
        yield line, ".".join(key for _, key in parents)
