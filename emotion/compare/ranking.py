"""Ranking entries that were scored on the same images, and only those."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from emotion.base.words import listed
from emotion.compare import groups, resampling, significance
from emotion.compare.board import Board, Difference, Entry, Figure, sentences
from emotion.compare.candidates import Candidate
from emotion.compare.groups import Group
from emotion.metrics.bootstrap import Floats
from emotion.runs import exports
from emotion.runs.folder import Run

METRICS = ("accuracy", "macro_f1")
#: Up to so many entries each is compared with each other; of more, the best with each other.
ALL_PAIRS = 6

#: Gives the entries of one board their latencies, and says how in a note.
Timing = Callable[[Sequence[Entry]], tuple[list[Entry], list[str]]]


def build(
    candidates: Sequence[Candidate], split: str, rank_by: str, resamples: int, seed: int, timing: Timing
) -> list[Board]:
    """Make a board of each set of images and labels that runs were scored on, the one with most entries first.

    Args:
        candidates, split: The runs, and what they were scored on.
        rank_by: ``accuracy`` or ``macro_f1``.
        resamples, seed: Of the bootstrap.
        timing: Fills in latencies.
    """
    apart: dict[tuple[str, tuple[str, ...]], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        apart[candidate.pictures, candidate.names].append(candidate)
    boards = [_board(members, split, rank_by, resamples, seed, timing) for members in apart.values()]
    boards.sort(key=lambda board: -len(board.entries))
    if len(boards) > 1:
        note = (
            f"These runs were scored on {len(boards)} different sets of images or labels (their fingerprints differ), "
            f"so there are {len(boards)} tables and no ranking across them: a figure on other images, or on other "
            f"labels of the same images, says nothing about which run is better."
        )
        boards = [replace(board, notes=(note, *board.notes)) for board in boards]
    return boards


def _board(
    candidates: Sequence[Candidate], split: str, rank_by: str, resamples: int, seed: int, timing: Timing
) -> Board:
    collapsed = groups.collapse(candidates)
    members = [candidate for group in collapsed for candidate in group.members]
    ends = np.cumsum([0, *(len(group.members) for group in collapsed)])
    rows = [np.arange(a, b) for a, b in pairwise(ends)]
    first = members[0]
    support = np.bincount(first.labels, minlength=len(first.names))
    rarest = int(np.where(support > 0, support, support.max() + 1).argmin())
    unknown = np.zeros(len(first.labels), np.bool_)
    answers = resampling.Answers(
        labels=first.labels,
        predicted=np.stack([m.predicted for m in members]),
        leaked=np.stack([unknown if m.leaked is None else m.leaked for m in members]),
        classes=len(first.names),
        rarest=rarest,
    )
    values, draws = resampling.scores(answers), resampling.bootstrap(answers, resamples, seed)
    estimates = {
        name: significance.estimate(getattr(values, name)[0], getattr(draws, name), rows, seed)
        for name in (*METRICS, "leak_free_accuracy", "rarest_recall")
    }
    figures = {name: _figures(estimate) for name, estimate in estimates.items()}
    names, settings = groups.names(collapsed), groups.differing(collapsed)
    entries = [
        _entry(group, names[i], settings[i], {k: f[i] for k, f in figures.items()}, split)
        for i, group in enumerate(collapsed)
    ]
    order = sorted(range(len(entries)), key=lambda i: (-getattr(entries[i], rank_by).value, entries[i].name))
    hits = (answers.predicted == answers.labels).astype(np.float32)
    correct = resampling.means(hits.T, rows).T
    differences = _differences(entries, order, estimates, correct, rank_by)
    ranked, timed = timing([entries[i] for i in order])
    board = Board(
        data=_described(candidates),
        pixels=first.pictures,
        split=split,
        labels=first.names,
        rarest=first.names[rarest],
        n=len(first.labels),
        entries=tuple(ranked),
        differences=tuple(differences),
        verdict=(),
        notes=(*_notes(collapsed, names, split, len(members)), *timed),
    )
    return replace(board, verdict=tuple(sentences(board, rank_by)))


def _figures(estimate: significance.Estimate) -> list[Figure]:
    low, high = significance.intervals(estimate)
    return [
        Figure(float(value), _or_none(a), _or_none(b), _or_none(deviation))
        for value, a, b, deviation in zip(estimate.means, low, high, estimate.deviations, strict=True)
    ]


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _entry(group: Group, name: str, settings: dict[str, Any], figures: dict[str, Figure], split: str) -> Entry:
    records = [m.record for m in group.members]
    costs = [record.efficiency for record in records]
    latencies = _numbers([cost.get("latency_ms") for cost in costs])
    training = _numbers([record.training_seconds for record in records])
    known = split == "test" and all(m.leaked is not None for m in group.members)
    clean = figures["leak_free_accuracy"]
    errors = [m.calibration_error for m in group.members]
    spread = float(np.std(errors, ddof=1)) if len(errors) > 1 else None
    return Entry(
        name=name,
        runs=tuple(m.run for m in group.members),
        seeds=tuple(groups.seed_of(m) for m in group.members),
        accuracy=figures["accuracy"],
        macro_f1=figures["macro_f1"],
        leak_free_accuracy=clean if known and np.isfinite(clean.value) else None,
        rarest_recall=figures["rarest_recall"],
        calibration_error=Figure(float(np.mean(errors)), deviation=spread),
        parameters=_first([r.parameters for r in records]),
        multiply_adds=_first([c.get("multiply_adds") for c in costs]),
        file_bytes=_file_bytes(group.members[0].run),
        latency_ms=statistics.median(latencies) if latencies else None,
        peak_memory_bytes=max(map(int, _numbers([c.get("peak_memory_bytes") for c in costs])), default=None),
        training_seconds=statistics.fmean(training) if training else None,
        settings=settings,
    )


def _numbers(values: Sequence[Any]) -> list[float]:
    """What runs recorded; older ones did not."""
    return [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]


def _first(values: Sequence[Any]) -> int | None:
    return next(map(int, _numbers(values)), None)


def _file_bytes(run: Run) -> int | None:
    path = run.path / "model.tflite" if run.export is None else exports.model_of(run)
    return exports.size(path) or None


def _differences(
    entries: Sequence[Entry],
    order: Sequence[int],
    estimates: dict[str, significance.Estimate],
    correct: Floats,
    rank_by: str,
) -> list[Difference]:
    """All pairs, or the best against each other; those of the metric that the board is ranked by first.

    Which entry is the best was chosen by the same figures, among all pairs: all of them count as hypotheses.
    """
    count = len(entries)
    if count < 2:
        return []
    pairs = list(combinations(order, 2)) if count <= ALL_PAIRS else [(order[0], other) for other in order[1:]]
    better, worse = (np.array(side) for side in zip(*pairs, strict=True))
    differences = []
    for metric in sorted(METRICS, key=lambda m: m != rank_by):
        estimate = estimates[metric]
        if metric == "accuracy":
            gains = significance.compare_accuracy(estimate, correct, better, worse)
        else:
            gains = significance.compare(estimate, better, worse)
        corrected = significance.holm(gains.p, family=count * (count - 1) // 2)
        for k, (i, j) in enumerate(pairs):
            gain = Figure(float(gains.gain[k]), float(gains.low[k]), float(gains.high[k]))
            clear = corrected[k] <= 1 - significance.CONFIDENCE and (gains.low[k] > 0 or gains.high[k] < 0)
            p, p_holm = float(gains.p[k]), float(corrected[k])
            differences.append(Difference(entries[i].name, entries[j].name, metric, gain, p, p_holm, bool(clear)))
    return differences


def _described(candidates: Sequence[Candidate]) -> str:
    data = [c.record.data for c in candidates]
    names = Counter(str(d.get("recognised") or d.get("dataset") or "unknown data") for d in data)
    return names.most_common(1)[0][0]


def _notes(collapsed: Sequence[Group], names: Sequence[str], split: str, runs: int) -> list[str]:
    notes = []
    stale = [m.run.id for group in collapsed for m in group.members if m.stale]
    if stale:
        notes.append(
            f"Stale figures, of an older checkpoint than the run's best one now: {listed(stale)}. Score such a run "
            f"again: python -m emotion.evaluate run=<id>"
        )
    for group, name in zip(collapsed, names, strict=True):
        if group.repeats:
            ids = listed([c.run.id for c in group.repeats])
            notes.append(f"{name}: the same config and seed again is not another sample; left out {ids}.")
    if len({groups.trained_on(m) for group in collapsed for m in group.members}) > 1:
        notes.append("These runs were tested on the same images but not trained on the same.")
    adopted = [n for group, n in zip(collapsed, names, strict=True) if group.members[0].record.adopted]
    if adopted:
        notes.append(
            f"Trained elsewhere: {listed(adopted)}. Which images they were trained on and chosen by is not known; "
            f"their leak-free figures leave out what is in the training and validation splits of this data, no more."
        )
    if split == "validation":
        notes.append(
            "The validation split chose each run's checkpoint, so validation figures are optimistic; compare on test."
        )
    if runs == 1:
        notes.append("Only one run is left: a table without a verdict.")
    elif len(collapsed) == 1:
        notes.append("Only one entry: its runs differ in the seed alone, so there is nothing to compare it with.")
    single = sum(len(group.members) == 1 for group in collapsed)
    if single and len(collapsed) > 1:
        which = (
            "Every entry has"
            if single == len(collapsed)
            else f"{single} of {len(collapsed)} entries {'has' if single == 1 else 'have'}"
        )
        notes.append(
            f"{which} one seed: what is said of them is about these trained networks; another seed may differ."
        )
    if any(1 < len(group.members) < 5 for group in collapsed) and len(collapsed) > 1:
        notes.append("Few seeds show their own spread badly; intervals are widened for it by Student's t.")
    return notes
