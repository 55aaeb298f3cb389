"""Scoring a checkpoint on a split, and what is written of it: scores, predictions, plots, the report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion import metrics, runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.base.progress import progress
from emotion.data import cache, pipeline
from emotion.data.examples import SPLITS, Examples, Splits
from emotion.inference import report
from emotion.inference.classifier import Classifier, predict
from emotion.inference.runtimes import Probabilities, Traced
from emotion.metrics import agreement, calibration
from emotion.reports.evaluation import confusion_matrix, reliability
from emotion.reports.training import history as plot_history
from emotion.runs import predictions
from emotion.runs.history import read_history
from emotion.runs.predictions import Predictions

log = logging.getLogger(__name__)

Scores = dict[str, Any]


@dataclass(frozen=True)
class Scored:
    """A split's scores, and the answers that they are of, with the column ``leaked`` where that is known.

    Attributes:
        scores: Those of :func:`emotion.metrics.score`; of a test split whose images could be compared with the training
            data those of :func:`emotion.metrics.score_with_leak_free`. Where people voted, those of
            :func:`emotion.metrics.agreement.score` as ``agreement``.
    """

    scores: Scores
    predictions: Predictions


@dataclass(frozen=True)
class Scoring:
    """How the splits of a dataset are scored.

    Attributes:
        run: Whose contract says how images are prepared and what the outputs mean.
        splits: The data to score on.
        trained_on: The data that the run was trained on; None if it is not available.
        bootstrap: Resamples for the intervals.
        calibrated: Whether the contract's temperature belongs to the model that is scored.
    """

    run: runs.Run
    splits: Splits
    trained_on: Splits | None
    bootstrap: int
    calibrated: bool = True

    def open(self, split: str, dataset: DictConfig) -> cache.Store:
        """A split's images, prepared, and cached as the dataset config says.

        Raises:
            UserError: The split has no images, other labels than the run, or an image that can no longer be read.
        """
        if not len(self.splits[split]):
            raise UserError(
                f"split: the {split} split of this data has no images; choose another split=..., such as validation"
            )
        contract = self.run.contract()
        if contract.labels != self.splits.labels:
            raise UserError(
                f"dataset: its labels are {', '.join(self.splits.labels)}; those of run {self.run.id} are "
                f"{', '.join(contract.labels)}. Score it on data with the same labels"
            )
        return cache.open_store(self.splits[split], contract, cache=dataset.cache, cache_dir=dataset.cache_dir)

    def score(self, split: str, raw: Probabilities) -> Scored:
        """Score what :func:`answers` gave for a split: the test split also without leaked images."""
        examples, contract = self.splits[split], self.run.contract()
        probabilities = calibration.apply(raw, contract.temperature) if self.calibrated else raw
        labels, names, bootstrap = examples.labels, contract.labels, self.bootstrap
        if split == "test" and self.trained_on is not None:
            seen = np.concatenate([self.trained_on.train.hashes, self.trained_on.validation.hashes])
            leaked = np.isin(examples.hashes, seen)
            scores = metrics.score_with_leak_free(probabilities, labels, leaked, names=names, bootstrap=bootstrap)
        else:
            leaked, scores = None, metrics.score(probabilities, labels, names=names, bootstrap=bootstrap)
        if examples.votes is not None:
            # Calibration is to the majority's label; how people divide is what the network itself was fitted to.
            scores |= {"agreement": agreement.score(raw, examples.votes, bootstrap=bootstrap)}
        columns = Predictions(probabilities, labels.astype(np.int8), examples.hashes, examples.votes, leaked)
        return Scored(scores, columns)


def answers(
    model: Traced | Classifier,
    store: cache.Store,
    run: runs.Run,
    batch_size: int = 256,
    tta: str = "none",
) -> Probabilities:
    """The model's own probabilities for prepared images, before calibration: float32 ``[N, C]``.

    Args:
        model: The checkpoint, or its export with an uncalibrated contract.
        run: Whose model it is, for the progress bar.
        tta: ``none``, or ``flip``: each answer is the mean of those for the image and its mirror image.

    Raises:
        UserError: An image can no longer be read.
    """
    passes = 2 if tta == "flip" else 1
    with cache.failing(store), progress(passes * len(store), f"asking run {run.id}") as advance:
        raw = predict(model, _counted(pipeline.evaluation(store, batch_size=batch_size), advance))
        if tta == "flip":
            mirrored = pipeline.evaluation(store, batch_size=batch_size).map(lambda images: images[:, :, ::-1])
            raw = 0.5 * (raw + predict(model, _counted(mirrored, advance)))
    return raw


def _counted(batches: Iterable[Any], advance: Callable[[int], None]) -> Iterator[Any]:
    for images in batches:
        yield images
        advance(len(images))


def calibrate(run: runs.Run, raw: Probabilities, examples: Examples) -> None:
    """Fit a temperature on the answers to the validation split, and put it into the run's contract."""
    temperature = calibration.fit_temperature(raw, examples.labels)
    replace(run.contract(), temperature=temperature).save(run.path / "contract.json")
    if len(examples) < calibration.FEWEST:
        log.info("confidence is not calibrated: %d validation images are too few for it", len(examples))
    else:
        log.info("confidence calibrated on validation: temperature %.2f", temperature)


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


def write(
    run: runs.Run,
    folder: Path,
    scored: Mapping[str, Scored],
    fingerprint: dict[str, Any],
    checkpoint: Path | None = None,
    tta: str = "none",
) -> dict[str, Scores]:
    """Write scores, predictions, plots and the report, keeping those of other splits.

    Args:
        scored, fingerprint: Scores by split, and the fingerprint of the data that was scored.
        checkpoint: What was scored; default the best checkpoint. Figures of another one are not kept.
        tta: As for :func:`answers`.

    Returns:
        The scores of all splits, those of other splits included.
    """
    path = folder / "metrics.json"
    before = files.read_json(path) if path.is_file() else {}
    digest = files.sha256(checkpoint or run.checkpoint())
    current = before.get("checkpoint") == digest
    older = {split: before[split] for split in SPLITS if current and split in before}
    every = older | {split: new.scores for split, new in scored.items()}
    merged = {split: every[split] for split in SPLITS if split in every}
    augmented = {} if tta == "none" else {"tta": tta}
    files.write_json(path, {"checkpoint": digest, "data": fingerprint["pixels"], **augmented, **merged})
    others = _stored(folder, [split for split in older if split not in scored], run.evaluate_command())
    predictions.write(folder, others | {split: new.predictions for split, new in scored.items()})

    shown = "test" if "test" in merged else next(iter(merged))
    if shown in scored:
        _draw(run, folder, shown, scored[shown])
    plots = {
        "Confusion matrix": "confusion_matrix.png",
        "Reliability": "reliability.png",
        "Training history": "history.png",
    }
    report.write(
        folder / "report.md",
        title=run.id,
        facts=facts(run, fingerprint, tta),
        scores=merged,
        plots={caption: name for caption, name in plots.items() if (folder / name).is_file()},
    )
    return merged


def _draw(run: runs.Run, folder: Path, split: str, scored: Scored) -> None:
    title, matrix = f"{run.id}: {split} split", np.array(scored.scores["confusion_matrix"])
    confusion_matrix(matrix, folder / "confusion_matrix.png", names=run.contract().labels, title=title)
    curve = metrics.reliability_curve(scored.predictions.probabilities, scored.predictions.labels)
    ece = scored.scores["expected_calibration_error"]["value"]
    reliability(curve, folder / "reliability.png", ece=ece, title=title)


def _stored(folder: Path, splits: Collection[str], again: str) -> dict[str, Predictions]:
    """Predictions of other splits; none where they are missing or damaged, since every evaluation writes them."""
    try:
        has_any = splits and (folder / predictions.NAME).is_file()
        return predictions.read_folder(folder, splits, again) if has_any else {}
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


def facts(run: runs.Run, fingerprint: dict[str, Any], tta: str = "none") -> dict[str, str]:
    """What a reader of the report must know to judge its figures."""
    record, cfg = run.record(), run.config()
    counts = {split: sum(by.values()) for split, by in fingerprint["counts"].items()}
    rows = {
        "Data": fingerprint.get("recognised") or fingerprint["dataset"],
        "Images": ", ".join(f"{n:,} {split}" for split, n in counts.items()),
        "Fingerprint": fingerprint["pixels"][:16],
        "Model": str(cfg.model.get("name") or cfg.model["_target_"]),
        "Adopted": "{file}, SHA-256 {sha256}".format(**record.adopted) if record.adopted else "",
        "Parameters": f"{record.parameters:,}" if record.parameters is not None else "",
        "Best epoch": f"{record.best_epoch} of {record.epoch}, by {cfg.trainer.monitor}" if record.epoch else "",
        "Settings changed on resume": record.changes,
        "Training time": f"{record.training_seconds / 60:.1f} minutes" if record.training_seconds is not None else "",
        "Seed": "" if record.seed is None else str(record.seed),
        "Code": record.code,
        "Command": record.command,
        "Export": f"{run.export.name}, in place of the checkpoint" if run.export else "",
        "Test-time augmentation": "" if tta == "none" else tta,
    }
    return {k: v for k, v in rows.items() if v}


def summary(run: runs.Run, split: str, score: dict[str, Any]) -> str:
    """The figures as a small table for the terminal."""
    lines = [f"{run.id}: {split} split, {score['n']:,} images"]
    clean = score.get("leak_free")
    for key, title in report.METRICS.items():
        lines.append(f"  {title:<36}{report.figure(key, score[key])}")
        if key in ("accuracy", "macro_f1") and clean and clean["excluded"]:
            without = f"without {clean['excluded']} seen in training or validation"
            lines.append(f"  {'  leak-free':<36}{report.figure(key, clean[key])}  {without}")
    for key, title in agreement.METRICS.items() if "agreement" in score else ():
        lines.append(f"  {title:<36}{report.figure(key, score['agreement'][key])}")
    if split == "test" and "leak_free" not in score:
        unknown = run.config().dataset is None
        why = "its training data is not known" if unknown else "the training data is no longer there"
        lines.append(f"  not checked for images seen in training: {why}")
    return "\n".join(lines)
