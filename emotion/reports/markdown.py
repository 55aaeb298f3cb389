"""Markdown: documents from Jinja2 templates, tables, and plain text that is shown unchanged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from emotion.base import words

# What Markdown would take for markup in plain text; underscores within words are none.
_MARKUP = re.compile(r"[\\`*\[\]]|<(?=\S)|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=\])\(|~(?=~)|&(?=#?\w+;)")


def render(template: Path, **values: object) -> str:
    """Render a template: every value is shown as plain text on one line, but for :class:`markupsafe.Markup`.

    Args:
        template: The template's file.
        values: What it shows, beside the functions :func:`text_table` and :func:`emotion.base.words.counted`.
    """
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, Markup) else plain(" ".join(str(value).split())),
    )
    environment.globals |= {"text_table": text_table, "counted": words.counted}
    return environment.get_template(template.name).render(values)


def text_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A Markdown table of plain texts, one sequence per row."""
    escaped = [dict(enumerate(map(plain, row))) for row in rows]
    return Markup(table(escaped, dict(enumerate(map(plain, headings)))))


def facts_table(facts: Mapping[str, str]) -> str:
    """A Markdown table of two columns without headings: names and values, both Markdown."""
    return table([{"name": name, "value": value} for name, value in facts.items()], {"name": "", "value": ""})


def plain(text: str) -> str:
    """Plain text as Markdown that shows it unchanged: ``root=<here>`` is no tag, ``2*3*4`` has no emphasis."""
    return _MARKUP.sub(r"\\\g<0>", text)


def table(rows: Iterable[Mapping[Any, Any]], columns: Sequence[str] | Mapping[Any, str]) -> str:
    """A Markdown table. Columns that hold only numbers are set flush right.

    Args:
        rows: One mapping per row. Cells are Markdown; None and missing keys become a dash.
        columns: The keys to show, in order, or a mapping of these keys to their headings.
    """
    headings = dict(columns) if isinstance(columns, Mapping) else {key: key for key in columns}
    lines = [[_cell(row.get(key)) for key in headings] for row in rows]
    rules = ["---:" if _numeric(column) else "---" for column in zip(*lines, strict=True)] or ["---"] * len(headings)
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(map(_cell, headings.values())), rules, *lines])


def _cell(value: Any) -> str:
    return "–" if value is None else " ".join(str(value).split()).replace("|", r"\|")


def _numeric(cells: Iterable[str]) -> bool:
    shown = [cell for cell in cells if cell not in ("–", "")]
    return bool(shown) and all(re.match(r"[-+−]?\d", cell) for cell in shown)
