"""What Hydra prints, for users: one sentence per mistake in a command line, and ``--help`` with each key's comment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
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

from emotion.base.errors import UserError, did_you_mean
from emotion.config import CONF
from emotion.config.typed import as_typed

#: What Hydra raises when a config does not compose; ValueError for ``model=null``.
COMPOSING = (HydraException, OmegaConfBaseException, ValueError, YAMLError)

#: More than this nobody types: characters of a key, digits, interpolations and characters of an argument.
_LONGEST_KEY, _MOST_DIGITS, _MOST_NESTED, _LONGEST_ARGUMENT = 200, 300, 50, 100_000

_LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z_]\w*):(?P<value>[^#]*?)(?:\s+#\s*(?P<comment>.*))?$")


def refuse_unusable(overrides: Iterable[str]) -> None:
    """An empty value is a mistake for every key, such as that of a shell variable which is not set.

    So is a key or a number that nobody types: Hydra's parser would take minutes, or Python refuse.
    """
    for text in overrides:
        key, mark, _ = text.partition("=")
        if len(key) > _LONGEST_KEY:
            raise UserError(f"{key[:60]}...: {len(key):,} characters before the '=', which no key has")
        if re.search(rf"\d{{{_MOST_DIGITS}}}", text):
            raise UserError(f"{key if mark else key[:60]}: a number of more than {_MOST_DIGITS} digits")
        if len(text) > _LONGEST_ARGUMENT or text.count("${") > _MOST_NESTED or text.count("[") > _LONGEST_KEY:
            raise UserError(f"{key}: {len(text):,} characters, more than a value has; put it into a config file")
    texts = (text.partition("=") for text in overrides)
    empty = [key for key, mark, value in texts if mark and key and key[0] != "~" and value.strip() in ("", "''", '""')]
    if empty:
        raise UserError("\n".join(f"{key}: nothing after the '='; is a shell variable not set?" for key in empty))


def refuse_lists(overrides: Iterable[str]) -> None:
    """A group takes one option: of several, Hydra would mix the values. Call it inside the Hydra context."""
    groups = _groups()
    for text in overrides:
        key, _, value = text.partition("=")
        group = key.lstrip("+").partition("@")[0]
        if group in groups and value.strip()[:1] in ("[", "{"):
            raise UserError(f"{key}: {value} must be the name of one option: {', '.join(options(group))}")


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
            yield _for_some_options(override, command, choosing) or _unknown_key(key, known, groups)
            continue
        try:
            compose(command, [*usable, override.input_line or ""])
        except COMPOSING as error:
            yield f"{key}: {_wrong_value(override, error)}"


def _for_some_options(override: Override, command: str, choosing: list[Override]) -> str:
    """How to set a key that only some of a sweep's options have; empty where none has it."""
    key, value = override.get_key_element(), override.get_value_element_as_str()
    swept = [o for o in choosing if o.is_sweep_override() and o.get_key_element() == key.partition(".")[0]]
    options = [str(option) for o in swept for option in o.sweep_string_iterator()]
    group = key.partition(".")[0]
    having = [option for option in options if key in keys(compose(command, [f"{group}={option}"]))]
    if not having:
        return ""
    absent = ", ".join(option for option in options if option not in having)
    ways = " ".join(f"'{key}@{option}={value}'" for option in having)
    return f"{key}: {group}={absent} has no such key. Set it for {', '.join(having)} alone: {ways}"


def groups_of(command: str) -> list[str]:
    """The config groups that mean something to a command, as its file's list of defaults has them."""
    entries = OmegaConf.load(CONF / f"{command}.yaml").defaults
    named = [str(next(iter(entry))) for entry in entries if OmegaConf.is_dict(entry)]
    own = [name for name in named if not name.startswith("override")]
    return [*own, "hydra/launcher"] if command == "train" else own


def composed(command: str, overrides: Iterable[str]) -> DictConfig:
    """The config with those overrides of an unfinished command line that it takes, in the Hydra context."""
    usable: list[str] = []
    cfg = compose(command)
    for override in overrides:
        try:
            cfg = compose(command, [*usable, override])
        except COMPOSING:
            continue
        usable.append(override)
    return cfg


def _groups() -> set[str]:
    groups = set(GlobalHydra.instance().config_loader().list_groups("")) - {"hydra"}
    return groups | {"hydra/launcher", "hydra/sweeper", "hydra/job_logging"}


def options(group: str) -> list[str]:
    """The options of a config group, in the Hydra context."""
    options = GlobalHydra.instance().config_loader().get_group_options(group, ObjectType.CONFIG)
    return [option for option in options if not option.startswith("base_")]


def _group_problems(override: Override) -> Iterator[str]:
    group = override.get_key_element().lstrip("+~")
    allowed = options(group)
    values = list(override.sweep_string_iterator()) if override.is_sweep_override() else [override.value()]
    for value in values:
        if value is None and not override.is_delete():
            yield f"{group}: null is no option. Allowed: {', '.join(allowed)}"
        elif value is not None and str(value) not in allowed:
            yield f"{group}: no option '{value}'.{did_you_mean(str(value), allowed)} Allowed: {', '.join(allowed)}"


def _unparsable(text: str, error: Exception) -> str:
    if "=" not in text:
        return f"'{text}': expected key=value. A flag starts with --; a value with spaces needs quotes"
    key, value = text.split("=", 1)
    if "NoneType is incompatible" in str(error):
        return f"{key}: null cannot be one of several values; leave it out of {value}"
    reason = str(error).splitlines()[0]
    return f"{key}: cannot read the value {value!r} ({reason}). If it is text, quote it twice: {as_typed(key, value)}"


def _unknown_key(key: str, keys: set[str], groups: set[str]) -> str:
    group, _, rest = key.partition(".")
    if rest and group in groups and not any(k.startswith(f"{group}.") for k in keys):
        return f"{key}: no {group} is chosen; say which as well: {group}={'|'.join(options(group))}"
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
    causes = _causes(error)
    reasons = {
        "could not be converted to Integer": f"'{value}' must be a whole number",
        "could not be converted to Float": f"'{value}' must be a number",
        "could not be converted to String": f"'{value}' must be text",
        "could not be converted to list": f"'{value}' must be a list, such as [a,b]",
        "is not a valid bool": f"'{value}' must be true or false",
        "is not Optional": "null is not allowed here",
    }
    return next(
        (text for part, text in reasons.items() if any(part in str(cause) for cause in causes)),
        f"'{value}' does not fit ({plain(causes[-1])})",
    )


def _causes(error: BaseException) -> list[BaseException]:
    """An exception and what caused it; under a debugger or with OC_CAUSE=1 OmegaConf's may lead back to themselves."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and all(cause is not each for each in causes):
        causes.append(cause)
    return causes


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
    text = ": ".join(dict.fromkeys(lines))
    key = str(getattr(error, "full_key", None) or getattr(cause, "full_key", None) or "")
    return text if key in text else f"{key}: {text}"


#: Below the help of commands that take a run.
_NAMES = """
Runs are named by id, the beginning of one, a path, or:
  latest      the last run that can do what is asked; it says which it passes over, such as failed ones
  best        the finished run with the highest validation macro-F1 among those trained on the data of the last finished
              run; it says of how many, and how many on other data were not compared
  pretrained  the run that is installed with emotion
"""


def with_comments(text: str, command: str, conf: Path) -> str:
    """A command's help text from Hydra, with each key's comment from the config files in the folder ``conf``.

    Groups that mean nothing to the command are left out; how runs are named is added where it takes one.
    """
    head, values, body = text.partition("Values (set with key=value)\n")
    if not values:  # completions, or Hydra's help about itself
        return text
    before, title, groups = head.partition("Groups (choose with group=option)\n")
    wanted = groups_of(command) if title else []
    shown = [line for line in groups.splitlines(True) if ": " not in line or line.partition(":")[0] in wanted]
    head = before + title + "".join(shown)
    said = comments(conf / f"{command}.yaml")
    chosen = set(re.findall(r"^  name: (\S+)$", body, flags=re.MULTILINE))
    for folder in sorted(p for p in conf.iterdir() if p.is_dir()):
        for file in sorted(folder.glob("*.yaml"), key=lambda p: (p.stem not in chosen, p.name)):
            said = comments(file, f"{folder.name}.") | said
    lines = list(_paths(body.splitlines()))
    width = max((len(line) for line, path in lines if path in said and len(line) <= 40), default=0)
    body = "\n".join(f"{line:<{width}}  # {said[path]}" if path in said else line for line, path in lines)
    names = _NAMES if re.search(r"^(run|runs|resume):", body, re.MULTILINE) else ""
    return head + values + body + "\n" + names


def comments(file: Path, prefix: str = "") -> dict[str, str]:
    """What a config file says of each of its keys, dotted, with the lines that continue a comment under its mark."""
    found: dict[str, str] = {}
    last, column = "", -1
    for line, path in _paths(file.read_text().splitlines()):
        match = _LINE.match(line)
        if match and match["comment"]:
            last, column = prefix + path, line.index("#", match.end("value"))
            found[last] = match["comment"].strip()
        elif column >= 0 and line.find("#") == column and not line[:column].strip():
            found[last] += f" {line[column + 1 :].strip()}"
        else:
            column = -1
    return found


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
