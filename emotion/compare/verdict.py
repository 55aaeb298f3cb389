"""What a board's differences come to, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emotion.compare.board import Board, Difference, Entry

_METRICS = {"accuracy": "", "macro_f1": " of macro-F1"}


def sentences(board: Board, rank_by: str) -> Iterator[str]:
    """The verdict: first about the best two, then about the best and all others; nothing for one entry."""
    if len(board.entries) < 2:
        return
    entries = {entry.name: entry for entry in board.entries}
    ranked = [d for d in board.differences if d.metric == rank_by]
    best, second = board.entries[0], board.entries[1]
    count = len(board.entries)
    yield _pair(_of(ranked, best, second), entries, board.split, count * (count - 1) // 2)
    if count < 3:
        return
    against = [_of(ranked, best, other) for other in board.entries[1:]]
    beaten = [d for d in against if d.significant]
    equal = [d for d in against if not d.significant]
    if not equal:
        yield f"{best.name} beats all {len(against)} others."
    elif beaten:
        yield f"{best.name} beats {len(beaten)} of the {len(against)} others; {_unbeaten(equal, board.split)}."
    else:
        yield f"{best.name} beats none of the {len(against)} others as far as this {board.split} set can show."
    if equal:
        yield from _cheapest([best, *(entries[d.worse] for d in equal)], board.split)


def _of(differences: Sequence[Difference], better: Entry, worse: Entry) -> Difference:
    return next(d for d in differences if (d.better, d.worse) == (better.name, worse.name))


def _pair(difference: Difference, entries: dict[str, Entry], split: str, comparisons: int) -> str:
    better, worse = entries[difference.better], entries[difference.worse]
    gain = difference.gain
    low, high = gain.low or 0.0, gain.high or 0.0
    evidence = f"95 % interval {points(low)} to {points(high)}, {p_value(difference.p_holm)}"
    if comparisons > 1:
        evidence += f" after Holm's correction for {comparisons} comparisons"
    seeds = _seeds(better, worse)
    if seeds:
        evidence += f"; {seeds}"
    by = f"{points(gain.value)} points{_METRICS[difference.metric]} ({evidence})"
    times = ratio(better.multiply_adds, worse.multiply_adds)
    if difference.significant:
        return f"{better.name} beats {worse.name} by {by}" + (f" at {times}" if times else "") + "."
    text = f"{better.name} against {worse.name}: no difference that this {split} set can show, {by}"
    return text + (f"; {better.name} runs at {times}." if times else ".")


def _seeds(better: Entry, worse: Entry) -> str:
    a, b = len(better.seeds), len(worse.seeds)
    if a == b:
        return f"{a} seeds each" if a > 1 else ""
    return f"{a} {'seeds' if a > 1 else 'seed'} against {b}"


def _unbeaten(equal: Sequence[Difference], split: str) -> str:
    names = ", ".join(d.worse for d in equal[:4]) + (f" and {len(equal) - 4} more" if len(equal) > 4 else "")
    return f"not shown to be worse by this {split} set: {names}"


def _cheapest(alike: Sequence[Entry], split: str) -> Iterator[str]:
    known = [entry for entry in alike if entry.multiply_adds]
    if len(known) < 2 or len(known) < len(alike):
        return
    cheapest = min(known, key=lambda e: e.multiply_adds or 0)
    times = ratio(cheapest.multiply_adds, alike[0].multiply_adds)
    if cheapest is not alike[0] and times and not times.startswith("the same"):
        yield f"Of those that this {split} set cannot tell apart, {cheapest.name} is the cheapest, at {times}."


def points(fraction: float) -> str:
    """A difference of fractions in percentage points, such as ``1.9`` or ``−0.5``."""
    text = f"{100 * fraction:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "−")


def p_value(p: float) -> str:
    """``p = 0.004``, or ``p < 0.001``."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def ratio(mine: int | None, other: int | None) -> str:
    """``0.4 times the multiply-adds``; empty where one is not known."""
    if not mine or not other:
        return ""
    times = mine / other
    if abs(times - 1) < 0.005:
        return "the same multiply-adds"
    shown = f"{times:.2g}" if times < 0.95 else f"{times:.0f}" if times >= 10 else f"{times:.1f}"
    if shown == "1.0":
        shown = f"{times:.2f}"
    return f"{shown} times the multiply-adds"
