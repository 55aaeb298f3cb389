"""Values as users typed them: paths, names of runs and sentences are text, whatever Hydra's grammar makes of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

#: Keys whose value is a path, an address, the name of a run (which may be a path) or a sentence; ``=``, ``,``, ``é``,
#: brackets and numbers in it mean themselves, and ``~`` is the user's own folder.
_TEXTS = frozenset(
    {"file", "source", "save", "log", "timeline", "snapshots", "folder", "root", "path", "against", "apply", "licence",
     "hardware", "name", "outputs", "run", "runs", "resume", "again", "dataset.root", "dataset.votes",
     "dataset.metadata", "dataset.cache_dir", "model.weights", "trainer.teacher", "hydra.sweep.dir", "hydra.run.dir"}
)  # fmt: skip
#: Those that may be a list.
_LISTS = frozenset(("run", "runs", "trainer.teacher", "apply"))
#: The group of each command that may be null; Hydra knows null there as a default only, not as an override.
_OPTIONAL = {"train": "experiment", "tune": "experiment"}
_OPTIONAL |= dict.fromkeys(("evaluate", "adopt", "export", "publish"), "dataset")
#: What needs no quotes, neither for Hydra nor for a shell.
_PLAIN = re.compile(r"[\w./-][\w./~-]*", re.ASCII)


def readable(command: str, overrides: list[str], multirun: bool) -> Iterator[str]:
    """Overrides in a form that Hydra reads as the user meant."""
    for text in overrides:
        name, mark, value = text.partition("=")
        if command == "adopt" and name == "model":  # which Hydra would look up among the options of conf/model
            name = "file"
        plain = name.partition("@")[0]
        if mark and plain in _TEXTS:
            yield f"{name}={_text(plain, value, multirun, command == 'tune')}"
        elif not (name == _OPTIONAL.get(command) and value.strip() == "null"):
            yield text


@dataclass(frozen=True)
class Bound:
    """A value, or several, that one option of a group takes in a sweep: ``model.weights@mobilenet_v2=null``."""

    key: str
    option: str
    value: str

    @property
    def group(self) -> str:
        return self.key.partition(".")[0]

    @property
    def choice(self) -> str:
        return f"{self.group}={self.option}"

    @property
    def override(self) -> str:
        return f"{self.key}={self.value}"

    @property
    def text(self) -> str:
        return f"{self.key}@{self.option}={self.value}"


def bound(text: str) -> Bound | None:
    """An override for one option alone; None of any other."""
    match = re.fullmatch(r"(\w+\.[\w.]+)@([\w-]+)=(.*)", text, re.DOTALL)
    return Bound(*match.groups()) if match else None


def for_sweeper(values: tuple[Bound, ...]) -> list[str]:
    """What hands them to the sweeper, as ``hydra.sweeper.params`` of a config file does."""
    pairs = ", ".join(f"{b.key}@{b.option}: {quoted(b.value)}" for b in values)
    return [f"++hydra.sweeper.params={{{pairs}}}"] if values else []


def parsed(text: str) -> Override | None:
    """An override as Hydra reads it; None if it cannot, which is explained when the config is composed."""
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return None


def _text(name: str, value: str, multirun: bool, searches: bool) -> str:
    """A value as one text for Hydra, or several, where the command takes several."""
    bare = value.strip()
    if bare == "null" or "${" in bare or (name == "resume" and bare in ("true", "false")):
        return value
    if name in _LISTS and bare.startswith("[") and bare.find("]") == len(bare) - 1:
        parts = re.findall(r"""'[^']*'|"[^"]*"|[^,'"\s][^,]*""", bare[1:-1])
        return f"[{','.join(_one(part.strip()) for part in parts)}]"
    if (multirun or searches) and not _exists(bare):
        override = parsed(f"{name}={value}")
        if override is not None and override.is_sweep_override():
            return value
        if multirun and override is None and "," in bare and bare[0] not in "'\"":
            return ",".join(_one(part) for part in bare.split(","))
    return _one(value)


def _one(value: str) -> str:
    """A text without the quotes that it was given for Hydra, with the user's folder for ``~``."""
    if len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]:
        override = parsed(f"x={value}")
        value = value[1:-1] if override is None else str(override.value())
    if value.startswith("~"):
        with suppress(RuntimeError):  # no user has that name, which is said where the path is used
            value = str(Path(value).expanduser()) + "/" * value.endswith("/")
    return quoted(value)


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False


def quoted(path: Path | str) -> str:
    """Quote a path for Hydra's override grammar, where a backslash escapes a quote and nothing else."""
    escaped = re.sub(r"(\\+)(?='|$)", r"\1\1", str(path)).replace("'", "\\'")
    return f"'{escaped}'"


def as_typed(key: str, path: Path | str) -> str:
    """``key=path`` as a user types it: quoted for the shell and, where its characters mean something, for Hydra."""
    return shlex.quote(f"{key}={path if _PLAIN.fullmatch(str(path)) else quoted(path)}")


def retyped(override: str) -> str:
    """An override that Hydra has read, as a user types it: a path without the quotes that it was given for Hydra."""
    key, _, value = override.partition("=")
    if key not in _TEXTS or value[:1] not in ("'", '"') or (read := parsed(override)) is None:
        return override
    text = str(read.value())
    return f"{key}={text}" if _PLAIN.fullmatch(text) and text not in ("null", "true", "false") else override
