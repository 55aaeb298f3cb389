"""What the site needs beside Sphinx: tables made of the schema, pages that lie outside ``docs/``, offline formulas."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import schema_tables
from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx

_TABLES = {
    "commands": schema_tables.of_commands,
    "groups": schema_tables.of_groups,
    "experiments": schema_tables.of_experiments,
}
#: Files of the repository that are pages of the site: path from its root -> page from ``docs/``.
PAGES = {
    "SECURITY.md": "project/security.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
    "emotion/pretrained/live/README.md": "results/live.md",
}
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", _prepare)
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _prepare(app: Sphinx, page: str, source: list[str]) -> None:
    """Fill in ``<!-- schema: commands -->`` and ``<!-- file: SECURITY.md -->``; lead links to files to their pages."""
    docs = Path(app.srcdir)
    here = (docs / page).parent
    text = re.sub(r"<!-- schema: (\w+) -->", lambda match: _TABLES[match[1]](), source[0])
    text = _LINK.sub(lambda match: f"]({_place(match[1], here, here, docs)}", text)
    files = re.split(r"<!-- file: (\S+) -->", text)
    for i in range(1, len(files), 2):
        file = docs.parent / files[i]
        files[i] = _LINK.sub(lambda match: f"]({_place(match[1], file.parent, here, docs)}", file.read_text())  # noqa: B023
    source[0] = "".join(files)


def _place(target: str, folder: Path, here: Path, docs: Path) -> str:
    """A link of a file in ``folder``, as a page in the folder ``here`` writes it."""
    path = (folder / target).resolve()
    if path.is_relative_to(docs.parent):
        path = docs / PAGES.get(path.relative_to(docs.parent).as_posix(), path)
    return os.path.relpath(path, here)


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(latex2mathml.tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.math_block) -> None:
    self.body.append(latex2mathml.tex2mathml(node.astext(), as_block=True))
    raise nodes.SkipNode
