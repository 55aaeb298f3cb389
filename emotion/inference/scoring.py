"""Scoring a checkpoint on a split, and what is written of it: scores, predictions, plots, the report."""

from __future__ import annotations

import logging
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from omegaconf import DictConfig

from emotion import metrics, reports, runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.base.progress import progress
from emotion.data import cache, pipeline
from emotion.data.examples import SPLITS, Examples, Splits
from emotion.inference import report
from emotion.inference.classifier import Classifier
from emotion.inference.predict import Probabilities, predict
from emotion.metrics import agreement, calibration
from emotion.runs.history import read_history

log = logging.getLogger(__name__)

_SHOWN = (
    ("accuracy", "accuracy"),
    ("macro_f1", "macro-F1"),
    ("balanced_accuracy", "balanced accuracy"),
    ("top2_accuracy", "top-2 accuracy"),
    ("negative_log_likelihood", "negative log-likelihood"),
    ("expected_calibration_error", "calibration error"),
)


def score_split(
    model: keras.Model | Classifier,
    run: runs.Run,
    dataset: DictConfig,
    splits: Splits,
    split: str,
    settings: Any,
    trained_on: Splits | None,
    batch_size: int = 256,
    tta: str = "none",
    calibrated: bool = True,
    raw: Probabilities | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Predict one split and score it: the test split also without pictures that the run was trained on or chosen by.

    Args:
        model: The checkpoint, or its export with an uncalibrated contract.
        run: Whose contract says how the pictures are prepared.
        dataset: The dataset config that ``splits`` came from.
        splits: The data to score on.
        split: Which part of it.
        settings: Gives ``bootstrap``.
        trained_on: The data that the run was trained on; None if it is no longer there.
        batch_size: Pictures a step.
        tta: ``none``, or ``flip``: each answer is the mean of those for the picture and its mirror image.
        calibrated: Whether the contract's temperature belongs to this checkpoint.
        raw: What :func:`answers` gave for this split; None asks the model.

    Returns:
        The scores, with those of :func:`emotion.metrics.agreement.score` as ``agreement`` where people voted;
        and what goes into ``predictions.npz`` for this split. For a test split whose pictures could be compared with
        the training data, the scores are those of :func:`emotion.metrics.score_with_leak_free`, and the predictions
        have a column ``leaked``; else they are those of :func:`emotion.metrics.score`.

    Raises:
        UserError: The split has no pictures, or one can no longer be read.
    """
    examples = splits[split]
    if not len(examples):
        raise UserError(
            f"split: the {split} split of this data has no pictures; choose another split=..., such as validation"
        )
    names = run.contract().labels
    if names != splits.labels:
        raise UserError(
            f"dataset: its labels are {', '.join(splits.labels)}; run {run.id} knows {', '.join(names)}. Score it on "
            f"data with its own labels"
        )
    if raw is None:
        raw = answers(model, run, dataset, examples, batch_size, tta)
    probabilities = calibration.apply(raw, run.contract().temperature) if calibrated else raw
    columns: dict[str, np.ndarray[Any, Any]] = {
        "probabilities": probabilities,
        "labels": examples.labels.astype(np.int8),
        "hashes": examples.hashes,
    }
    agreed: dict[str, Any] = {}
    if examples.votes is not None:
        columns["votes"] = examples.votes
        # Calibration is to the majority's label; how people divide is what the network itself was fitted to.
        agreed = {"agreement": agreement.score(raw, examples.votes, bootstrap=settings.bootstrap)}
    if split != "test" or trained_on is None:
        score = metrics.score(probabilities, examples.labels, names=names, bootstrap=settings.bootstrap)
        return score | agreed, columns
    seen = np.concatenate([trained_on.train.hashes, trained_on.validation.hashes])
    columns["leaked"] = np.isin(examples.hashes, seen)
    score = metrics.score_with_leak_free(
        probabilities, examples.labels, columns["leaked"], names=names, bootstrap=settings.bootstrap
    )
    return score | agreed, columns


def answers(
    model: keras.Model | Classifier,
    run: runs.Run,
    dataset: DictConfig,
    examples: Examples,
    batch_size: int = 256,
    tta: str = "none",
) -> Probabilities:
    """The model's own probabilities for some pictures, before calibration: float32 ``[N, C]``.

    Args:
        model, run, dataset, batch_size, tta: As in :func:`score_split`.
        examples: The pictures.

    Raises:
        UserError: A picture can no longer be read.
    """
    store = cache.open_store(examples, run.contract(), cache=dataset.cache, cache_dir=dataset.cache_dir)
    passes = 2 if tta == "flip" else 1
    with cache.failing(store), progress(passes * len(store), f"asking run {run.id}") as advance:
        raw = predict(model, _counted(pipeline.evaluation(store, batch_size=batch_size), advance))
        if tta == "flip":
            mirrored = pipeline.evaluation(store, batch_size=batch_size).map(lambda pictures: pictures[:, :, ::-1])
            raw = 0.5 * (raw + predict(model, _counted(mirrored, advance)))
    return raw


def _counted(batches: Iterable[Any], advance: Callable[[int], None]) -> Iterator[Any]:
    for pictures in batches:
        yield pictures
        advance(len(pictures))


def calibrate(run: runs.Run, raw: Probabilities, examples: Examples) -> None:
    """Fit a temperature on the validation split, and put it into the run's contract.

    Args:
        run: The run.
        raw: What :func:`answers` gave for its validation split.
        examples: That split.
    """
    temperature = calibration.fit_temperature(raw, examples.labels)
    replace(run.contract(), temperature=temperature).save(run.path / "contract.json")
    if len(examples) < calibration.FEWEST:
        log.info("confidence is not calibrated: %d validation pictures are too few for it", len(examples))
    else:
        log.info("confidence calibrated on validation: temperature %.2f", temperature)


def write(
    run: runs.Run,
    folder: Path,
    scores: dict[str, dict[str, Any]],
    predictions: dict[str, dict[str, np.ndarray[Any, Any]]],
    fingerprint: dict[str, Any],
    checkpoint: Path | None = None,
    tta: str = "none",
) -> None:
    """Write scores, predictions, plots and the report, keeping what is there of other splits.

    Args:
        run: The run.
        folder: Where to; the run's own folder also gets its history drawn, and its record the scores.
        scores: By split, see :func:`score_split`.
        predictions: By split, likewise.
        fingerprint: Of the data that was scored.
        checkpoint: What was scored; default the best checkpoint. Figures of another one are not kept.
        tta: How, see :func:`score_split`.
    """
    path = folder / "metrics.json"
    before = files.read_json(path) if path.is_file() else {}
    digest = files.sha256(checkpoint or run.checkpoint())
    kept = {k: v for k, v in before.items() if k in SPLITS} if before.get("checkpoint") == digest else {}
    merged = {s: (kept | scores)[s] for s in SPLITS if s in kept | scores}
    augmented = {} if tta == "none" else {"tta": tta}
    files.write_json(path, {"checkpoint": digest, "data": fingerprint["pixels"], **augmented, **merged})

    arrays = {f"{split}_{k}": v for split, columns in predictions.items() for k, v in columns.items()}
    npz = folder / "predictions.npz"
    if kept:
        arrays |= {k: v for k, v in _read_arrays(npz).items() if k.partition("_")[0] not in predictions}
    with files.replacing(npz) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    shown = "test" if "test" in merged else next(iter(merged))
    if shown in scores:
        matrix = np.array(scores[shown]["confusion_matrix"])
        reports.confusion_matrix(
            matrix, folder / "confusion_matrix.png", names=run.contract().labels, title=f"{run.id}: {shown} split"
        )
        curve = metrics.reliability_curve(predictions[shown]["probabilities"], predictions[shown]["labels"])
        ece = scores[shown]["expected_calibration_error"]["value"]
        reports.reliability(curve, folder / "reliability.png", ece=ece, title=f"{run.id}: {shown} split")
    if folder == run.path:
        _draw_history(run)
    pictures = {"Confusion matrix": "confusion_matrix.png", "Reliability": "reliability.png"}
    report.write(
        folder / "report.md",
        title=run.id,
        facts=facts(run, fingerprint)
        | ({} if run.export is None else {"Export": f"{run.export.name}, in the checkpoint's place"})
        | ({} if tta == "none" else {"Test-time augmentation": tta}),
        scores=merged,
        history_png="history.png" if (folder / "history.png").is_file() else None,
        pictures={caption: name for caption, name in pictures.items() if (folder / name).is_file()},
    )
    if folder == run.path:
        values = {s: {k: v["value"] for k, v in score.items() if isinstance(v, dict) and "value" in v}
                  for s, score in merged.items()}  # fmt: skip
        runs.update(run, scores=values)


def _draw_history(run: runs.Run) -> None:
    path = run.path / "history.csv"
    if not path.is_file():
        return
    monitor, best_epoch = run.config().trainer.monitor, run.record().best_epoch
    try:
        reports.history(read_history(path), run.path / "history.png", monitor=monitor, best_epoch=best_epoch)
    except (UserError, ValueError) as error:  # the scores do not depend on it
        log.warning("the training history is not drawn: %s", error)


def _read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """An .npz file's content; nothing where it is missing or damaged, since every evaluation makes it anew."""
    try:  # opened here: NumPy would leave a damaged file open
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            return {k: data[k] for k in data.files}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        log.warning("%s: damaged (%s); predictions of other splits are lost", path, error)
        return {}


def facts(run: runs.Run, fingerprint: dict[str, Any]) -> dict[str, str]:
    """What a reader of the report must know to judge its figures."""
    record, cfg = run.record(), run.config()
    counts = {split: sum(by.values()) for split, by in fingerprint["counts"].items()}
    found = {
        "Data": fingerprint.get("recognised") or fingerprint["dataset"],
        "Pictures": ", ".join(f"{n:,} {split}" for split, n in counts.items()),
        "Fingerprint": fingerprint["pixels"][:16],
        "Model": str(cfg.model.get("name") or cfg.model["_target_"]),
        "Adopted": "{file}, SHA-256 {sha256}".format(**record.adopted) if record.adopted else "",
        "Parameters": f"{record.parameters:,}" if record.parameters is not None else "",
        "Best epoch": f"{record.best_epoch} of {record.epoch}, by {cfg.trainer.monitor}" if record.epoch else "",
        "Changed on the way": record.changes,
        "Training time": f"{record.training_seconds / 60:.1f} minutes" if record.training_seconds is not None else "",
        "Seed": "" if record.seed is None else str(record.seed),
        "Code": record.code,
        "Command": record.command,
    }
    return {k: v for k, v in found.items() if v}


def summary(run: runs.Run, split: str, score: dict[str, Any]) -> str:
    """The figures as a small table for the terminal."""
    lines = [f"{run.id}: {split} split, {score['n']:,} pictures"]
    clean = score.get("leak_free")
    for key, title in _SHOWN:
        lines.append(f"  {title:<24}{_figure(score[key], key)}")
        if key in ("accuracy", "macro_f1") and clean and clean["excluded"]:
            without = f"without {clean['excluded']} seen in training or validation"
            lines.append(f"  {'  leak-free':<24}{_figure(clean[key], key)}  {without}")
    for key, title in agreement.METRICS.items():
        if "agreement" in score:
            lines.append(f"  {title:<36}{_figure(score['agreement'][key], key)}")
    if split == "test" and "leak_free" not in score:
        unknown = run.config().dataset is None
        why = "its training data is not known" if unknown else "the training data is no longer there"
        lines.append(f"  not checked for pictures seen in training: {why}")
    return "\n".join(lines)


def _figure(value: dict[str, float | None], key: str) -> str:
    plain = key in ("negative_log_likelihood", "kl_divergence")
    scale, digits, unit = (1, 3, "") if plain else (100, 1, " %")
    if value["value"] is None:
        return "undefined"
    text = f"{scale * value['value']:.{digits}f}{unit}"
    if value["low"] is None or value["high"] is None:
        return text
    return f"{text}  ({scale * value['low']:.{digits}f} to {scale * value['high']:.{digits}f})"
