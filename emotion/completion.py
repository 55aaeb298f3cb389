"""Completion on Tab: ``eval "$(emotion completion bash)"``, the same for zsh, ``emotion completion fish | source``.

The shell calls ``emotion completion words -- <words of the line>``, which prints what the last word may become.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from emotion.__main__ import verbs
from emotion.base import exits
from emotion.base.errors import UserError, did_you_mean
from emotion.config import CONF, cli, explain, schema
from emotion.listing import filters
from emotion.runs import published, record

_BASH = """_emotion() {
  local IFS=$'\\n' line="${COMP_LINE:0:COMP_POINT}"
  local words; read -r -a words -d '' <<< "${line// /$'\\n'}"
  [[ "$line" == *" " ]] && words+=("")
  COMPREPLY=($(emotion completion words -- "${words[@]:1}" 2>/dev/null))
  local last="${words[-1]}" shown="${COMP_WORDS[COMP_CWORD]}"
  [[ "$shown" == "=" ]] && shown=""
  COMPREPLY=("${COMPREPLY[@]#"${last%"$shown"}"}")
  [[ "${#COMPREPLY[@]}" == 1 && "${COMPREPLY[0]}" != *[=./] ]] || compopt -o nospace
}
complete -F _emotion emotion
"""
_ZSH = """#compdef emotion
_emotion() {
  local -a found
  found=("${(@f)$(emotion completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=("${(@)found:#}")
  compadd -Q -S '' -- "${(@M)found:#*[=./]}"
  compadd -Q -- "${(@)found:#*[=./]}"
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u }
compdef _emotion emotion
"""
_FISH = """function __emotion_words
  emotion completion words -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null
end
complete -c emotion -f -a '(__emotion_words)'
"""
SHELLS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}

_HELP = f"""Print what a shell needs to complete verbs, keys, options, paths and runs on Tab.

  eval "$(emotion completion bash)"          in ~/.bashrc
  eval "$(emotion completion zsh)"           in ~/.zshrc
  emotion completion fish | source           in ~/.config/fish/config.fish

Shells: {", ".join(SHELLS)}
"""

#: Keys whose value is the name of a run.
_RUNS = ("run", "runs", "resume", "again", "trainer.teacher")
_OWN = {
    "runs": ["clean", "--json", *(f"{key}=" for key in filters.KEYS)],
    "doctor": ["--json", "outputs="],
    "completion": list(SHELLS),
    "demo": [],
}


def main() -> None:
    with exits.exit_codes():
        arguments = sys.argv[1:]
        if arguments[:1] == ["words"]:
            print("\n".join(words(arguments[2:])))
        elif not arguments or arguments[0] in ("--help", "-h"):
            print(_HELP, end="")
        elif len(arguments) > 1 or arguments[0] not in SHELLS:
            shell = arguments[0]
            raise UserError(
                f"completion: no shell '{shell}'.{did_you_mean(shell, SHELLS)} There are: {', '.join(SHELLS)}"
            )
        else:
            print(SHELLS[arguments[0]], end="")


def words(line: Sequence[str]) -> list[str]:
    """What the last word of a line may become; the line is without ``emotion`` itself."""
    if len(line) < 2:
        return _beginning([*verbs(), "--help", "--version"], line[0] if line else "")
    verb, last = line[0], line[-1]
    if verb in _OWN:
        key, mark, value = last.partition("=")
        if verb == "runs" and mark and key == "status":
            return _beginning([f"status={status}" for status in filters.STATUSES], last)
        return (
            [f"outputs={path}" for path in _paths(value)] if key == "outputs" and mark else _beginning(_OWN[verb], last)
        )
    if verb not in verbs():
        return []
    if line[-2] == "--config-dir" and len(line) > 2:
        return [path for path in _paths(last) if path.endswith("/")]
    return _of_config(verb, [word for word in line[1:-1] if "=" in word], last, _after(line, "--config-dir"))


def _beginning(candidates: Iterable[str], last: str) -> list[str]:
    return [candidate for candidate in candidates if candidate.startswith(last)]


def _after(line: Sequence[str], flag: str) -> str | None:
    """The folder that follows a flag in a line."""
    folder = next((value for word, value in pairwise(line) if word == flag), None)
    return folder if folder and Path(folder).expanduser().is_dir() else None


def _of_config(verb: str, given: Sequence[str], last: str, config_dir: str | None) -> list[str]:
    """Keys, and values of keys, of a command that has a config."""
    schema.register()
    key, mark, value = last.partition("=")
    with cli.composing(str(CONF), config_dir):
        groups = explain.groups_of(verb)
        if mark and key in groups:
            return _beginning([f"{key}={option}" for option in explain.options(key)], last)
        cfg = explain.composed(verb, given)
    if mark and (key in _RUNS):
        return _beginning([f"{key}={name}" for name in _names(cfg)], last)
    if mark:
        choices = list(_choices(cfg, key))
        return _beginning([f"{key}={choice}" for choice in choices], last) or [
            f"{key}={path}" for path in _paths(value)
        ]
    flags = ["--help", "--cfg", "--config-dir", *(["--multirun"] if verb == "train" else [])]
    candidates = [f"{group}=" for group in groups] + [
        f"{name}." if _is_section(cfg, name) else f"{name}="
        for name in sorted(explain.keys(cfg))
        if name not in groups or _is_section(cfg, name)
    ]
    depth = last.count(".")
    return _beginning([c for c in candidates if c.rstrip(".").count(".") == depth or "." not in c] + flags, last)


def _is_section(cfg: DictConfig, key: str) -> bool:
    return OmegaConf.is_dict(OmegaConf.select(cfg, key))


def _choices(cfg: DictConfig, key: str) -> Iterator[Any]:
    """The words that a key takes, by its schema; else the value that it has."""
    parent, _, name = key.rpartition(".")
    section = OmegaConf.select(cfg, parent) if parent else cfg
    kind = OmegaConf.get_type(section) if OmegaConf.is_dict(section) else None
    field = next((f for f in fields(kind) if f.name == name), None) if is_dataclass(kind) else None
    if field is not None and field.metadata.get("choices"):
        yield from (choice for choice in field.metadata["choices"] if choice is not None)
    elif field is not None and field.type in (bool, "bool", "bool | None"):
        yield from ("true", "false")


def _names(cfg: DictConfig) -> list[str]:
    outputs = Path(str(cfg.get("outputs") or "outputs")).expanduser()
    folders = sorted(path.parent for path in outputs.glob(f"**/{record.NAME}"))
    return ["latest", "best", *published.shipped_ids(), *(f.relative_to(outputs).as_posix() for f in reversed(folders))]


def _paths(start: str) -> list[str]:
    """Files and folders that a path may become, folders with a slash at their end."""
    head, slash, name = start.rpartition("/")
    try:
        entries = sorted(Path(head + slash or ".").expanduser().iterdir())
    except OSError:
        return []
    hidden = name.startswith(".")
    shown = [entry for entry in entries if entry.name.startswith(name) and (hidden or not entry.name.startswith("."))]
    return [f"{head}{slash}{entry.name}{'/' if entry.is_dir() else ''}" for entry in shown]


if __name__ == "__main__":
    main()
