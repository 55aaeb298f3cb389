"""What users read keeps to the terms of CONTRIBUTING.md: help, messages, README, docs, templates."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPOSITORY

#: What was written by runs, and pages that record what was tried.
_RECORDS = ("results", "decisions")
_TEMPLATES = (".jinja", ".html", ".yaml", ".j2")


def terms() -> dict[str, str]:
    """Each expression that is not used, and what is written instead, as the table of CONTRIBUTING.md has it."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("| write | not |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]
    return {word.strip(): write for write, avoided in rows for word in avoided.split(",")}


def texts() -> Iterator[tuple[str, str]]:
    """Every text that users read, with where it is; docstrings are for those who write code."""
    for file in _pages():
        code = False
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            code ^= line.startswith("```") and file.suffix == ".md"
            if not code and not (file.name == "CONTRIBUTING.md" and line.startswith("| ")):
                yield f"{file.relative_to(REPOSITORY)}:{number}", line
    for file in sorted((REPOSITORY / "emotion").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                if " " not in node.value.strip():
                    continue  # a name, such as that of an operation
                yield f"{file.relative_to(REPOSITORY)}:{node.lineno}", node.value


def _pages() -> list[Path]:
    pages = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("conf/**/*.yaml"), *REPOSITORY.glob(".github/**/*.yml")]
    pages += [page for page in REPOSITORY.glob("docs/**/*.md") if not set(_RECORDS) & set(page.parts)]
    templates = (file for ending in _TEMPLATES for file in REPOSITORY.glob(f"emotion/**/*{ending}"))
    return [*pages, *(file for file in templates if "pretrained" not in file.parts)]


def test_what_users_read_keeps_to_the_preferred_terms() -> None:
    avoided = terms()
    assert len(avoided) > 40
    pattern = re.compile(
        rf"(?<![\w-])({'|'.join(map(re.escape, sorted(avoided, key=len, reverse=True)))})(?![\w(-])", re.I
    )
    found = [
        f"{where}: '{match[1]}', write: {avoided[match[1].lower()]}"
        for where, text in texts()
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_the_pages_are_found() -> None:
    names = {page.relative_to(REPOSITORY).as_posix() for page in _pages()}
    assert {"README.md", "SECURITY.md", "conf/train.yaml", "docs/architecture.md"} <= names
    assert any(name.endswith(".jinja") for name in names)
    assert sum(where.startswith("emotion/") for where, _ in texts()) > 3000
