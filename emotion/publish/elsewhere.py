"""What a published network scored on other datasets, beside other runs: from ``emotion.evaluate datasets=[...]``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotion.base.errors import UserError
from emotion.inference import report, wording
from emotion.reports.markdown import plain
from emotion.runs import figures
from emotion.runs.figures import EVALUATE_ACROSS

#: Dataset to the figures of the split that was scored.
Scores = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Elsewhere:
    """Several runs' scores on several datasets.

    Attributes:
        checkpoint: SHA-256 of the checkpoint whose scores ``own`` are.
        own: Of the network that is published.
        others: Of the other runs, by their names.
    """

    checkpoint: str
    own: Scores
    others: Mapping[str, Scores]

    def rows(self, name: str) -> dict[str, Scores]:
        """The network's own scores, called ``name``, those for the prior of its training, and the other runs'."""
        trained = {title: score["as_trained"] for title, score in self.own.items() if "as_trained" in score}
        return {name: self.own, **({f"{name}, prior of training": trained} if trained else {}), **self.others}

    def gaps(self) -> Iterator[str]:
        """A line for each kind of slices of each dataset; see :func:`emotion.inference.report.gaps`."""
        for title, score in self.own.items():
            yield from (f"{plain(title)}, {line}" for line in report.gaps(score.get("slices") or {}))


def read(folders: Sequence[Path], checkpoint: str) -> Elsewhere:
    """Read the evaluations that folders list; a dataset of the same title in two of them is one dataset.

    Args:
        folders: What ``emotion.evaluate datasets=[...]`` wrote.
        checkpoint: SHA-256 of the checkpoint that is published.

    Raises:
        UserError: A list or an evaluation is missing or damaged, a run was scored twice on a dataset or has other
            emotions, or none of the evaluations is of this checkpoint.
    """
    own: dict[str, Mapping[str, Any]] = {}
    others: dict[str, dict[str, Mapping[str, Any]]] = {}
    labels: dict[tuple[str, ...], str] = {}
    for folder in folders:
        for one in figures.evaluations(folder):
            metrics = figures.read_metrics(folder / one["folder"], EVALUATE_ACROSS)
            scores = _scores(folder / one["folder"], metrics, one["split"])
            row = own if metrics.get("checkpoint") == checkpoint else others.setdefault(one["run"], {})
            if one["dataset"] in row:
                raise UserError(
                    f"evaluations: {one['run']} was scored on '{one['dataset']}' more than once. Give each dataset a "
                    f"title of its own: datasets=[{{root: ..., title: ...}}]"
                )
            row[one["dataset"]] = scores
            labels[tuple(sorted(one["labels"]))] = one["run"]
    if len(labels) > 1:
        raise UserError(
            f"evaluations: {' and '.join(labels.values())} answer different emotions; leave one of them out"
        )
    if not own:
        raise UserError(
            f"evaluations: none is of the network that is published (checkpoint {checkpoint[:8]}). Score it on the "
            f"datasets, with the others: {EVALUATE_ACROSS}"
        )
    return Elsewhere(checkpoint, own, others)


def _scores(folder: Path, metrics: Mapping[str, Any], split: str) -> Mapping[str, Any]:
    """A split's scores, once all that the card says of them could be written."""
    if split not in metrics:
        raise UserError(f"{folder}: has no scores of {split}; make it again: {EVALUATE_ACROSS}")
    scores: Mapping[str, Any] = metrics[split]
    try:
        rows = Elsewhere("", {"": scores}, {}).rows("")
        report.across_tables(rows)
        wording.in_parentheses({name: row[""] for name, row in rows.items()})
        list(report.gaps(scores.get("slices") or {}))
    except (LookupError, TypeError, ValueError, AttributeError):
        raise UserError(
            f"{folder / figures.NAME}: damaged, its scores of {split} lack figures; make it again: {EVALUATE_ACROSS}"
        ) from None
    return scores
