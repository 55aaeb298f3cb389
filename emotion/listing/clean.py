"""What failed and interrupted runs occupy, and removing those that are confirmed."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from emotion import runs
from emotion.base import locks
from emotion.base.errors import UserError
from emotion.base.words import counted, printable, shortened, size
from emotion.listing.rows import Row
from emotion.runs import record, swept

_REMOVED = ("failed", "interrupted")


def clean(everything: Sequence[Row], found: Sequence[Row], outputs: Path, *, as_json: bool, confirmed: bool) -> None:
    """List runs that failed or were interrupted, with their sizes, and remove those that the user confirms.

    A run that taught another, and a trial of a search, is listed as kept: the other needs it.

    Args:
        everything: All runs, by which it is known which of them taught another.
        found: Those that the filters leave.
        outputs: The folder that holds them.
        as_json: Print JSON and ask no question.
        confirmed: Remove all without a question.
    """
    kept = [(row, reason) for row in found if row.status in _REMOVED and (reason := _needed(row, everything))]
    rows = [row for row in found if row.status in _REMOVED and row not in [one for one, _ in kept]]
    sizes = [occupied(row.path) for row in rows]
    if as_json:
        entries = [row.as_json() | {"bytes": bytes_} for row, bytes_ in zip(rows, sizes, strict=True)]
        others = [{"id": row.id, "path": str(row.path), "reason": reason} for row, reason in kept]
        print(json.dumps({"runs": entries, "bytes": sum(sizes), "kept": others}, indent=2))
    elif rows:
        _print(rows, sizes, outputs)
    else:
        print(f"no failed or interrupted run under '{outputs}' is to be removed")
    if not as_json:
        for row, reason in kept:
            print(printable(f"kept: {row.id}, {reason}"))
    if rows and (confirmed or not as_json):
        _remove(rows, sizes, rows if confirmed else _confirmed(rows))


def _needed(row: Row, everything: Sequence[Row]) -> str:
    """Why another run needs this one; empty where none does."""
    if row.trial:
        return "a trial: resume its search, or remove the search's whole folder"
    names = {row.id, str(row.path), str(row.path.absolute())}
    taught = next((other.id for other in everything if names & set(other.teachers)), None)
    return f"the teacher of {taught}" if taught else ""


def occupied(folder: Path) -> int:
    """Bytes of all files below a folder; what links lead to does not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(Path(place) / name).st_size
            except OSError:  # it is gone by now
                continue
    return total


def _print(rows: Sequence[Row], sizes: Sequence[int], outputs: Path) -> None:
    table = Table(box=None, pad_edge=False)
    for column, justify in (("", "right"), ("id", "left"), ("status", "left"), ("size", "right"), ("age", "right")):
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("", overflow="fold")
    for number, (row, bytes_) in enumerate(zip(rows, sizes, strict=True), start=1):
        note = f"can be resumed: emotion train resume={row.path}" if row.resumable else shortened(row.reason, 80)
        table.add_row(str(number), printable(row.id), row.state, size(bytes_), row.age, printable(note))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 200
    console.print(table)
    console.print(f"{counted(len(rows), 'run')} under '{outputs}', {size(sum(sizes))}")


def _confirmed(rows: Sequence[Row]) -> list[Row]:
    """Those that the user names by their numbers."""
    if not sys.stdin.isatty():
        print("nothing is removed: there is no terminal to confirm it in. --yes removes all that are listed")
        return []
    answer = input("Remove which? all, numbers such as 1,3-5, or Enter for none: ").strip()
    return [rows[number - 1] for number in numbers(answer, len(rows))]


def numbers(answer: str, most: int) -> list[int]:
    """The numbers that an answer names, each once.

    Raises:
        UserError: It names something else.
    """
    if answer.lower() in ("", "n", "no", "none"):
        return []
    if answer.lower() == "all":
        return list(range(1, most + 1))
    found: list[int] = []
    for part in re.split(r"[,\s]+", answer):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= most:
            raise UserError(f"'{part[:20]}' is no number from 1 to {most}; nothing is removed")
        found += range(first, last + 1)
    return list(dict.fromkeys(found))


def _remove(rows: Sequence[Row], sizes: Sequence[int], confirmed: Sequence[Row]) -> None:
    freed, removed = 0, 0
    for row, bytes_ in zip(rows, sizes, strict=True):
        if row in confirmed:
            reason = _removed(row)
            if reason:
                print(printable(f"not removed: {row.id}, {reason}"), file=sys.stderr)
            else:
                freed, removed = freed + bytes_, removed + 1
    if confirmed:
        print(f"removed {counted(removed, 'run')}, {size(freed)}", file=sys.stderr)
    if removed < len(confirmed):
        sys.exit(1)


def _removed(row: Row) -> str:
    """Remove a run's folder; why that was not done, or an empty text."""
    if row.path.is_symlink():
        return "a link; remove what it leads to"
    try:
        with locks.held(row.path):  # nobody resumes it meanwhile
            run = runs.Run(row.path, row.id)
            if run.record().status == "done":
                return "done by now"
            swept.forget_events(run)
            # The record goes late, so that what is left after a fault is listed again, and the lock last: whoever made
            # a new one meanwhile would hold a run that is being removed.
            late = (record.NAME, locks.NAME)
            for path in [p for p in row.path.iterdir() if p.name not in late] + [row.path / name for name in late]:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            row.path.rmdir()
    except UserError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename or row.path}: {error.strerror}"
    return ""
