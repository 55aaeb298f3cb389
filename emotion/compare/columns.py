"""What the tables of a comparison show, the same in the terminal, in Markdown and on the page."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from emotion.base import words
from emotion.compare.board import Board, Difference, Entry, Figure
from emotion.compare.verdict import p_value, points


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

    columns = [
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
        Column("latency, ms", lambda e: e.latency_ms, "{:.3g}".format, -1),
        Column("peak memory", lambda e: e.peak_memory_bytes, words.size, -1),
        Column("training", lambda e: e.training_seconds, words.duration, -1),
    ]


#: How many seeds an entry is the mean of, beside its quality.
SEEDS = Column("seeds", lambda e: len(e.seeds), "{:.0f}".format, 1)

#: Titles of :func:`difference`.
DIFFERENCE = ("better", "than", "in", "by points", "95 % interval", "p", "p after Holm", "difference")


def difference(d: Difference) -> tuple[str, ...]:
    """What the tests say about a pair of entries, as texts."""
    low, high = d.gain.low, d.gain.high
    interval = "–" if low is None or high is None else f"{points(low)} to {points(high)}"
    p, p_holm = (p_value(p).removeprefix("p = ").removeprefix("p ") for p in (d.p, d.p_holm))
    metric = {"macro_f1": "macro-F1"}.get(d.metric, d.metric)
    shown = "shown" if d.significant else "not shown"
    return d.better, d.worse, metric, points(d.gain.value), interval, p, p_holm, shown


def settings(entry: Entry) -> str:
    """The settings that distinguish an entry: ``key=value, ...``; may be empty."""
    return ", ".join(f"{key}={value}" for key, value in entry.settings.items())
