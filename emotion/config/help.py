"""The keys that ``--help`` lists, each with its comment in ``conf/``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z_]\w*):(?P<value>[^#]*?)(?:\s+#\s*(?P<comment>.*))?$")


def explained(text: str, command: str, conf: Path) -> str:
    """Add to each ``key: value`` line of a help text the comment of that key in the config files.

    Args:
        text: What Hydra prints.
        command: The command's config file, such as ``live``.
        conf: The folder of the config files.
    """
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
