"""What is written of a score: ``metrics.json``, predictions, plots, the sheet of mistakes and the report."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emotion import metrics, runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.base.progress import working
from emotion.data.examples import ALL, SPLITS
from emotion.inference import mistakes, report, summary
from emotion.inference.scoring import Scored, Scores
from emotion.reports.evaluation import confusion_matrix, reliability
from emotion.reports.training import history as plot_history
from emotion.runs import predictions
from emotion.runs.history import read_history
from emotion.runs.predictions import Predictions

log = logging.getLogger(__name__)

#: Plots in a run's folder, or an evaluation's, by their captions in the report.
PLOTS = {
    "Confusion matrix": "confusion_matrix.png",
    "Reliability": "reliability.png",
    "Training history": "history.png",
    "Most confident mistakes": mistakes.SHEET,
    "Where the network looked": mistakes.EXPLAINED,
}
_SHEETS = (mistakes.SHEET, mistakes.EXPLAINED)


def write_own(
    run: runs.Run, scored: Mapping[str, Scored], fingerprint: dict[str, Any], checkpoint: Path | None = None
) -> None:
    """Write a run's own figures into its folder, with its history drawn, and its scores into its record; see
    :func:`write`."""
    _draw_history(run)
    merged = write(run, run.path, scored, fingerprint, checkpoint)
    values = {s: {k: v["value"] for k, v in score.items() if isinstance(v, dict) and "value" in v}
              for s, score in merged.items()}  # fmt: skip
    runs.update(run, scores=values)


@working("drawing plots, writing the report")
def write(
    run: runs.Run,
    folder: Path,
    scored: Mapping[str, Scored],
    fingerprint: dict[str, Any],
    checkpoint: Path | None = None,
    tta: str = "none",
    calibrated: bool = True,
) -> dict[str, Scores]:
    """Write scores, predictions, plots and the report, keeping those of other splits.

    Args:
        scored, fingerprint: Scores by split, and the fingerprint of the data that was scored.
        checkpoint: What was scored; default the best checkpoint. Figures of another one are not kept.
        tta: As for :func:`emotion.inference.scoring.answers`.
        calibrated: Whether the probabilities are.

    Returns:
        The scores of all splits, those of other splits included.
    """
    path, contract = folder / "metrics.json", run.contract()
    before = files.read_json(path) if path.is_file() else {}
    digest = files.sha256(checkpoint or run.checkpoint())
    current = before.get("checkpoint") == digest
    older = {split: before[split] for split in (*SPLITS, ALL) if current and split in before}
    every = older | {split: new.scores for split, new in scored.items()}
    merged = {split: every[split] for split in (*SPLITS, ALL) if split in every}
    augmented = {} if tta == "none" else {"tta": tta}
    files.write_json(path, {"checkpoint": digest, "data": fingerprint["pixels"], **augmented, **merged})
    others = _stored(folder, [split for split in older if split not in scored], run.evaluate_command())
    answered = others | {split: new.predictions for split, new in scored.items()}
    predictions.write(folder, answered)
    calibrated = calibrated and contract.temperature != 1
    predictions.write_table(folder, answered, contract.labels, calibrated)

    shown = "test" if "test" in merged else next(iter(merged))
    if shown in scored:
        _draw(run, folder, shown, scored[shown])
    for split, new in scored.items():
        _draw_sheets(run, split, new, *(mistakes.place(folder, n, split, shown) for n in _SHEETS))
    report.write(
        folder / "report.md",
        title=run.id,
        facts=summary.facts(run, fingerprint, tta),
        scores=merged,
        plots={caption: name for caption, name in PLOTS.items() if (folder / name).is_file()},
    )
    return merged


def _draw(run: runs.Run, folder: Path, split: str, scored: Scored) -> None:
    title, matrix = f"{run.id}: {split} split", np.array(scored.scores["confusion_matrix"])
    confusion_matrix(matrix, folder / "confusion_matrix.png", names=run.contract().labels, title=title)
    curve = metrics.reliability_curve(scored.predictions.probabilities, scored.predictions.labels)
    ece = scored.scores["expected_calibration_error"]["value"]
    reliability(curve, folder / "reliability.png", ece=ece, title=title)


def _draw_sheets(run: runs.Run, split: str, scored: Scored, shown: Path, explained: Path) -> None:
    """The sheets of a split's mistakes, or none in the place of those of other answers."""
    title, labels = f"{run.id}, {split}", run.contract().labels
    for path in (shown, explained):
        path.unlink(missing_ok=True)
    if scored.mistakes:
        mistakes.draw(scored.mistakes, scored.predictions, shown, labels, title)
    if scored.maps:
        mistakes.draw_maps(scored.mistakes, scored.maps, explained, labels, title)


def _stored(folder: Path, splits: Collection[str], again: str) -> dict[str, Predictions]:
    """Predictions of other splits; none where they are missing or damaged, since every evaluation writes them."""
    try:
        has_any = splits and (folder / predictions.NAME).is_file()
        return predictions.read_folder(folder, splits, again, named=True) if has_any else {}
    except UserError as error:
        log.warning("predictions of other splits are lost: %s", error)
        return {}


def _draw_history(run: runs.Run) -> None:
    path = run.path / "history.csv"
    if not path.is_file():
        return
    monitor, best_epoch = run.config().trainer.monitor, run.record().best_epoch
    try:
        plot_history(read_history(path), run.path / "history.png", monitor=monitor, best_epoch=best_epoch)
    except (UserError, ValueError) as error:  # the scores do not depend on it
        log.warning("the training history is not drawn: %s", error)
