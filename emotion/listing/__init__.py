"""List runs, and remove what is left of failed ones: ``emotion runs [filters]``, ``emotion runs clean``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from emotion.base import exits
from emotion.base.errors import UserError
from emotion.base.words import printable
from emotion.listing import clean, filters, rows
from emotion.listing.rows import Row

_HELP = """List runs: id, status, data, model, what differs, scores, age.

Examples
  emotion runs
  emotion runs status=done data=fer2013 sort=accuracy last=10
  emotion runs '20261122*' model=cnn,mobilenet_v2 --json
  emotion runs clean                      what failed and interrupted runs occupy; removes what you confirm
  emotion runs clean older=7d --yes       all of them, without a question

Filters (each may take several values with commas, and globs)
  <id>, id=     the id, a beginning of it, or a glob
  status=       running | done | failed | interrupted | damaged
  data=         dataset
  model=        model
  newer=, older=  age, such as 90m, 12h, 7d
  last=         only so many, the newest
  sort=         age | macro_f1 (validation) | accuracy (test)
  outputs=      folder that holds the runs (outputs)

Flags: --json prints everything that is known of them; --yes removes without a question.
"""


def main() -> None:
    with exits.exit_codes():
        run(sys.argv[1:])


def run(arguments: Sequence[str]) -> None:
    """Do what a command line asks for.

    Raises:
        UserError: A wrong filter or value; names it, what is allowed and the nearest match.
    """
    if {"--help", "-h"} & set(arguments):
        print(_HELP, end="")
        return
    flags = {word for word in arguments if word.startswith("--")}
    if unknown := sorted(flags - {"--json", "--yes"}):
        raise UserError(f"{unknown[0]}: no such flag. There are --json, --yes and --help")
    words = [word for word in arguments if word not in flags]
    cleaning = words[:1] == ["clean"]
    if "--yes" in flags and not cleaning:
        raise UserError("--yes: only emotion runs clean asks a question")
    wanted = filters.parse(words[1:] if cleaning else words)
    everything = rows.read(wanted.outputs)
    found = filters.chosen(everything, wanted)
    if cleaning:
        clean.clean(everything, found, wanted.outputs, as_json="--json" in flags, confirmed="--yes" in flags)
    elif "--json" in flags:
        print(json.dumps([row.as_json() for row in found], indent=2))
    elif found:
        _print(found, len(everything), wanted.outputs)
    elif everything:
        print(f"none of the {len(everything)} runs under '{wanted.outputs}' fits")
    else:
        print(f"there are no runs under '{wanted.outputs}'. Train one: emotion train")


def _print(found: Sequence[Row], total: int, outputs: Path) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("id", "status", "data", "model", "differs"):
        table.add_column(column, overflow="fold" if column in ("id", "differs") else "ellipsis")
    for column in ("val macro-F1", "accuracy", "macro-F1", "age"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in found:
        scores = (row.validation_macro_f1, row.test_accuracy, row.test_macro_f1)
        cells = ("" if score is None else f"{100 * score:.1f} %" for score in scores)
        texts = map(printable, (row.id, row.state, row.data, row.model, row.differs))
        table.add_row(*texts, *cells, row.age)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 200
    console.print(table)
    some = f"{len(found)} of {total} runs" if len(found) < total else f"{total} runs" if total != 1 else "1 run"
    console.print(f"{some} under '{outputs}'; accuracy and macro-F1 are of the test split")
