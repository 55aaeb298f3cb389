"""Ranking entries that were scored on the same images, and only those."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion.compare import effects, groups, notes, resampling, significance, verdict
from emotion.compare.board import Board, Difference, Entry, Figure
from emotion.compare.candidates import Candidate
from emotion.compare.groups import Group
from emotion.metrics.bootstrap import RESAMPLES, Floats
from emotion.metrics.holm import holm
from emotion.metrics.proportions import wilson
from emotion.runs import exports
from emotion.runs import figures as figures_of
from emotion.runs.folder import Run

METRICS = ("accuracy", "macro_f1")
#: Up to so many entries each is compared with each other; of more, the best with each other.
ALL_PAIRS = 6

#: Gives the entries of one board their latencies, and says how in a note.
Timing = Callable[[Sequence[Entry]], tuple[list[Entry], list[str]]]


@dataclass(frozen=True)
class How:
    """How entries are compared.

    Attributes:
        split: What is reported and tested: ``test``, ``validation`` or ``train``.
        rank_by: ``accuracy`` or ``macro_f1``.
        rank_on: The split that gives the order: ``validation``, or ``test`` for that which is reported.
        resamples: Of the bootstrap; None takes as many as the runs' own figures have.
        seed: Of the bootstrap.
    """

    split: str = "test"
    rank_by: str = "accuracy"
    rank_on: str = "validation"
    resamples: int | None = None
    seed: int = 0


def build(candidates: Sequence[Candidate], how: How, timing: Timing) -> list[Board]:
    """Make a board of each set of images and labels that runs were scored on, the one with most entries first.

    ``timing`` fills in latencies.
    """
    recorded = max((c.resamples for c in candidates), default=0) or RESAMPLES
    how = replace(how, resamples=how.resamples or max(100, recorded))
    apart: dict[tuple[str, tuple[str, ...]], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        apart[candidate.pictures, candidate.names].append(candidate)
    boards = [_board(members, how, timing) for members in apart.values()]
    boards.sort(key=lambda board: -len(board.entries))
    if len(boards) > 1:
        apart_note = (
            f"These runs were scored on {len(boards)} different sets of images or labels (their fingerprints differ), "
            f"so there are {len(boards)} tables and no ranking across them: a figure on other images, or on other "
            f"labels of the same images, says nothing about which run is better."
        )
        boards = [replace(board, notes=(apart_note, *board.notes)) for board in boards]
    return boards


def _board(candidates: Sequence[Candidate], how: How, timing: Timing) -> Board:
    split, rank_by = how.split, how.rank_by
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
    values, draws = resampling.scores(answers), resampling.bootstrap(answers, how.resamples or 0, how.seed)
    estimates = {
        name: significance.estimate(getattr(values, name)[0], getattr(draws, name), rows, how.seed)
        for name in (*METRICS, "leak_free_accuracy", "rarest_recall")
    }
    images = _images(answers, rows)
    figures = {name: _figures(estimate, images.get(name)) for name, estimate in estimates.items()}
    names, settings = groups.names(collapsed), groups.differing(collapsed)
    entries = [
        _entry(group, names[i], settings[i], {k: f[i] for k, f in figures.items()}, split)
        for i, group in enumerate(collapsed)
    ]
    chosen, doubt = _chosen(collapsed, how)
    entries = [replace(entry, validation=figure) for entry, figure in zip(entries, chosen, strict=True)]
    by_value = [entry.validation or getattr(entry, rank_by) for entry in entries]
    order = sorted(range(len(entries)), key=lambda i: (-by_value[i].value, entries[i].name))
    hits = (answers.predicted == answers.labels).astype(np.float32)
    correct = resampling.means(hits.T, rows).T
    differences = _differences(entries, order, estimates, correct, rank_by)
    main, crossed = effects.of(collapsed, estimates, correct, rank_by)
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
        notes=(),
        test_set=_test_set(candidates, split),
        ranked_on=split if chosen[0] is None else "validation",
        rank_by=rank_by,
        resamples=how.resamples or 0,
        seed=how.seed,
        effects=main,
        interactions=crossed,
    )
    told = (*notes.intervals(board), *doubt, *notes.of(collapsed, names, split, len(members)), *timed)
    return replace(board, notes=told, verdict=tuple(verdict.sentences(board)))


def _images(answers: resampling.Answers, rows: Sequence[NDArray[np.intp]]) -> dict[str, Floats]:
    """Of how many images each entry's rates are, ``[E]``: NaN for entries of several seeds, which are no rates."""
    first = np.array([entry[0] for entry in rows])
    single = np.array([1.0 if len(entry) == 1 else np.nan for entry in rows])
    rare = int((answers.labels == answers.rarest).sum())
    clean = (~answers.leaked[first]).sum(axis=1)
    return {
        "accuracy": single * len(answers.labels), "leak_free_accuracy": single * clean, "rarest_recall": single * rare,
    }  # fmt: skip


def _chosen(collapsed: Sequence[Group], how: How) -> tuple[list[Figure | None], list[str]]:
    """Each entry's validation score where these give the order, else None; and why they do not where they should."""
    nothing: list[Figure | None] = [None] * len(collapsed)
    if how.split == "validation" or how.rank_on != "validation":
        return nothing, []
    found = [[m.validation for m in group.members] for group in collapsed]
    known = [v for validations in found for v in validations if v is not None]
    if len(known) < sum(map(len, found)) or len({v.pictures for v in known}) > 1:
        told = (
            f"Ranked by {how.split}, as these runs have no validation scores on the same images: the best of "
            f"{len(collapsed)}, chosen by the figures that are reported, looks better than it is."
        )
        return nothing, [told] if len(collapsed) > 1 else []
    scores = [[getattr(v, how.rank_by) for v in validations if v is not None] for validations in found]
    return [Figure(statistics.fmean(s), deviation=statistics.stdev(s) if len(s) > 1 else None) for s in scores], []


def _test_set(candidates: Sequence[Candidate], split: str) -> str:
    names = [
        f"{len(c.folds)} folds of {figures_of.name(c.record.data)} together" if c.folds
        else figures_of.test_set(c.record.data, split)
        for c in candidates
    ]  # fmt: skip
    return Counter(names).most_common(1)[0][0]


def _figures(estimate: significance.Estimate, images: Floats | None) -> list[Figure]:
    """Each entry's figure; with Wilson's interval where it is a rate of so many images."""
    low, high = significance.intervals(estimate)
    low, high = (np.where(low == high, np.nan, end) for end in (low, high))  # resamples that are all alike show nothing
    if images is not None:
        ends = wilson(np.round(estimate.means * images), images)
        low, high = (np.where(np.isnan(images), end, rate) for end, rate in zip((low, high), ends, strict=True))
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
        runs=tuple(run for m in group.members for run in m.runs),
        folds=len(group.members[0].runs),
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
    path = (run.ready_made or run.path / "model.tflite") if run.export is None else exports.model_of(run)
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
        corrected = holm(gains.p, family=count * (count - 1) // 2)
        for k, (i, j) in enumerate(pairs):
            value, low, high = float(gains.gain[k]), float(gains.low[k]), float(gains.high[k])
            if value < 0:
                i, j, value, low, high = j, i, -value, -high, -low
            clear = corrected[k] <= 1 - significance.CONFIDENCE and low > 0
            test = significance.name(metric, int(estimate.seeds[[i, j]].max()), pair=True)
            differences.append(
                Difference(
                    entries[i].name, entries[j].name, metric, Figure(value, low, high), float(gains.p[k]),
                    float(corrected[k]), bool(clear), test,
                    count * (count - 1) // 2,
                )
            )  # fmt: skip
    return differences


def _described(candidates: Sequence[Candidate]) -> str:
    data = [c.record.data for c in candidates]
    names = Counter(str(d.get("recognised") or d.get("dataset") or "unknown data") for d in data)
    return names.most_common(1)[0][0]
