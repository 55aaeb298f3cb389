"""Cross-validation: runs of one config, one for each fold, as one entry with mean, spread and pooled confusion.

Each image is in the test split of one fold, so the folds' answers together are answers to the whole dataset, each by a
network that has seen neither the image nor, with ``dataset.group``, the person.
"""

from __future__ import annotations

import copy
import hashlib
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emotion.base import files
from emotion.base.words import listed
from emotion.compare import groups, resampling
from emotion.compare.candidates import Candidate, Validation
from emotion.reports import markdown


@dataclass(frozen=True)
class CrossValidation:
    """What papers report of folds.

    Attributes:
        n: Images in all folds together.
        accuracy, macro_f1: Fractions, of each fold.
        pooled_accuracy, pooled_macro_f1: Of all folds' answers together.
        confusion: Counts of all folds together, true classes on rows.
    """

    n: int
    accuracy: tuple[float, ...]
    macro_f1: tuple[float, ...]
    pooled_accuracy: float
    pooled_macro_f1: float
    confusion: list[list[int]]

    def cells(self) -> tuple[str, ...]:
        """Texts in the order of :data:`COLUMNS`, in percent."""
        spread = (f"{100 * statistics.fmean(v):.1f} ± {100 * statistics.stdev(v):.1f}" for v in self._by_fold())
        pooled = (f"{100 * value:.1f}" for value in (self.pooled_accuracy, self.pooled_macro_f1))
        return str(len(self.accuracy)), f"{self.n:,}", *spread, *pooled

    def _by_fold(self) -> tuple[tuple[float, ...], ...]:
        return self.accuracy, self.macro_f1


#: Headings of :meth:`CrossValidation.cells`.
COLUMNS = (
    "folds",
    "images",
    "accuracy %, mean ± sd",
    "macro-F1 %, mean ± sd",
    "pooled accuracy %",
    "pooled macro-F1 %",
)


def pool(candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[str]]:
    """Put one candidate in the place of the folds of each config and seed that are all there.

    Of a fold that was trained several times the newest counts. Folds are taken from one commit of the code where it has
    all of them, else from several.

    Returns:
        The candidates, those without folds and of incomplete sets as they are; and sentences about incomplete sets and
        several commits.
    """
    kept = [c for c in candidates if not _folds(c)]
    sets: dict[tuple[Any, ...], list[Candidate]] = defaultdict(list)
    for candidate in sorted((c for c in candidates if _folds(c)), key=lambda c: (c.record.created, c.run.id)):
        sets[groups.identity(_without_fold(candidate.config)), groups.seed_of(candidate)].append(candidate)
    notes = []
    for members in sets.values():
        count = _folds(members[0])
        by_code: dict[str, dict[int, Candidate]] = defaultdict(dict)
        for member in members:
            by_code[member.record.code][_fold(member)] = member
        whole = [by_fold for by_fold in by_code.values() if len(by_fold) == count]
        newest = {_fold(member): member for member in members}
        if not whole and len(newest) == count:
            whole = [newest]
            ids = listed([newest[number].run.id for number in range(count)])
            notes.append(f"These folds were trained by {len(by_code)} commits of the code: {ids}.")
        kept += [_pooled([by_fold[number] for number in range(count)]) for by_fold in whole]
        if not whole:
            missing = listed([str(number) for number in range(count) if number not in newest])
            ids = listed([member.run.id for member in members])
            notes.append(f"Not pooled: of {count} folds there is no result of fold {missing}, only {ids}.")
            kept += members
    return kept, notes


def of(pooled: Candidate) -> CrossValidation:
    """The figures of a candidate that :func:`pool` made."""
    scores = [resampling.single(c.labels, c.predicted, len(c.names)) for c in (*pooled.folds, pooled)]
    classes = len(pooled.names)
    pairs = pooled.labels * classes + pooled.predicted
    return CrossValidation(
        n=len(pooled.labels),
        accuracy=tuple(accuracy for accuracy, _ in scores[:-1]),
        macro_f1=tuple(macro_f1 for _, macro_f1 in scores[:-1]),
        pooled_accuracy=scores[-1][0],
        pooled_macro_f1=scores[-1][1],
        confusion=np.bincount(pairs, minlength=classes**2).reshape(classes, classes).tolist(),
    )


def note(name: str, pooled: Sequence[Candidate]) -> str:
    """A sentence about an entry's folds, one set a seed."""
    folds = [of(candidate) for candidate in pooled]
    means = zip(*(f.accuracy for f in folds), strict=True), zip(*(f.macro_f1 for f in folds), strict=True)
    shown = []
    for title, values in zip(("accuracy", "macro-F1"), means, strict=True):
        by_fold = [100 * statistics.fmean(of_seeds) for of_seeds in values]
        shown.append(f"{title} {statistics.fmean(by_fold):.1f} ± {statistics.stdev(by_fold):.1f} %")
    return (
        f"{name}: {len(folds[0].accuracy)} folds, {' and '.join(shown)} (mean and standard deviation over folds). The "
        f"tables' figures are of all folds' answers together; their intervals draw images, not people."
    )


def write(folder: Path, rows: Sequence[tuple[str, Candidate]]) -> None:
    """Write ``cross_validation.md`` and ``.json``, and a confusion matrix of each row as a PNG. Raises OSError."""
    from emotion.reports.evaluation import confusion_matrix

    text, content = ["# Cross-validation", ""], []
    text += [markdown.text_table(("", *COLUMNS), [(name, *of(c).cells()) for name, c in rows]), ""]
    for number, (name, candidate) in enumerate(rows):
        result, names = of(candidate), candidate.names
        picture = f"confusion_matrix{'' if len(rows) == 1 else f'_{number}'}.png"
        title = f"{name or 'all folds'}: {len(result.accuracy)} folds pooled"
        confusion_matrix(np.array(result.confusion), folder / picture, names=names, title=title)
        matrix = [(emotion, *map(str, row)) for emotion, row in zip(names, result.confusion, strict=True)]
        text += [f"## {markdown.plain(title)}", "", markdown.text_table(("true \\ said", *names), matrix), ""]
        text += [f"![Confusion matrix]({picture})", ""]
        runs = [fold.run.id for fold in candidate.folds]
        columns = {key: getattr(result, key) for key in CrossValidation.__dataclass_fields__}
        content.append({"name": name, "runs": runs, "labels": list(names), **columns})
    files.write_text(folder / "cross_validation.md", "\n".join(text))
    files.write_json(folder / "cross_validation.json", {"rows": files.as_json(content)})


def _folds(candidate: Candidate) -> int:
    dataset = candidate.config.get("dataset")
    return int(dataset.get("folds") or 0) if isinstance(dataset, dict) else 0


def _fold(candidate: Candidate) -> int:
    return int(candidate.config["dataset"]["fold"])


def _without_fold(config: dict[str, Any]) -> dict[str, Any]:
    config = copy.copy(config)
    config["dataset"] = {**config["dataset"], "fold": None}
    return config


def _pooled(members: Sequence[Candidate]) -> Candidate:
    first = members[0]
    sizes = [len(m.labels) for m in members]
    known = [m.leaked for m in members if m.leaked is not None]
    return replace(
        first,
        config=_without_fold(first.config),
        pictures=hashlib.sha256("\n".join(m.pictures for m in members).encode()).hexdigest(),
        labels=np.concatenate([m.labels for m in members]),
        predicted=np.concatenate([m.predicted for m in members]),
        leaked=np.concatenate(known) if len(known) == len(members) else None,
        calibration_error=float(np.average([m.calibration_error for m in members], weights=sizes)),
        stale=any(m.stale for m in members),
        folds=tuple(members),
        validation=_validation(members),
    )


def _validation(members: Sequence[Candidate]) -> Validation | None:
    """The mean over the folds' validation splits; None where one is not known."""
    known = [m.validation for m in members if m.validation is not None]
    if len(known) < len(members):
        return None
    pictures = hashlib.sha256("\n".join(v.pictures for v in known).encode()).hexdigest()
    means = (statistics.fmean(getattr(v, metric) for v in known) for metric in ("accuracy", "macro_f1"))
    return Validation(pictures, *means)
