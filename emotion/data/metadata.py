"""What a table says about the images of a folder: ``dataset.metadata=faces.csv``.

The first column is the file's name, such as ``happy/0001.png`` below ``dataset.root``, or ``0001.png`` where that is
unique; all other columns have any names: subject, age group, source, light.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion.base.errors import UserError

Texts = np.ndarray[Any, np.dtype[np.str_]]

#: Files and rows that a message names.
_SHOWN = 5


def path_of(dataset: DictConfig) -> Path | None:
    """The file that ``dataset.metadata`` names, as it is or below ``dataset.root``; None where it names none."""
    if dataset.get("metadata") is None:
        return None
    path = Path(str(dataset.metadata)).expanduser()
    inside = Path(str(dataset.root)).expanduser() / path
    return inside if not path.is_file() and inside.is_file() else path


def read(path: Path, root: Path, files: Texts) -> dict[str, Texts]:
    """Read what a table says about some images.

    Args:
        path: The CSV file, with a header.
        root: The dataset's folder.
        files: str ``[N]``, absolute paths of the images.

    Returns:
        For each column but the first its values, str ``[N]``, stripped, in the order of ``files``.

    Raises:
        UserError: It cannot be read, a file has no row or two, or a row has no file.
    """
    header, rows = _table(path)
    names = [row[0].replace("\\", "/").removeprefix("./") for row in rows]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"dataset.metadata: {path}: more than one row for {_listed(twice)}; leave one for each file")
    where = {name: number for number, name in enumerate(names)}
    relative = [_relative(str(file), root) for file in files]
    bare = Counter(PurePath(name).name for name in relative)
    found = [where.get(name, where.get(PurePath(name).name, -1)) for name in relative]
    pairs = zip(relative, found, strict=True)
    shared = [name for name, row in pairs if row >= 0 and names[row] != name and bare[names[row]] > 1]
    if shared:
        raise UserError(
            f"dataset.metadata: {path}: '{PurePath(shared[0]).name}' is the name of several files, such as "
            f"{shared[0]}; write names with their folders"
        )
    without = [name for name, row in zip(relative, found, strict=True) if row < 0]
    if without:
        raise UserError(
            f"dataset.metadata: {path} has no row for {len(without):,} of {len(files):,} files: {_listed(without)}. "
            f"Add them; the first column, here '{header[0]}', is the file's name below {root}"
        )
    _check_rows(path, root, [name for number, name in enumerate(names) if number not in set(found)])
    return {
        column: np.array([rows[row][number] for row in found], np.str_)
        for number, column in enumerate(header)
        if number > 0
    }


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"dataset.metadata: {path}: cannot be read ({reason}); give a CSV file in UTF-8") from None
    if len(rows) < 2 or len(rows[0]) < 2:
        raise UserError(
            f"dataset.metadata: {path}: {len(rows)} lines of {len(rows[0]) if rows else 0} columns; must be a header, "
            f"such as file,subject, and a row for each image, with commas between the columns"
        )
    header, *body = rows
    if len(set(header)) < len(header) or "" in header:
        raise UserError(f"dataset.metadata: {path}: the header {', '.join(header)} must give each column its own name")
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise UserError(
                f"dataset.metadata: {path}: row {number} ({row[0]}) has {len(row)} columns, the header {len(header)}"
            )
    return header, body


def _check_rows(path: Path, root: Path, names: list[str]) -> None:
    """Refuse rows that are of no file; a file that was left out, unreadable or ignored, may have its row."""
    there: set[str] = set()
    if any(not (root / name).is_file() for name in names):
        there = {file.name for file in root.rglob("*")}
    without = [name for name in names if not (root / name).is_file() and name not in there]
    if without:
        raise UserError(
            f"dataset.metadata: {path} has {len(without):,} rows without a file below {root}: {_listed(without)}. "
            f"Remove these rows, or restore the files"
        )


def _relative(file: str, root: Path) -> str:
    path = PurePath(file)
    return (path.relative_to(root.absolute()) if path.is_relative_to(root.absolute()) else path).as_posix()


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
