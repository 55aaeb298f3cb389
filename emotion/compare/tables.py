"""What the tables of a comparison show, and these tables in a terminal: readable at 100 columns and in a pipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emotion.base import words
from emotion.compare.board import Board, Difference, Effect, Entry, Figure, p_value, points


@dataclass(frozen=True)
class Cell:
    """One entry's value in a column.

    Attributes:
        number: To sort by; None where it is not known or not defined.
        text: The value, over seeds with its standard deviation: ``65.3 ± 0.4``; a dash for None.
        interval: Its 95 % interval, such as ``63.7–66.8``; may be empty.
    """

    number: float | None
    text: str
    interval: str = ""


@dataclass(frozen=True)
class Column:
    """A column: an entry's value in it, how that is written, and which is best: the most (1) or the least (-1)."""

    title: str
    value: Callable[[Entry], float | Figure | None]
    text: Callable[[float], str]
    better: int

    def cell(self, entry: Entry) -> Cell:
        value = self.value(entry)
        figure = value if isinstance(value, Figure) else Figure(math.nan if value is None else value)
        if not math.isfinite(figure.value):
            return Cell(None, "–")
        text = self.text(figure.value)
        if figure.deviation is not None:
            text += f" ± {self.text(figure.deviation)}"
        if figure.low is None or figure.high is None:
            return Cell(float(figure.value), text)
        return Cell(float(figure.value), text, f"{self.text(figure.low)}–{self.text(figure.high)}")


def quality(board: Board) -> list[Column]:
    """How good an entry is; scores in percent."""

    def percent(fraction: float) -> str:
        return f"{100 * fraction:.1f}"

    chosen = {"accuracy": "validation accuracy", "macro_f1": "validation macro-F1"}[board.rank_by]
    columns = [
        *([Column(chosen, lambda e: e.validation, percent, 1)] if board.ranked_on != board.split else []),
        Column("accuracy", lambda e: e.accuracy, percent, 1),
        Column("macro-F1", lambda e: e.macro_f1, percent, 1),
        Column("leak-free accuracy", lambda e: e.leak_free_accuracy, percent, 1),
        Column(f"recall of {board.rarest}", lambda e: e.rarest_recall, percent, 1),
        Column("calibration error", lambda e: e.calibration_error, percent, -1),
    ]
    return columns if board.split == "test" else [c for c in columns if c.title != "leak-free accuracy"]


def cost() -> list[Column]:
    """What an entry costs."""
    return [
        Column("parameters", lambda e: e.parameters, words.three_digits, -1),
        Column("multiply-adds", lambda e: e.multiply_adds, words.three_digits, -1),
        Column("file", lambda e: e.file_bytes, words.size, -1),
        Column("latency, ms", lambda e: e.latency_ms, lambda ms: f"{ms:.3g}" if ms < 999.5 else f"{ms:,.0f}", -1),
        Column("peak memory", lambda e: e.peak_memory_bytes, words.size, -1),
        Column("training", lambda e: e.training_seconds, words.duration, -1),
    ]


#: How many seeds an entry is the mean of, beside its quality.
SEEDS = Column("seeds", lambda e: len(e.seeds), "{:.0f}".format, 1)

#: Titles of :func:`difference`.
DIFFERENCE = ("better", "than", "in", "by points", "95 % interval", "p", "p after Holm", "difference", "test")


def difference(d: Difference) -> tuple[str, ...]:
    """What the tests say about a pair of entries, as texts."""
    low, high = d.gain.low, d.gain.high
    interval = "–" if low is None or high is None else f"{points(low)} to {points(high)}"
    p, p_holm = (p_value(p).removeprefix("p = ").removeprefix("p ") for p in (d.p, d.p_holm))
    metric = {"macro_f1": "macro-F1"}.get(d.metric, d.metric)
    shown = "shown" if d.significant else "not shown"
    return d.better, d.worse, metric, points(d.gain.value), interval, p, p_holm, shown, d.test


#: Titles of :func:`effect`.
EFFECT = ("key", "better", "than", "in", "by points", "95 % interval", "p", "p after Holm", "difference", "test")


def effect(e: Effect) -> tuple[str, ...]:
    """What the tests say about a main effect or an interaction, as texts."""
    low, high = e.gain.low or 0.0, e.gain.high or 0.0
    p, p_holm = (p_value(p).removeprefix("p = ").removeprefix("p ") for p in (e.p, e.p_holm))
    metric = {"macro_f1": "macro-F1"}.get(e.metric, e.metric)
    key = f"{e.key}, more with {e.within}={e.stronger} than {e.weaker}" if e.within else e.key
    shown = "shown" if e.significant else "not shown"
    interval = f"{points(low)} to {points(high)}"
    return key, e.better, e.worse, metric, points(e.gain.value), interval, p, p_holm, shown, e.test


def caption(board: Board) -> str:
    """What a table of differences is of: images, interval and correction."""
    count = len(board.entries)
    return (
        f"On {board.where}; intervals: paired bootstrap, {board.resamples:,} resamples; p after Holm's correction over "
        f"{words.counted(count * (count - 1) // 2, 'comparison')} for each metric."
    )


def effects_caption(board: Board) -> str:
    """What the table of effects is of: its p values are corrected apart from those of pairs of entries."""
    families = [words.counted(len(board.effects), "main effect")]
    families += [words.counted(len(board.interactions), "interaction")] if board.interactions else []
    return (
        "Main effects: the mean difference over all settings of the other keys and their seeds; below them "
        f"interactions of two keys. On {board.where}; intervals: paired bootstrap, {board.resamples:,} resamples; "
        f"Holm's correction over {' and over '.join(families)}."
    )


def settings(entry: Entry) -> str:
    """The settings that distinguish an entry: ``key=value, ...``; may be empty."""
    return ", ".join(f"{key}={value}" for key, value in entry.settings.items())


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
        ranked = f"ranked by {board.ranked_on}, fingerprint {board.pixels[:12]}"
        console.print(Text(f"\n{board.data}: {board.split}, {board.where}; {ranked}", style="bold"))
        console.print(_table(board, "% (95 % interval)", quality(board)))
        console.print(_table(board, "cost", cost()))
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
    table.add_column(title, overflow="fold", min_width=12)
    for column in shown:
        table.add_column(column.title, justify="right", max_width=13)
    for entry in board.entries[:_MOST_ROWS]:
        cells = (column.cell(entry) for column in shown)
        texts = (f"{cell.text}\n{cell.interval}".strip() for cell in cells)
        seeds = f" ({len(entry.seeds)} seeds)" if len(entry.seeds) > 1 else ""
        table.add_row(Text(entry.name + seeds), *(Text(text, justify="right") for text in texts))
    return table
