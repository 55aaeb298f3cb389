"""The comparison in a terminal: readable at 100 columns and in a pipe."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emotion.compare import columns
from emotion.compare.board import Board
from emotion.compare.columns import Column

#: Rows of a table in the terminal; the files hold all.
_MOST_ROWS = 30
_PIPED_WIDTH = 100


def show(boards: Sequence[Board]) -> None:
    """Print each board: how good its entries are, what they cost, the verdict, and what to know about both."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    printed: set[str] = set()
    for board in boards:
        pictures = f"{board.n:,} {board.split} images, fingerprint {board.pixels[:12]}"
        console.print(Text(f"\n{board.data}: {pictures}", style="bold"))
        console.print(_table(board, "% (95 % interval)", [*columns.quality(board), columns.SEEDS]))
        console.print(_table(board, "cost", columns.cost()))
        if len(board.entries) > _MOST_ROWS:
            console.print(Text(f"{len(board.entries) - _MOST_ROWS} more entries are in the files"))
        for sentence in board.verdict:
            console.print(Text(sentence, style="bold"))
        for note in board.notes:
            if note not in printed:
                console.print(Text(note, style="dim"))
            printed.add(note)


def _table(board: Board, title: str, shown: Sequence[Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column(title, overflow="fold", min_width=18)
    for column in shown:
        table.add_column(column.title, justify="right", max_width=13)
    for entry in board.entries[:_MOST_ROWS]:
        cells = (column.cell(entry) for column in shown)
        texts = (f"{cell.text}\n{cell.interval}".strip() for cell in cells)
        table.add_row(Text(entry.name), *(Text(text, justify="right") for text in texts))
    return table
