"""Score a run: ``python -m emotion.evaluate run=latest [split=test] [dataset=folder dataset.root=...]``.

Nothing here imports TensorFlow until a command's arguments are known to be right.
"""

from __future__ import annotations

import csv
import logging
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from emotion import cli, logs, runs
from emotion.data.examples import SPLITS, Splits
from emotion.errors import UserError

if TYPE_CHECKING:
    import keras

log = logging.getLogger("emotion.evaluate")  # __name__ is "__main__" under python -m

_SHOWN = (
    ("accuracy", "accuracy"),
    ("macro_f1", "macro-F1"),
    ("balanced_accuracy", "balanced accuracy"),
    ("top2_accuracy", "top-2 accuracy"),
    ("negative_log_likelihood", "negative log-likelihood"),
    ("expected_calibration_error", "calibration error"),
)


def evaluate(cfg: DictConfig) -> dict[str, Any]:
    """Score a run's checkpoint on one split of its own data or of another dataset.

    The best checkpoint's figures on the run's own data, wherever that is now, go into the run's ``metrics.json``,
    ``predictions.npz``, plots and report; all others into
    ``<run>/evaluations/<dataset>-<first 8 digits of its fingerprint>-<split>[-last]/``.

    Returns:
        The scores; see :func:`score_split`.

    Raises:
        UserError: No such run, a run without that checkpoint or with damaged files, data that does not load.
    """
    run = runs.resolve(cfg.run, cfg.outputs)
    checkpoint = run.checkpoint(cfg.checkpoint)
    made_with, pixels = run.config(), run.record().get("data", {}).get("pixels")
    dataset = made_with.dataset if cfg.dataset is None else cfg.dataset
    logs.import_tensorflow()
    from emotion.data import sources

    splits = sources.load(dataset)
    same = splits.fingerprint["pixels"] == pixels
    if cfg.dataset is None and not (same or pixels is None):
        raise UserError(
            f"run {run.id} was made with other data than '{dataset.root or dataset.name}' holds now "
            f"(fingerprint {pixels[:12]}, now {splits.fingerprint['pixels'][:12]}). "
            f"Name the data you mean with dataset=... dataset.root=..."
        )
    for note in splits.notes:
        log.info("%s", note)
    model = load(checkpoint)
    own_data = cfg.dataset is None or same
    trained_on = splits if own_data else _training_data(made_with.dataset, pixels)
    score, prediction = score_split(model, run, dataset, splits, cfg.split, cfg, trained_on, cfg.batch_size)
    if own_data and cfg.checkpoint == "best":
        folder = run.path
    else:
        last = "" if cfg.checkpoint == "best" else f"-{cfg.checkpoint}"
        folder = run.path / "evaluations" / f"{dataset.name}-{splits.fingerprint['pixels'][:8]}-{cfg.split}{last}"
        folder.mkdir(parents=True, exist_ok=True)
    write(run, folder, {cfg.split: score}, {cfg.split: prediction}, splits.fingerprint, checkpoint)
    print(summary(run, cfg.split, score))
    print(f"written to {folder}")
    _refresh_export(run)
    return score


def load(checkpoint: Path) -> keras.Model:
    """Load a checkpoint in Keras's safe mode: no code of its own is run.

    Raises:
        UserError: The file is damaged, or Keras refuses it.
    """
    advice = "train again or restore it"
    if not zipfile.is_zipfile(checkpoint):  # Keras would say that there is no such file
        raise UserError(f"{checkpoint}: damaged, not a whole Keras checkpoint; {advice}")
    import keras

    try:
        return keras.saving.load_model(checkpoint, compile=False, safe_mode=True)
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{checkpoint}: cannot be loaded ({reason}); {advice}") from None


def score_split(
    model: keras.Model,
    run: runs.Run,
    dataset: DictConfig,
    splits: Splits,
    split: str,
    settings: Any,
    trained_on: Splits | None,
    batch_size: int = 256,
) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Predict one split and score it: the test split also without pictures that the run was trained on or chosen by.

    Args:
        model: The checkpoint.
        run: Whose contract says how the pictures are prepared.
        dataset: The dataset config that ``splits`` came from.
        splits: The data to score on.
        split: Which part of it.
        settings: Gives ``bootstrap``.
        trained_on: The data that the run was trained on; None if it is no longer there.
        batch_size: Pictures a step.

    Returns:
        The scores, and what goes into ``predictions.npz`` for this split. For a test split whose pictures could be
        compared with the training data, the scores are those of :func:`emotion.metrics.score_with_leak_free`, and the
        predictions have a column ``leaked``; else they are those of :func:`emotion.metrics.score`.

    Raises:
        UserError: The split has no pictures, or one can no longer be read.
    """
    from emotion import metrics
    from emotion.data import cache, pipeline
    from emotion.predict import predict

    examples = splits[split]
    if not len(examples):
        raise UserError(f"split: the {split} split of this data has no pictures; choose another split=...")
    store = cache.open_store(examples, run.contract(), cache=dataset.cache, cache_dir=dataset.cache_dir)
    with cache.failing(store):
        probabilities = predict(model, pipeline.evaluation(store, batch_size=batch_size))
    columns: dict[str, np.ndarray[Any, Any]] = {
        "probabilities": probabilities,
        "labels": examples.labels.astype(np.int8),
        "hashes": examples.hashes,
    }
    if split != "test" or trained_on is None:
        return metrics.score(probabilities, examples.labels, bootstrap=settings.bootstrap), columns
    seen = np.concatenate([trained_on.train.hashes, trained_on.validation.hashes])
    columns["leaked"] = np.isin(examples.hashes, seen)
    score = metrics.score_with_leak_free(
        probabilities, examples.labels, columns["leaked"], bootstrap=settings.bootstrap
    )
    return score, columns


def write(
    run: runs.Run,
    folder: Path,
    scores: dict[str, dict[str, Any]],
    predictions: dict[str, dict[str, np.ndarray[Any, Any]]],
    fingerprint: dict[str, Any],
    checkpoint: Path | None = None,
) -> None:
    """Write scores, predictions, plots and the report, keeping what is there of other splits.

    Args:
        run: The run.
        folder: Where to; the run's own folder also gets its history drawn, and its record the scores.
        scores: By split, see :func:`score_split`.
        predictions: By split, likewise.
        fingerprint: Of the data that was scored.
        checkpoint: What was scored; default the best checkpoint. Figures of another one are not kept.
    """
    from emotion import metrics, plots, report
    from emotion.training import state

    path = folder / "metrics.json"
    before = runs.read_json(path) if path.is_file() else {}
    digest = runs.sha256(checkpoint or run.checkpoint())
    kept = {k: v for k, v in before.items() if k in SPLITS} if before.get("checkpoint") == digest else {}
    merged = {s: (kept | scores)[s] for s in SPLITS if s in kept | scores}
    runs.write_json(path, {"checkpoint": digest, "data": fingerprint["pixels"], **merged})

    arrays = {f"{split}_{k}": v for split, columns in predictions.items() for k, v in columns.items()}
    npz = folder / "predictions.npz"
    if kept:
        arrays |= {k: v for k, v in _read_arrays(npz).items() if k.partition("_")[0] not in predictions}
    with state.replacing(npz) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    shown = "test" if "test" in merged else next(iter(merged))
    if shown in scores:
        matrix = np.array(scores[shown]["confusion_matrix"])
        plots.confusion_matrix(matrix, folder / "confusion_matrix.png", title=f"{run.id}: {shown} split")
        curve = metrics.reliability_curve(predictions[shown]["probabilities"], predictions[shown]["labels"])
        ece = scores[shown]["expected_calibration_error"]["value"]
        plots.reliability(curve, folder / "reliability.png", ece=ece, title=f"{run.id}: {shown} split")
    if folder == run.path:
        _draw_history(run)
    pictures = {"Confusion matrix": "confusion_matrix.png", "Reliability": "reliability.png"}
    report.write(
        folder / "report.md",
        title=run.id,
        facts=facts(run, fingerprint),
        scores=merged,
        history_png="history.png" if (folder / "history.png").is_file() else None,
        pictures={caption: name for caption, name in pictures.items() if (folder / name).is_file()},
    )
    if folder == run.path:
        values = {s: {k: v["value"] for k, v in score.items() if isinstance(v, dict) and "value" in v}
                  for s, score in merged.items()}  # fmt: skip
        runs.update(run, scores=values)


def read_history(path: Path) -> list[dict[str, float]]:
    """``history.csv`` as numbers.

    Raises:
        UserError: It cannot be read, or holds something else.
    """
    try:
        with path.open() as file:
            return [{k: float(v) for k, v in row.items() if v not in ("", None)} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path}: damaged ({error}); restore it, or delete it to do without") from None


def _draw_history(run: runs.Run) -> None:
    from emotion import plots

    path = run.path / "history.csv"
    if not path.is_file():
        return
    monitor, best_epoch = run.config().trainer.monitor, run.record().get("best_epoch")
    try:
        plots.history(read_history(path), run.path / "history.png", monitor=monitor, best_epoch=best_epoch)
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
        "Model": str(cfg.model.get("name", cfg.model["_target_"])),
        "Parameters": f"{record['parameters']:,}" if "parameters" in record else "",
        "Best epoch": f"{record['best_epoch']} of {record['epoch']}, by {cfg.trainer.monitor}"
        if record.get("epoch")
        else "",
        "Training time": f"{record['training_seconds'] / 60:.1f} minutes" if "training_seconds" in record else "",
        "Seed": str(record["seed"]),
        "Code": record.get("commit") or f"emotion {record['versions'].get('emotion', '')}",
        "Command": record["command"],
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
    if split == "test" and "leak_free" not in score:
        lines.append("  not checked for pictures seen in training: the training data is no longer there")
    return "\n".join(lines)


def _figure(value: dict[str, float | None], key: str) -> str:
    plain = key == "negative_log_likelihood"
    scale, digits, unit = (1, 3, "") if plain else (100, 1, " %")
    if value["value"] is None:
        return "undefined"
    text = f"{scale * value['value']:.{digits}f}{unit}"
    if value["low"] is None or value["high"] is None:
        return text
    return f"{text}  ({scale * value['low']:.{digits}f} to {scale * value['high']:.{digits}f})"


def _refresh_export(run: runs.Run) -> None:
    from emotion import litert

    try:
        difference = litert.refresh(run)
    except litert.NoExportError as error:  # the scores stand without it
        log.warning("%s", error)
        return
    if difference is not None:
        log.info("model.tflite made, equal to the checkpoint within %.1e", difference)


def _training_data(dataset: DictConfig, pixels: str | None) -> Splits | None:
    """The data that a run was trained on, or None where it is gone, cannot be read, or is other data by now."""
    from emotion.data import sources

    root = OmegaConf.select(dataset, "root")
    if root is not None and not Path(str(root)).expanduser().exists():
        return None
    try:
        splits = sources.load(dataset)
    except UserError as error:
        log.warning("the training data cannot be read: %s", error)
        return None
    return splits if pixels in (None, splits.fingerprint["pixels"]) else None


def main() -> None:
    cli.main("evaluate", evaluate)


if __name__ == "__main__":
    main()
