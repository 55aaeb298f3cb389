"""Runs compared across datasets: ranked by the mean of their macro-F1 over datasets, with a paired bootstrap.

Reads what ``emotion.evaluate run=[...] datasets=[...]`` wrote. Every run is scored on the same resamples of the same
images of each dataset, without those that one of the runs was trained on. Runs with other labels get a board of their
own: their means are of other questions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emotion.base import files
from emotion.base.errors import UserError
from emotion.base.words import counted
from emotion.compare import resampling
from emotion.metrics.bootstrap import Floats
from emotion.metrics.holm import holm
from emotion.reports import html, markdown
from emotion.runs import figures, predictions
from emotion.runs.figures import EVALUATE_ACROSS
from emotion.runs.predictions import Predictions


@dataclass(frozen=True)
class Mean:
    """A run's macro-F1 on each dataset, and its mean over datasets with a 95 % interval; fractions."""

    run: str
    macro_f1: tuple[float, ...]
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Gap:
    """How much larger one mean is than another, with its 95 % interval, and p after Holm's correction."""

    better: str
    worse: str
    gain: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Board:
    """Runs with the same labels on the same datasets, the best first.

    Attributes:
        labels: Of the runs.
        datasets: Names.
        images: How many count, per dataset.
        left_out: How many do not, as one of the runs was trained on them.
        rows: A row per run.
        gaps: A row per pair of runs, the largest gains first.
        notes: Sentences about what the figures leave out.
        resamples: Of the bootstrap.
    """

    labels: tuple[str, ...]
    datasets: tuple[str, ...]
    images: tuple[int, ...]
    left_out: tuple[int, ...]
    rows: tuple[Mean, ...]
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]
    resamples: int = 0

    @property
    def where(self) -> str:
        """What the mean is over: ``2 datasets (3,589 + 2,240 images)``."""
        return f"{counted(len(self.datasets), 'dataset')} ({' + '.join(f'{n:,}' for n in self.images)} images)"

    @property
    def test(self) -> str:
        """How differences are tested."""
        return f"paired bootstrap of the images, {self.resamples:,} resamples, Holm over {len(self.gaps)} comparisons"


def compare(source: Path, folder: Path, resamples: int, seed: int) -> list[Board]:
    """Compare the evaluations that a folder lists; print the boards, and write Markdown, JSON and the page.

    Raises:
        UserError: The list or an evaluation is damaged or missing, a run lacks a dataset, two runs were scored on other
            images of a dataset, or the folder cannot be written to.
    """
    by_labels: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for one in figures.evaluations(source):
        by_labels.setdefault(tuple(one["labels"]), []).append(one)
    boards = [_board(source, labels, some, resamples, seed) for labels, some in by_labels.items()]
    text = _markdown(boards)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_text(folder / "comparison.md", text)
        files.write_json(folder / "comparison.json", {"boards": [files.as_json(asdict(board)) for board in boards]})
        html.write(
            folder / "comparison.html",
            Path(__file__).with_name("across.html"),
            title="Runs across datasets",
            boards=boards,
            verdict=verdict,
        )
    except OSError as error:
        raise UserError(f"folder: cannot write to '{folder}' ({error.strerror}); set folder=... to another") from None
    print(text)
    print(f"written to {folder}: comparison.html, .md, .json")
    return boards


def _board(source: Path, labels: tuple[str, ...], some: list[dict[str, Any]], resamples: int, seed: int) -> Board:
    names = list(dict.fromkeys(str(one["run"]) for one in some))
    datasets = list(dict.fromkeys(str(one["dataset"]) for one in some))
    found = {(str(one["run"]), str(one["dataset"])): one for one in some}
    values, drawn, images, left_out, notes = [], [], [], [], []
    for dataset in datasets:
        lacking = [name for name in names if (name, dataset) not in found]
        if lacking:
            raise UserError(
                f"runs: {', '.join(lacking)} was not scored on {dataset}; score all on all: {EVALUATE_ACROSS}"
            )
        answers, seen, unknown = _answers(source, dataset, [found[name, dataset] for name in names], len(labels))
        images.append(len(answers.labels))
        left_out.append(seen)
        if unknown:
            notes.append(f"{dataset}: not known what {', '.join(unknown)} was trained on.")
        values.append(resampling.scores(answers).macro_f1[0])
        drawn.append(resampling.bootstrap(answers, resamples, seed).macro_f1)
    mean, means = np.mean(values, axis=0), np.mean(drawn, axis=0)
    order = np.argsort(-mean, kind="stable").tolist()
    low, high = np.percentile(means, (2.5, 97.5), axis=0)
    rows = [
        Mean(names[i], tuple(float(v[i]) for v in values), float(mean[i]), float(low[i]), float(high[i])) for i in order
    ]
    gaps = _gaps([names[i] for i in order], mean[order], means[:, order])
    return Board(labels, tuple(datasets), tuple(images), tuple(left_out), tuple(rows), gaps, tuple(notes), resamples)


def _answers(
    source: Path, dataset: str, some: list[dict[str, Any]], classes: int
) -> tuple[resampling.Answers, int, list[str]]:
    """The answers of all runs on one dataset, in one order; how many images were left out; runs of unknown training."""
    stored = [_predictions(source, one, classes) for one in some]
    orders: predictions.Orders = {}
    sorted_ = [predictions.ordered(p.hashes, p.labels.astype(np.int64), orders) for p in stored]
    if len({fingerprint for _, fingerprint in sorted_}) > 1:
        raise UserError(
            f"runs: they were scored on other images of {dataset}, or with other labels; "
            f"score all again: {EVALUATE_ACROSS}"
        )
    rows = [order for order, _ in sorted_]
    known = [(p.leaked, order) for p, order in zip(stored, rows, strict=True) if p.leaked is not None]
    clean = ~np.any([leaked[order] for leaked, order in known] or [np.zeros(len(rows[0]), bool)], axis=0)
    if not clean.any():
        raise UserError(f"runs: every image of {dataset} was trained on by one of these runs; leave one of them out")
    predicted = [p.probabilities.argmax(axis=1)[order][clean] for p, order in zip(stored, rows, strict=True)]
    labels = stored[0].labels[rows[0]][clean].astype(np.int64)
    unknown = [str(one["run"]) for one, p in zip(some, stored, strict=True) if p.leaked is None]
    none = np.zeros((len(predicted), len(labels)), np.bool_)
    answers = resampling.Answers(labels, np.stack(predicted).astype(np.uint8), none, classes, 0)
    return answers, int((~clean).sum()), unknown


def _predictions(source: Path, one: dict[str, Any], classes: int) -> Predictions:
    folder, split = (source / str(one["folder"])).resolve(), str(one["split"])
    try:
        found = predictions.read_folder(folder, [split], EVALUATE_ACROSS)[split]
    except UserError as error:
        raise UserError(f"runs: {one['run']} on {one['dataset']}: {error}") from None
    if found.probabilities.shape[1] != classes or not len(found.labels) or found.labels.max() >= classes:
        raise predictions.damaged(folder, EVALUATE_ACROSS, ValueError("its classes are not those of the run"))
    return found


def _gaps(names: list[str], mean: Floats, means: Floats) -> tuple[Gap, ...]:
    """All pairs, the better mean first."""
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    if not pairs:
        return ()
    gains = [means[:, i] - means[:, j] for i, j in pairs]
    count = len(means) + 1  # a p value from B resamples is no smaller than 1 / (B + 1)
    p = holm([min(1.0, 2 * (1 + min((g <= 0).sum(), (g >= 0).sum())) / count) for g in gains])
    limits = [np.percentile(g, (2.5, 97.5)) for g in gains]
    rows = [
        Gap(names[i], names[j], float(mean[i] - mean[j]), float(low), float(high), float(value))
        for (i, j), (low, high), value in zip(pairs, limits, p, strict=True)
    ]
    return tuple(sorted(rows, key=lambda gap: -gap.gain))


def _markdown(boards: list[Board]) -> str:
    sections = ["# Runs across datasets"]
    for board in boards:
        headings = [f"{d} ({n:,} images)" for d, n in zip(board.datasets, board.images, strict=True)]
        rows = [
            [
                row.run,
                f"{100 * row.mean:.1f} ({100 * row.low:.1f} to {100 * row.high:.1f})",
                *(f"{100 * value:.1f}" for value in row.macro_f1),
            ]
            for row in board.rows
        ]
        sections += [
            f"## Labels: {', '.join(board.labels)}",
            f"**{verdict(board)}**",
            str(markdown.text_table(["run", "mean macro-F1", *headings], rows)),
            f"Macro-F1 in percent; the mean over {board.where} with its 95 % interval: percentile bootstrap of the "
            f"images, {board.resamples:,} resamples.",
        ]
        left = [f"{d}: {n:,}" for d, n in zip(board.datasets, board.left_out, strict=True) if n]
        trained = [f"Left out, as one of the runs was trained on them: {', '.join(left)} images."] if left else []
        notes = [f"- {markdown.plain(note)}" for note in (*trained, *board.notes)]
        sections += ["\n".join(notes)] if notes else []
        if board.gaps:
            cells = [
                [g.better, g.worse, f"{100 * g.gain:.1f}", f"{100 * g.low:.1f} to {100 * g.high:.1f}", f"{g.p:.3f}"]
                for g in board.gaps
            ]
            titles = ["better", "than", "by points", "95 % interval", "p (Holm)"]
            sections += [
                str(markdown.text_table(titles, cells)),
                f"Mean macro-F1 over {board.where}; {board.test}.",
            ]
    if len(boards) > 1:
        sections.insert(1, "These runs have different labels, so they are ranked apart: their means do not compare.")
    return "\n\n".join(sections) + "\n"


def verdict(board: Board) -> str:
    """Which run is best across these datasets, and whether that is more than chance."""
    first, *others = board.rows
    if not others:
        return f"{first.run} has a mean macro-F1 of {100 * first.mean:.1f} %; there is no other run with these labels."
    gap = next(g for g in board.gaps if {g.better, g.worse} == {first.run, others[0].run})
    interval = f"95 % interval {100 * gap.low:.1f} to {100 * gap.high:.1f}"
    found = f"{100 * gap.gain:.1f} points of mean macro-F1 on {board.where} ahead of {others[0].run} ({interval}, "
    found += f"p {gap.p:.3f}: {board.test})"
    if gap.p < 0.05:
        return f"{first.run} is best across these datasets: {found}."
    return f"{first.run} leads, but it is not shown to be better: {found}."
