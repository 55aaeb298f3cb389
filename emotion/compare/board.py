"""What a comparison is made of, which every view of it reads, and its verdict in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from emotion.runs.folder import Run


@dataclass(frozen=True)
class Figure:
    """A score: its value (the mean over seeds), a 95 % interval, and the standard deviation over seeds.

    Attributes:
        value: A fraction, such as 0.63 for 63 %.
        low: Lower end of the 95 % interval; None where there is none.
        high: Upper end, likewise.
        deviation: Standard deviation over the seeds (n - 1); None with one seed.
    """

    value: float
    low: float | None = None
    high: float | None = None
    deviation: float | None = None


@dataclass(frozen=True)
class Entry:
    """A row: one run, or runs that differ only in the seed.

    Attributes:
        name: Short and unique in its board: the model, and the settings in which it differs from the other entries.
        runs: Its runs, by seed.
        seeds: Their seeds; None of a network that was trained elsewhere.
        accuracy: On the whole split.
        macro_f1: On the whole split.
        leak_free_accuracy: Without images that training or validation held; None for other splits than test.
        rarest_recall: Recall of the board's rarest emotion.
        calibration_error: Expected calibration error.
        parameters: Of the network.
        multiply_adds: For one image.
        file_bytes: Size of ``model.tflite``, or of the export.
        latency_ms: Of the same, one image, one thread, median.
        peak_memory_bytes: The training process's largest resident memory.
        training_seconds: Mean over the runs.
        settings: Of its config, as dotted keys, what differs between the board's entries.
    """

    name: str
    runs: tuple[Run, ...]
    seeds: tuple[int | None, ...]
    accuracy: Figure
    macro_f1: Figure
    leak_free_accuracy: Figure | None
    rarest_recall: Figure | None
    calibration_error: Figure | None
    parameters: int | None
    multiply_adds: int | None
    file_bytes: int | None
    latency_ms: float | None
    peak_memory_bytes: int | None
    training_seconds: float | None
    settings: dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """The better of two entries against the other, on the same images.

    Attributes:
        better: Name of the entry with the higher value of the metric that the board is ranked by.
        worse: Name of the other.
        metric: ``accuracy`` or ``macro_f1``.
        gain: How much better, a fraction, with the interval of the paired bootstrap.
        p: Of the paired test, before correction.
        p_holm: After Holm's correction over the board's differences.
        significant: Whether the corrected test and the interval both exclude no difference.
    """

    better: str
    worse: str
    metric: str
    gain: Figure
    p: float
    p_holm: float
    significant: bool


@dataclass(frozen=True)
class Board:
    """Entries that were scored on the same images, best first, and what can be said of their differences.

    Attributes:
        data: Description of the images, such as ``FER2013 as published``.
        pixels: Fingerprint of the split that was scored.
        split: ``test`` or ``validation``.
        labels: Emotions in their order.
        rarest: The emotion with the fewest images in the split.
        n: Images in the split.
        entries: Best first.
        differences: Best against each other entry; all pairs where there are few.
        verdict: Sentences, the first about the best two.
        notes: What a reader must know to judge it.
    """

    data: str
    pixels: str
    split: str
    labels: tuple[str, ...]
    rarest: str
    n: int
    entries: tuple[Entry, ...]
    differences: tuple[Difference, ...]
    verdict: tuple[str, ...]
    notes: tuple[str, ...]


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
