"""A comparison's verdict in words: what each key that was varied does, what they do together, and the best entry.

Every sentence with a figure names its metric, images, interval with resamples, test and correction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emotion.base.words import counted, listed
from emotion.compare.board import Board, Difference, Effect, Entry, p_value, points

METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}


def sentences(board: Board) -> Iterator[str]:
    """The verdict; nothing for one entry."""
    if len(board.entries) < 2:
        return
    yield from _effects(board)
    yield from _interactions(board)
    yield from _best(board)


# ------------------------------------------------------------------------------------------------------ what was varied


def _effects(board: Board) -> Iterator[str]:
    for key in dict.fromkeys(effect.key for effect in board.effects):
        own = [effect for effect in board.effects if effect.key == key]
        # A value's place is how many others it is ahead of.
        place = {level: sum(e.better == level for e in own) for e in own for level in (e.better, e.worse)}
        order = sorted(place, key=lambda level: -place[level])
        # The best two values that were trained with the same other settings: not all may have been.
        first = min(own, key=lambda e: sorted((order.index(e.better), order.index(e.worse))))
        says = "beats" if first.significant else "is not shown to differ from"
        others = [key_ for key_ in dict.fromkeys(e.key for e in board.effects) if key_ != key]
        mean = f"mean over {counted(first.contexts, 'setting')} of {listed(others)}{_of_seeds(first.seeds)}"
        text = f"{key}: {first.better} {says} {first.worse}: {_figure(board, first, 'main effect')}; {mean}."
        of_it = [e for e in own if first.better in (e.better, e.worse)]
        if len(of_it) > 1:
            beaten = sum(e.significant and e.better == first.better for e in of_it)
            text += f" It beats {beaten} of the {len(of_it)} other values of {key}."
        yield text


def _interactions(board: Board) -> Iterator[str]:
    shown = [effect for effect in board.interactions if effect.significant]
    for e in sorted(shown, key=lambda e: -e.gain.value)[:2]:
        yield (
            f"{e.key} and {e.within} depend on each other: what {e.key}={e.better} gains over {e.worse} is larger with "
            f"{e.within}={e.stronger} than with {e.weaker}: {_figure(board, e, 'interaction')}."
        )
    if board.interactions and not shown:
        e = max(board.interactions, key=lambda e: e.gain.value)
        yield (
            f"No interaction is shown: the largest, of {e.key} and {e.within}, is {_figure(board, e, 'interaction')}."
        )


def _of_seeds(seeds: int) -> str:
    return f" and {seeds} seeds each" if seeds > 1 else ", one seed each"


# ------------------------------------------------------------------------------------------------------------ the best


def _best(board: Board) -> Iterator[str]:
    entries = {entry.name: entry for entry in board.entries}
    ranked = [d for d in board.differences if d.metric == board.rank_by]
    best, second = board.entries[0], board.entries[1]
    if board.ranked_on != board.split and best.validation is not None:
        yield _chosen(board, best, best.validation.value)
    yield _pair(board, _between(ranked, best, second), entries)
    if len(board.entries) < 3:
        return
    against = [_between(ranked, best, other) for other in board.entries[1:]]
    beaten = [d for d in against if d.significant and d.better == best.name]
    better = [d for d in against if d.significant and d.better != best.name]
    equal = [d for d in against if not d.significant]
    count = len(against)
    if len(beaten) == count:
        yield f"{best.name} beats all {count} others."
    else:
        what = f"{len(beaten)} of the {count}" if beaten else f"none of the {count}"
        text = f"{best.name} beats {what} others"
        if equal:
            names = listed([d.worse if d.better == best.name else d.better for d in equal], 4)
            text += f"; not shown to be different by this {board.split} set: {names}"
        if better:
            text += f"; beaten by {listed([d.better for d in better], 4)}"
        yield f"{text}."
    if equal:
        yield from _cheapest(board, [best, *(entries[_other(d, best)] for d in equal)])


def _chosen(board: Board, best: Entry, validation: float) -> str:
    figure, metric = getattr(best, board.rank_by), METRICS[board.rank_by]
    interval = "" if figure.low is None else f", 95 % interval {_percent(figure.low)} to {_percent(figure.high)}"
    return (
        f"Best by validation: {best.name} (validation {metric} {_percent(validation)} %); its {metric} on "
        f"{board.where} is {_percent(figure.value)} %{interval}."
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _between(differences: Sequence[Difference], one: Entry, other: Entry) -> Difference:
    return next(d for d in differences if {d.better, d.worse} == {one.name, other.name})


def _other(difference: Difference, entry: Entry) -> str:
    return difference.worse if difference.better == entry.name else difference.better


def _pair(board: Board, d: Difference, entries: dict[str, Entry]) -> str:
    better, worse = entries[d.better], entries[d.worse]
    seeds = _seeds(better, worse)
    text = _figure(board, d, "", f"; {seeds}" if seeds else "")
    times = ratio(better.multiply_adds, worse.multiply_adds)
    if d.significant:
        return f"{better.name} beats {worse.name}: {text}" + (f", at {times}" if times else "") + "."
    said = f"{better.name} against {worse.name}: no difference that this {board.split} set can show: {text}"
    return said + (f"; {better.name} runs at {times}." if times else ".")


def _seeds(better: Entry, worse: Entry) -> str:
    a, b = len(better.seeds), len(worse.seeds)
    if a == b:
        return f"{a} seeds each" if a > 1 else ""
    return f"{a} {'seeds' if a > 1 else 'seed'} against {b}"


def _figure(board: Board, d: Difference | Effect, family: str, more: str = "") -> str:
    """A difference with all that a reader needs to judge and to repeat it."""
    low, high = d.gain.low, d.gain.high
    drawn = f"{board.resamples:,} resamples"
    interval = "no interval" if low is None or high is None else f"interval {points(low)} to {points(high)}, {drawn}"
    holm = f", Holm over {counted(d.comparisons, family or 'comparison')}" if d.comparisons > 1 else ""
    # The name of McNemar's test ends in what its p value is called.
    p = p_value(d.p_holm)
    test = f"{d.test} {p.removeprefix('p ')}" if d.test.endswith("mid-p") else f"{d.test}, {p}"
    return (
        f"{METRICS[d.metric]} on {board.where}: {points(d.gain.value)} points (95 % paired bootstrap {interval}; "
        f"{test}{holm}{more})"
    )


def _cheapest(board: Board, alike: Sequence[Entry]) -> Iterator[str]:
    known = [entry for entry in alike if entry.multiply_adds]
    if len(known) < 2 or len(known) < len(alike):
        return
    cheapest = min(known, key=lambda e: e.multiply_adds or 0)
    times = ratio(cheapest.multiply_adds, alike[0].multiply_adds)
    if cheapest is not alike[0] and times and not times.startswith("the same"):
        yield f"Of those that this {board.split} set cannot tell apart, {cheapest.name} is the cheapest, at {times}."


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
