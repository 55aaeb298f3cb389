"""Every config key, made of the schema (types, ranges, units) and of ``conf/`` (values, comments)."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from emotion.config import commands, explain, schema

#: Names of the types for a reader who does not write Python.
_WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text", Any: "several forms"}


@dataclass(frozen=True)
class Key:
    """One key of a config: ``takes`` is its type with the allowed values and their unit."""

    path: str
    default: str
    takes: str
    meaning: str

    def entry(self, command: str = "") -> str:
        """An entry of a definition list; its anchor is the command and the key, with a dash for each dot."""
        anchor = f"{command}-{self.path}".lstrip("-").replace(".", "-").replace("/", "-")
        meaning = re.sub(r"([<\[\]*_{}])", r"\\\1", self.meaning)  # no HTML, links or emphasis
        return f"[`{self.path}`]{{#{anchor}}} = `{self.default}`\n: {self.takes}{': ' if meaning else ''}{meaning}\n\n"


def of_commands() -> str:
    """A section for each command with its own keys; those of config groups are named."""
    return "\n".join(_command(command) for command in commands.COMMANDS)


def _command(command: type) -> str:
    name = command.__name__.lower()
    file = schema.CONF / f"{name}.yaml"
    cfg = _loaded(file)
    header = OmegaConf.select(cfg, "hydra.help.header")
    groups = [f"[`{group}`](groups.md#{group})" for group in _groups(cfg)]
    chosen = f"\n\nConfig groups: {', '.join(groups)}." if groups else ""
    rows = "".join(
        key.entry(name) for key in keys(command, cfg, explain.comments(file)) if key.path not in _groups(cfg)
    )
    return f"## emotion {name}\n\n{header}{chosen}\n\n{rows}"


def _groups(cfg: DictConfig) -> list[str]:
    """The config groups of a command: its ``defaults`` list without schemas, itself and Hydra's own."""
    entries = [str(next(iter(entry))) for entry in cfg.defaults if OmegaConf.is_dict(entry)]
    return [entry for entry in entries if not entry.startswith("override") and entry != "experiment"]


def of_groups() -> str:
    """A section for each config group, its schemas and its options."""
    return "\n".join(_group(group) for group in schema.GROUPS)


def _group(group: str) -> str:
    folder, typed = schema.CONF / group, group.replace("/", ".")
    parts = [f"## {group}\n"]
    if group == "augmentation":
        parts.append(_operations())
    files = [file for file in sorted(folder.glob("*.yaml")) if file.stem != "base_search"]
    schemas = schema.GROUPS[group]
    for name, kind in schemas.items():
        options = [file for file in files if _base(file) == name]
        if not options:
            continue
        first = next((file for file in options if file.stem in (name, "default", "light")), options[0])
        said = explain.comments(folder / "base_search.yaml") if group == "tuner" else {}
        own = first.stem if len(schemas) > 1 else ""
        rows = "".join(key.entry(own) for key in keys(kind, _whole(first), said | explain.comments(first), f"{typed}."))
        parts.append(f"### {group}={first.stem}\n\n{_head_comment(first)}\n\n{rows}")
        parts += [_differing(group, file, first) for file in options if file != first]
    return "\n".join(parts)


def of_experiments() -> str:
    """A row for each experiment: what its file says it is."""
    rows = []
    for file in sorted((schema.CONF / "experiment").glob("*.yaml")):
        rows.append(f"| `experiment={file.stem}` | {_head_comment(file)} |\n")
    return "| experiment | what it is |\n|---|---|\n" + "".join(rows)


def keys(kind: type, cfg: Mapping[Any, Any] | DictConfig, said: dict[str, str], prefix: str = "") -> Iterator[Key]:
    """The keys of a schema in its order, those of its parts dotted.

    Args:
        kind: The dataclass.
        cfg: The values of its YAML file; keys that it leaves out have the dataclass's default.
        said: The comment of each key, dotted, without ``prefix``.
        prefix: Of the path that is typed.
    """
    hints = typing.get_type_hints(kind)
    given = OmegaConf.to_container(cfg, resolve=False) if isinstance(cfg, DictConfig) else cfg
    for field in fields(kind):
        if field.name == "_target_":
            continue
        hint, value = hints[field.name], given.get(field.name, field.default)
        if is_dataclass(hint):
            inner = {k.removeprefix(f"{field.name}."): v for k, v in said.items() if k.startswith(f"{field.name}.")}
            yield from keys(hint, value, inner, f"{prefix}{field.name}.")
        else:
            yield Key(f"{prefix}{field.name}", _inline(value), _takes(hint, field), said.get(field.name, ""))


def _inline(value: Any) -> str:
    """A value as it would be typed."""
    if value == MISSING:
        return "required"
    if isinstance(value, dict) and value and all(isinstance(v, list) for v in value.values()):
        return "{" + ", ".join(f"{name}: [...]" for name in value) + "}"  # the search words, which are many
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if isinstance(value, bool) or value is None else str(value)


def _takes(hint: Any, field: Field[Any]) -> str:
    hint, optional = _without_none(hint)
    choices = field.metadata.get("choices")
    text = " | ".join(f"`{choice}`" for choice in choices) if choices else _type(hint)
    low, high = field.metadata.get("range", (None, None))
    if low is not None:
        text += f", {_number(low)} or more" if high is None else f", {_number(low)} to {_number(high)}"
    unit = field.metadata.get("unit")
    return text + (f", {unit}" if unit else "") + (" (or `null`)" if optional else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _without_none(hint: Any) -> tuple[Any, bool]:
    if isinstance(hint, types.UnionType):
        return next(part for part in hint.__args__ if part is not type(None)), True
    return hint, False


def _type(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return "list" if inner[0] is Any else f"list of {_WORDS[inner[0]]}s"
    return "mapping" if origin is dict else _WORDS[hint]


def _loaded(file: Path) -> DictConfig:
    cfg = OmegaConf.load(file)
    assert isinstance(cfg, DictConfig)
    return cfg


def _parents(file: Path) -> list[Path]:
    """Other files of the group that a file takes values from, the first of them first."""
    named = [file.parent / f"{entry}.yaml" for entry in _loaded(file).get("defaults", []) if isinstance(entry, str)]
    return [path for path in named if path.is_file() and path != file]


def _whole(file: Path) -> DictConfig:
    merged = OmegaConf.merge(*(_whole(parent) for parent in _parents(file)), _loaded(file))
    assert isinstance(merged, DictConfig)
    return merged


def _base(file: Path) -> str:
    """The name of a file's schema."""
    entries = [str(entry) for entry in _loaded(file).get("defaults", [])]
    own = next((entry for entry in entries if entry.startswith("base_") and entry != "base_search"), None)
    return own.removeprefix("base_") if own else _base(_parents(file)[0])


def _differing(group: str, file: Path, first: Path) -> str:
    """An option of the same kind as ``first``: what it sets otherwise."""
    own, usual = (OmegaConf.to_container(_whole(option), resolve=False) for option in (file, first))
    differing = {k: v for k, v in own.items() if k not in ("defaults", "name", "ops") and v != usual.get(k, v)}
    values = ", ".join(f"`{key}: {_inline(value)}`" for key, value in differing.items())
    operations = ""
    if "ops" in own:
        names = ", ".join(f"`{next(iter(op))}`" for op in own["ops"])
        operations = f" Operations: {names or 'none'}."
    other = f" Other values than `{group}={first.stem}`: {values}." if values else ""
    return f"### {group}={file.stem}\n\n{_head_comment(file)}{operations}{other}\n"


def _operations() -> str:
    """The operations of ``augmentation.ops`` with their parameters and what the files say of them."""
    said: dict[str, str] = {}
    for file in sorted((schema.CONF / "augmentation").glob("*.yaml")):
        for line in file.read_text().splitlines():
            name, _, comment = line.strip().removeprefix("- ").partition("#")
            if line.strip().startswith("- ") and comment:
                said.setdefault(name.partition(":")[0], comment.strip())
    rows = "".join(
        f"| `{name}` | `{_inline(dict(parameters))}` | {said.get(name, '')} |\n"
        for name, parameters in schema.OPS.items()
    )
    head = "| operation | parameters and defaults | meaning |\n|---|---|---|\n"
    return f"### Operations of augmentation.ops\n\n{head}{rows}"


def _head_comment(file: Path) -> str:
    """The sentences at the top of a file, without its commands and measurements."""
    lines: list[str] = []
    for line in file.read_text().splitlines():
        text = line.removeprefix("#").strip()
        if line.startswith("# @package"):
            continue
        if not line.startswith("#") or not text or line.startswith("#  "):
            break
        lines.append(text)
    return " ".join(lines)
