"""Remove from a run's records what identifies a machine or its users: folders, host, process."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PureWindowsPath
from typing import Any

#: Fields of ``run.json`` that describe the process only, or name files of the data.
DROPPED = ("host", "pid", "unreadable")
#: A folder that is the same for all users.
_CACHE = "~/.cache/emotion"

_ABSOLUTE = r"(?:~[\w.-]*[/\\]|[A-Za-z]:[/\\]|/(?!/)|\\\\)"
_IS_PATH = re.compile(rf"{_ABSOLUTE}.+", re.DOTALL)
# In running text a path ends where a space or a bracket begins; the slashes of addresses and of `and/or` begin none.
_IN_TEXT = re.compile(rf"(?:(?<![\w./\\~}}-])|(?<=file://)){_ABSOLUTE}[^\s'\"<>|,;:()\[\]{{}}]+")
# A value inside a list, a dict or a function of Hydra's; the braces of an interpolation are none of these.
_INNER = re.compile(r"""'(?:\\.|[^'])*'|"(?:\\.|[^"])*"|(?:\$\{[^{}]*\}|\\.|[^\[\]{}(),'"])+""")
_INNER_KEY = re.compile(r"(?!\s*[A-Za-z]:[/\\])[^:/\\]+:(?!//)\s*")
#: Keys of a command whose values may contain a slash but are no paths: options of a group.
_GROUPS = ("experiment", "dataset", "augmentation", "model", "trainer", "tuner", "hydra/launcher")


def last(path: str) -> str:
    """The last part of a path of any system."""
    return PureWindowsPath(path.strip()).name or path


def run_name(path: str, outputs: str) -> str:
    """A run's name: its path below the outputs folder if that is a part of it, else its last part."""
    parts, root = PureWindowsPath(path.strip()).parts, last(outputs)
    if root in parts[:-1]:
        return "/".join(parts[len(parts) - parts[::-1].index(root) :])
    return last(path)


def text(words: str) -> str:
    """Running text, with each absolute path reduced to its last part."""
    return _IN_TEXT.sub(lambda match: last(match[0]), words)


def record(content: dict[str, Any], outputs: str) -> dict[str, Any]:
    """A run's ``run.json`` without :data:`DROPPED` and without folders."""
    return {
        key: command(value, outputs) if key == "command" and isinstance(value, str) else _walk(value, key, outputs)
        for key, value in content.items()
        if key not in DROPPED
    }


def config(content: dict[str, Any]) -> dict[str, Any]:
    """A run's config without folders: its data, weights and teacher are named by their last part or their id."""
    scrubbed: dict[str, Any] = _walk(content, "", str(content.get("outputs") or "outputs"))
    return scrubbed


def _walk(value: Any, key: str, outputs: str) -> Any:
    if isinstance(value, dict):
        return {k: _walk(v, f"{key}.{k}".lstrip("."), outputs) for k, v in value.items()}
    if isinstance(value, list):
        return [_walk(v, key, outputs) for v in value]
    if not isinstance(value, str):
        return value
    if key == "dataset.cache_dir":
        return _CACHE
    if not _IS_PATH.fullmatch(value):
        return text(value)
    return run_name(value, outputs) if key.rpartition(".")[2] == "teacher" else last(value)


def command(line: str, outputs: str) -> str:
    """A command as the user typed it, with each path that leads out of its folder reduced to its last part."""
    try:
        words = shlex.split(line)
    except ValueError:  # an apostrophe in a text that is no shell's
        return text(line)
    return shlex.join(_word(word, outputs) for word in words)


def _word(word: str, outputs: str) -> str:
    key, mark, value = word.partition("=")
    if not mark:
        return last(word) if _leads_out(word) else text(word)
    name = key.lstrip("+~")
    if re.match(r"[\[{]|\w+\(", value):
        return f"{key}={_INNER.sub(lambda match: _inner(match[0], name, outputs), value)}"
    if name in _GROUPS and not _IS_PATH.fullmatch(value.strip("'\"")):
        return word
    return f"{key}={_value(value, name, outputs)}"


def _inner(value: str, key: str, outputs: str) -> str:
    own = _INNER_KEY.match(value)
    return own[0] + _value(value[own.end() :], key, outputs) if own else _value(value, key, outputs)


def _value(value: str, key: str, outputs: str) -> str:
    bare = value.strip("'\" ")
    if "://" in bare and not bare.startswith("file:"):
        return value
    if not (_leads_out(bare) or (bare and key == "trainer.teacher")):
        return text(value)
    short = run_name(bare, outputs) if key == "trainer.teacher" else last(bare)
    return f"{value[0]}{short}{value[0]}" if value[:1] in ("'", '"') else short


def _leads_out(path: str) -> bool:
    """Whether a path says where the folder is in which a command was typed; one that stays in it is kept."""
    return bool(re.search(rf"^{_ABSOLUTE}|(^|[/\\])\.\.([/\\]|$)", path))


def changes(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """What was changed, in words, one value per line."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            place = f"{where}.{key}".lstrip(".")
            if key in after:
                yield from changes(value, after[key], place)
            else:
                yield f"{place} left out"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, pair in enumerate(zip(before, after, strict=True)):
            yield from changes(*pair, f"{where}[{number}]")
    elif before != after:
        yield f"{where}: now {after}"
