"""An entry's figures as short texts, the same in the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emotion.compare.board import Board, Entry, Figure


@dataclass(frozen=True)
class Column:
    """A column of the table: its title, and its text for an entry, where an interval is apart from its value."""

    title: str
    cell: Callable[[Entry], tuple[str, str]]


def quality(board: Board) -> list[Column]:
    """How good an entry is."""
    columns = [
        Column("accuracy", lambda e: _with_interval(e.accuracy)),
        Column("macro-F1", lambda e: _with_interval(e.macro_f1)),
        Column("leak-free", lambda e: _with_interval(e.leak_free_accuracy)),
        Column(f"{board.rarest} recall", lambda e: _with_interval(e.rarest_recall)),
        Column("calibration error", lambda e: _with_interval(e.calibration_error)),
        Column("seeds", lambda e: (str(len(e.seeds)), "")),
    ]
    return columns if board.split == "test" else [c for c in columns if c.title != "leak-free"]


def cost() -> list[Column]:
    """What an entry costs."""
    return [
        Column("parameters", lambda e: (large(e.parameters), "")),
        Column("multiply-adds", lambda e: (large(e.multiply_adds), "")),
        Column("file", lambda e: (size(e.file_bytes), "")),
        Column("latency", lambda e: ("–" if e.latency_ms is None else f"{e.latency_ms:.2f} ms", "")),
        Column("peak memory", lambda e: (size(e.peak_memory_bytes), "")),
        Column("training", lambda e: (duration(e.training_seconds), "")),
    ]


def _with_interval(figure: Figure | None) -> tuple[str, str]:
    """A percentage, over seeds with its standard deviation, and its 95 % interval."""
    if figure is None or figure.value != figure.value:
        return "–", ""
    value = f"{100 * figure.value:.1f}"
    if figure.deviation is not None:
        value += f" ± {100 * figure.deviation:.1f}"
    if figure.low is None or figure.high is None:
        return value, ""
    return value, f"{100 * figure.low:.1f}–{100 * figure.high:.1f}"


def large(number: int | None) -> str:
    """A count in three digits, such as ``1.09 M``."""
    if number is None:
        return "–"
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * factor:
            return f"{_three(number / factor)} {unit}"
    return str(number)


def size(count: int | None) -> str:
    """Bytes in three digits and decimal units, such as ``4.36 MB``."""
    return "–" if count is None else f"{large(count)}B" if count >= 1000 else f"{count} B"


def duration(seconds: float | None) -> str:
    """A time in its own unit: ``45 s``, ``14.3 min``, ``2.1 h``."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
