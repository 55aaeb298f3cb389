"""The comparison as one HTML file that opens offline: the verdict, the tables, the plots and the images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emotion.base import words
from emotion.base.errors import UserError
from emotion.compare import disagreements, page_figures, tables
from emotion.compare.board import Board, Entry
from emotion.compare.disagreements import Predictions
from emotion.compare.tables import Cell
from emotion.reports import html

_MATRICES = 6
_RECALLS = 12
_LONGEST_TITLE = 24


def write(path: Path, boards: Sequence[Board], pictures: int = 24) -> None:
    """Write the page, and beside it ``pareto.png``; of further boards ``pareto-2.png`` and so on.

    The images of people in it come from the data that the runs were trained on: the page says that it holds them.

    Args:
        path: The file to write; its folder exists.
        boards: The comparison, at least one board.
        pictures: How many images the best two entries of each board disagree on are shown; 0 shows none.

    Raises:
        OSError: The folder cannot be written to.
    """
    sections = []
    for number, board in enumerate(boards, start=1):
        page_figures.save_pareto(board, path.with_name("pareto.png" if number == 1 else f"pareto-{number}.png"))
        sections.append(_section(board, f"b{number}", pictures))
    entries = [entry for board in boards for entry in board.entries]
    html.write(
        path,
        Path(__file__).with_name("page.html"),
        title=f"Comparison of {_title(boards) or words.counted(len(entries), 'entry', 'entries')}",
        runs=sum(len(entry.runs) for entry in entries),
        images=sum(section["disagreements"].count for section in sections if section["disagreements"]),
        sections=sections,
    )


def _title(boards: Sequence[Board]) -> str:
    """The names of two or three entries, where they are short; else nothing."""
    names = [entry.name for board in boards for entry in board.entries]
    if not 2 <= len(names) <= 3 or len(boards) > 1 or max(map(len, names)) > _LONGEST_TITLE:
        return ""
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _section(board: Board, key: str, pictures: int) -> dict[str, Any]:
    """What the template shows of a board."""
    answers: dict[str, Predictions] = {}
    faults = []
    for entry in board.entries[:_RECALLS]:
        try:
            answers[entry.name] = disagreements.read(entry, board.split)
        except UserError as error:
            faults.append(f"{entry.name}: {error}")
    best, second = (answers.get(name) for name in [*(entry.name for entry in board.entries[:2]), ""][:2])
    return {
        "key": key,
        "board": board,
        "several_seeds": any(len(entry.runs) > 1 for entry in board.entries),
        **_ranking(board),
        "paretos": page_figures.paretos(board, key),
        "differences": [tables.difference(d) for d in board.differences],
        "training": page_figures.histories(board, key),
        "matrices": _matrices(board, answers),
        "recalls": _recalls(board, answers),
        "disagreements": disagreements.disagreeing(board, best, second, pictures) if best and second else None,
        "faults": faults,
        "settings": [(entry.name, [run.id for run in entry.runs], tables.settings(entry)) for entry in board.entries],
    }


@dataclass(frozen=True)
class _Row:
    """An entry in the ranking: its cells, which of them are the best of their column, and its seeds."""

    name: str
    on_front: bool
    cells: list[tuple[Cell, bool]]
    seeds: str
    count: int


def _ranking(board: Board) -> dict[str, Any]:
    """Columns and rows of the table of all entries, without columns of which nothing is known."""
    known = []
    for column in [*tables.quality(board), *tables.cost()]:
        cells = [column.cell(entry) for entry in board.entries]
        numbers = {cell.number for cell in cells if cell.number is not None}
        if numbers:
            best = max(numbers, key=lambda n: n * column.better) if len(numbers) > 1 else None
            known.append((column, [(cell, best is not None and cell.number == best) for cell in cells]))
    rows = [
        _Row(entry.name, on_front, [cells[i] for _, cells in known], _seeds(entry), len(entry.seeds))
        for i, (entry, on_front) in enumerate(zip(board.entries, page_figures.on_front(board), strict=True))
    ]
    return {"columns": [column for column, _ in known], "rows": rows, "front": any(row.on_front for row in rows)}


def _seeds(entry: Entry) -> str:
    texts = ["–" if seed is None else str(seed) for seed in entry.seeds]  # imported networks have none
    return ", ".join(texts) if len(texts) <= 3 else f"{len(texts)}: {texts[0]} … {texts[-1]}"


def _matrices(board: Board, answers: dict[str, Predictions]) -> list[tuple[str, list[tuple[str, list[float | None]]]]]:
    """Name and confusion matrix of the best entries: each true emotion's shares of the answers."""
    return [
        (name, [(label, _shares(row)) for label, row in zip(board.labels, a.confusion(), strict=True)])
        for name, a in list(answers.items())[:_MATRICES]
    ]


def _recalls(board: Board, answers: dict[str, Predictions]) -> dict[str, Any] | None:
    """Each entry's recall of each emotion, the best of each emotion marked; None where no answers can be read."""
    if not answers:
        return None
    support = next(iter(answers.values())).support()
    values = np.array([np.diag(a.confusion()) for a in answers.values()])
    best = (values == values.max(axis=0)) & (len(answers) > 1)
    rows = [
        (name, list(zip(_shares(row), top.tolist(), strict=True)))
        for name, row, top in zip(answers, values, best, strict=True)
    ]
    return {"support": support.tolist(), "rarest": int(support[board.labels.index(board.rarest)]), "rows": rows}


def _shares(row: Any) -> list[float | None]:
    return [float(share) if math.isfinite(share) else None for share in row]
