"""The tables of the comparison's page: ranking, differences, confusion matrices, recalls and runs, as HTML."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from emotion.compare import cells
from emotion.compare.board import Board, Difference, Entry, Figure
from emotion.compare.predictions import Predictions
from emotion.compare.verdict import p_value, points

#: Differences beyond these are there, but folded away.
_MOST_DIFFERENCES = 15


@dataclass(frozen=True)
class _Column:
    """A column: what an entry has in it, how that is written, and which is best: the most (1), the least (-1)."""

    title: str
    value: Callable[[Entry], float | Figure | None]
    text: Callable[[float], str]
    better: int


def _columns(board: Board) -> list[_Column]:
    def percent(value: float) -> str:
        return f"{100 * value:.1f}"

    def whole(format_one: Callable[[int | None], str]) -> Callable[[float], str]:
        return lambda value: format_one(round(value))

    everything = [
        _Column("Accuracy", lambda e: e.accuracy, percent, 1),
        _Column("Macro-F1", lambda e: e.macro_f1, percent, 1),
        _Column("Leak-free accuracy", lambda e: e.leak_free_accuracy, percent, 1),
        _Column(f"Recall of {board.rarest}", lambda e: e.rarest_recall, percent, 1),
        _Column("Calibration error", lambda e: e.calibration_error, percent, -1),
        _Column("Parameters", lambda e: e.parameters, whole(cells.large), -1),
        _Column("Multiply-adds", lambda e: e.multiply_adds, whole(cells.large), -1),
        _Column("File", lambda e: e.file_bytes, whole(cells.size), -1),
        _Column("Latency, ms", lambda e: e.latency_ms, lambda value: f"{value:.3g}", -1),
        _Column("Peak memory", lambda e: e.peak_memory_bytes, whole(cells.size), -1),
        _Column("Training", lambda e: e.training_seconds, cells.duration, -1),
    ]
    return [column for column in everything if any(_number(column.value(e)) is not None for e in board.entries)]


def _number(value: float | Figure | None) -> float | None:
    number = value.value if isinstance(value, Figure) else value
    return None if number is None or not math.isfinite(number) else float(number)


def ranking(board: Board, on_front: Sequence[bool]) -> str:
    """All entries, best first, the best of each column bold.

    Args:
        board: The board.
        on_front: Of each entry, whether it is on the Pareto front of the plot.
    """
    columns = _columns(board)
    best = []
    for column in columns:
        numbers = [n for e in board.entries if (n := _number(column.value(e))) is not None]
        best.append(max(numbers, key=lambda n: n * column.better) if len(set(numbers)) > 1 else None)
    heads = ['<th scope="col" class="text" data-text="1" data-up="1">Entry</th>']
    for column in columns:
        up = ' data-up="1"' if column.better < 0 else ""
        heads.append(f'<th scope="col"{up}>{escape(column.title)}</th>')
    heads.append('<th scope="col">Seeds</th>')
    rows = []
    for entry, front in zip(board.entries, on_front, strict=True):
        mark = (
            ' <span class="front" title="on the Pareto front">◆</span><span class="hidden">on the Pareto front</span>'
        )
        name = escape(entry.name)
        cells_ = [f'<th scope="row" data-value="{name}">{name}{mark if front else ""}</th>']
        for column, top in zip(columns, best, strict=True):
            cells_.append(_cell(column, column.value(entry), top))
        cells_.append(f'<td data-value="{len(entry.seeds)}">{_seeds(entry.seeds)}</td>')
        rows.append(f"<tr>{''.join(cells_)}</tr>")
    return _scrolled(
        "All entries", f'<table class="sortable pinned">{_head(heads)}<tbody>{"".join(rows)}</tbody></table>'
    )


def _cell(column: _Column, value: float | Figure | None, top: float | None) -> str:
    number = _number(value)
    if number is None:
        return "<td>–</td>"
    kind = ' class="best"' if number == top else ""
    text = column.text(number)
    if isinstance(value, Figure):
        if value.deviation is not None:
            text += f" ± {column.text(value.deviation)}"
        if value.low is not None and value.high is not None:
            text += f"<small>{column.text(value.low)} to {column.text(value.high)}</small>"
    return f'<td{kind} data-value="{number:.9g}">{text}</td>'


def _seeds(seeds: Sequence[int | None]) -> str:
    shown = ["–" if seed is None else str(seed) for seed in seeds]  # a network that was trained elsewhere has none
    return ", ".join(shown) if len(shown) <= 3 else f"{len(shown)}: {shown[0]} … {shown[-1]}"


def differences(board: Board) -> str:
    """What the tests say of each pair."""
    titles = ("Better", "Than", "In", "By points", "95 % interval", "p", "p, Holm", "Difference")
    kinds = [' class="text"'] * 3 + [""] * 5
    heads = [f'<th scope="col"{kind}>{title}</th>' for kind, title in zip(kinds, titles, strict=True)]
    rows = [_difference(d) for d in board.differences]

    def table(some: Sequence[str]) -> str:
        return _scrolled("Differences", f"<table>{_head(heads)}<tbody>{''.join(some)}</tbody></table>")

    shown = table(rows[:_MOST_DIFFERENCES])
    if len(rows) > _MOST_DIFFERENCES:
        rest = rows[_MOST_DIFFERENCES:]
        shown += f"<details><summary>{len(rest):,} more differences</summary>{table(rest)}</details>"
    return shown


def _difference(d: Difference) -> str:
    interval = "–" if d.gain.low is None or d.gain.high is None else f"{points(d.gain.low)} to {points(d.gain.high)}"
    p, p_holm = (escape(p_value(p).removeprefix("p = ").removeprefix("p ")) for p in (d.p, d.p_holm))
    metric = {"macro_f1": "macro-F1"}.get(d.metric, d.metric)
    found = "<strong>shown</strong>" if d.significant else "not shown"
    return (
        f'<tr><th scope="row">{escape(d.better)}</th><td class="wrap">{escape(d.worse)}</td>'
        f'<td class="text">{escape(metric)}</td><td>{points(d.gain.value)}</td><td>{interval}</td>'
        f"<td>{p}</td><td>{p_holm}</td><td>{found}</td></tr>"
    )


def confusion(board: Board, entry: Entry, answers: Predictions) -> str:
    """One entry's confusion matrix: percentages of each true emotion, the mean over its runs."""
    shares = answers.confusion()
    heads = [
        '<th scope="col"><span class="hidden">true emotion</span></th>',
        *(f'<th scope="col"><abbr title="{escape(name)}">{escape(_short(name))}</abbr></th>' for name in board.labels),
    ]
    rows = []
    for true, name in enumerate(board.labels):
        row = [_share(share, true == taken) for taken, share in enumerate(shares[true])]
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(row)}</tr>')
    return (
        f'<div class="matrix"><h4>{escape(entry.name)}</h4><div class="scroll" tabindex="0" role="region" '
        f'aria-label="Confusion matrix of {escape(entry.name)}"><table>{_head(heads)}<tbody>{"".join(rows)}</tbody>'
        "</table></div></div>"
    )


def recalls(board: Board, shown: Sequence[tuple[Entry, Predictions]]) -> str:
    """Recall of each emotion, the mean over the runs of each entry."""
    support = shown[0][1].support()
    heads = ['<th scope="col" class="text">Entry</th>'] + [
        f'<th scope="col">{escape(name)}<small>{n:,} pictures</small></th>'
        for name, n in zip(board.labels, support, strict=True)
    ]
    values = np.array([np.diag(answers.confusion()) for _, answers in shown])
    rows = []
    for (entry, _), row in zip(shown, values, strict=True):
        best = (row == values.max(axis=0)) & (len(shown) > 1)
        columns = (_share(share, False, bool(top)) for share, top in zip(row, best, strict=True))
        rows.append(f'<tr><th scope="row">{escape(entry.name)}</th>{"".join(columns)}</tr>')
    table = f'<table class="pinned">{_head(heads)}<tbody>{"".join(rows)}</tbody></table>'
    return _scrolled("Recall of each emotion", table)


def _share(share: float, own: bool, best: bool = False) -> str:
    if not math.isfinite(share):
        return "<td>–</td>"
    kind = "heat" + (" own" if own else "") + (" best" if best else "")
    text = "<1" if 0 < share < 0.005 else ">99" if 0.995 <= share < 1 else f"{100 * share:.0f}"
    return f'<td class="{kind}" style="--share:{share:.3f}">{escape(text)}</td>'


def runs(board: Board) -> str:
    """Which runs each entry is made of, and its settings that differ."""
    heads = [f'<th scope="col" class="text">{title}</th>' for title in ("Entry", "Runs", "Settings that differ")]
    rows = []
    for entry in board.entries:
        ids = "<br>".join(f"<code>{escape(run.id)}</code>" for run in entry.runs)
        settings = ", ".join(f"{key}={value}" for key, value in entry.settings.items()) or "–"
        rows.append(
            f'<tr><th scope="row">{escape(entry.name)}</th><td class="wrap">{ids}</td>'
            f'<td class="wrap">{escape(settings)}</td></tr>'
        )
    table = _scrolled("Runs", f"<table>{_head(heads)}<tbody>{''.join(rows)}</tbody></table>")
    return f"<details><summary>The runs of each entry, and the settings that differ</summary>{table}</details>"


def _short(name: str) -> str:
    return name if len(name) <= 5 else f"{name[:4]}."


def _head(heads: Sequence[str]) -> str:
    return f"<thead><tr>{''.join(heads)}</tr></thead>"


def _scrolled(label: str, table: str) -> str:
    # Whoever has no mouse scrolls with the keys, which takes a place that can have the focus.
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{table}</div>'
