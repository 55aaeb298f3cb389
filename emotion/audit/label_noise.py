"""Labels that a model doubts: confident learning over predictions of images that it was not trained on.

Northcutt, Jiang and Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels", by the authors'
library cleanlab.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emotion.audit.finding import Finding, Group
from emotion.audit.pictures import Pictures
from emotion.base.errors import UserError
from emotion.base.words import counted
from emotion.runs import predictions
from emotion.runs.folder import Run

_HELD_OUT = ("test", "validation")


@dataclass(frozen=True, eq=False)
class Doubts:
    """The result of confident learning.

    Attributes:
        judged: int64 ``[M]``, images with an out-of-sample prediction.
        suggested: int64 ``[M]``, the most probable label of each.
        self_confidence: float64 ``[M]``, the probability of the given label.
        flagged: int64 ``[F]``, image numbers whose label is likely to be wrong, the most doubtful first.
        noise: The estimated share of wrong labels among those judged.
        runs: Ids of the runs.
        accuracy: The share of the judged images on which the runs, together, give the label.
    """

    judged: np.ndarray[Any, Any]
    suggested: np.ndarray[Any, Any]
    self_confidence: np.ndarray[Any, Any]
    flagged: np.ndarray[Any, Any]
    noise: float
    runs: tuple[str, ...]
    accuracy: float


def check(runs: Sequence[Run], labels: Sequence[str] | None = None) -> None:
    """Check that the runs fit and that the library is installed, before anything takes time.

    Raises:
        UserError: cleanlab is not installed, or a run has no predictions, or other labels than the dataset.
    """
    if importlib.util.find_spec("cleanlab") is None:
        raise UserError("run: judging labels takes the library cleanlab. Run: pip install 'emotion[audit]'")
    for run in runs:
        _predictions(run)
        names = run.contract().labels
        if labels is not None and tuple(names) != tuple(labels):
            raise UserError(
                f"run {run.id}: its labels are {', '.join(names)}, the dataset's are {', '.join(labels)}. Name a run "
                f"that was trained on this dataset"
            )


def doubts(pictures: Pictures, runs: Sequence[Run]) -> Doubts:
    """Judge the labels of all images that some of the runs predicted without having been trained on them.

    Args:
        pictures: The dataset.
        runs: Their predictions for validation and test are matched by the pixels' hashes. A run divides the data by its
            ``dataset.split_seed``, so several with different ones cover more. Where several cover an image, their
            probabilities are averaged.

    Raises:
        UserError: The runs cover none of these images, or too few.
    """
    probabilities, covers = _out_of_sample(pictures, runs)
    judged = np.flatnonzero(covers)
    names = ", ".join(run.id for run in runs)
    if not len(judged):
        raise UserError(
            f"run: {names} predicted none of these images; name a run that was trained on this dataset, or audit the "
            f"dataset that it was trained on"
        )
    given, shown = pictures.labels[judged], probabilities[judged]
    if len(np.unique(given)) < 2 or len(judged) < 10 * shown.shape[1]:
        raise UserError(f"run: {names} predicted {len(judged)} of these images, too few to judge their labels by")
    wrong = flags(given, shown)
    own = shown[np.arange(len(given)), given]
    flagged = judged[np.flatnonzero(wrong)[np.argsort(own[wrong], kind="stable")]]
    return Doubts(
        judged=judged,
        suggested=shown.argmax(axis=1),
        self_confidence=own.astype(np.float64),
        flagged=flagged,
        noise=noise_rate(given, shown),
        runs=tuple(run.id for run in runs),
        accuracy=float((shown.argmax(axis=1) == given).mean()),
    )


def finding(pictures: Pictures, found: Doubts, allowed: float, least: float) -> Finding:
    """The doubtful labels as a finding, most doubtful first.

    What a run gets wrong itself looks like a wrong label to it, so its accuracy is shown, and a share is given only for
    runs that are right for at least the share ``least`` of the judged images (``docs/decisions/label-noise.md``).
    """
    fit = found.accuracy >= least
    share = (
        f"the estimated share of wrong labels is {100 * found.noise:.1f} %, which is too high where the run, not the "
        f"label, is wrong"
        if fit
        else f"no share of wrong labels is given, as it would be the run's own errors (limits.run_accuracy={least:g})"
    )
    place = {int(i): k for k, i in enumerate(found.judged)}
    names = pictures.splits.labels
    groups = [
        Group((i,), f"rather {names[found.suggested[k]]}; own label {100 * found.self_confidence[k]:.1f} % probable")
        for i, k in ((int(i), place[int(i)]) for i in found.flagged)
    ]
    by_class = np.bincount(pictures.labels[found.flagged], minlength=len(names))
    return Finding(
        name="label_noise",
        title="Doubtful labels",
        count=len(found.flagged),
        of=len(found.judged),
        met=fit and found.noise > allowed,
        meaning=f"Of {counted(len(found.judged), 'image')} that {counted(len(found.runs), 'run')} predicted without "
        f"having been trained on them, {100 * found.accuracy:.1f} % of them right, {len(found.flagged):,} seem to "
        f"carry a wrong label; {share}.",
        advice=f"Look at the most doubtful and correct or remove them. Up to {100 * allowed:g} % is tolerated "
        f"(limits.label_noise).",
        details={
            "noise": found.noise if fit else None,
            "run_accuracy": found.accuracy,
            "least_run_accuracy": least,
            "allowed": allowed,
            "runs": list(found.runs),
            "judged": len(found.judged),
            "share_of_dataset": len(found.judged) / max(1, len(pictures)),
            "by_class": dict(zip(names, map(int, by_class), strict=True)),
        },
        groups=tuple(groups),
    )


def _out_of_sample(pictures: Pictures, runs: Sequence[Run]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Mean probabilities, float64 ``[N, C]``, and which images have any, bool ``[N]``."""
    here, which, copies = np.unique(pictures.hashes, return_inverse=True, return_counts=True)
    total = np.zeros((len(here), len(pictures.splits.labels)))
    times = np.zeros(len(here))
    for run in runs:
        hashes, rows = _predictions(run)
        run_hashes, first, held_out = np.unique(hashes, return_index=True, return_counts=True)
        there = np.isin(here, run_hashes)
        at = np.searchsorted(run_hashes, here[there])
        # An image of which there are more copies than the run held out was trained on.
        fresh = held_out[at] >= copies[there]
        total[np.flatnonzero(there)[fresh]] += rows[first[at[fresh]]]
        times[np.flatnonzero(there)[fresh]] += 1
    mean = total / np.maximum(times, 1)[:, None]
    mean /= np.maximum(mean.sum(axis=1, keepdims=True), 1e-12)
    return mean[which], times[which] > 0


def _predictions(run: Run) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Pixel hashes, ``S16`` ``[M]``, and probabilities, float64 ``[M, C]``, of what a run was not trained on."""
    try:
        by_split = predictions.read(run, *_HELD_OUT).values()
    except UserError as error:
        raise UserError(f"run {run.id} (name another run, or mend it): {error}") from None
    try:
        rows = np.concatenate([answers.probabilities for answers in by_split]).astype(np.float64)
        if not np.isfinite(rows).all():
            raise ValueError("its probabilities are not all numbers")
    except ValueError as damage:
        raise predictions.damaged(run.results, run.evaluate_command(), damage) from None
    return np.concatenate([answers.hashes for answers in by_split]), rows


def flags(given: Any, probabilities: Any) -> np.ndarray[Any, Any]:
    """bool ``[N]``, the labels that confident learning doubts, of int64 ``[N]`` and float64 ``[N, C]``."""
    from cleanlab.filter import find_label_issues

    return np.asarray(
        find_label_issues(
            given, probabilities, filter_by="prune_by_noise_rate", return_indices_ranked_by=None, n_jobs=1
        )
    )


def noise_rate(given: Any, probabilities: Any) -> float:
    """One minus the trace of the joint of given and true labels that confident learning estimates."""
    from cleanlab.count import estimate_joint

    present = np.unique(given)
    own = probabilities[:, present]
    own = own / np.maximum(own.sum(axis=1, keepdims=True), 1e-12)
    joint = estimate_joint(np.searchsorted(present, given), own)
    return float(1 - np.trace(joint))
