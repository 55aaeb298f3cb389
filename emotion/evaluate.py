"""Score a run: ``python -m emotion.evaluate run=latest [split=test] [dataset=folder dataset.root=...]``.

Nothing here imports TensorFlow until a command's arguments are known to be right.
"""

from __future__ import annotations

import csv
import logging
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

    On the run's own data the figures go into the run's ``metrics.json``, ``predictions.npz``, plots and report; on
    other data into ``<run>/evaluations/<dataset>-<split>/``.

    Returns:
        The scores; see :func:`emotion.metrics.score_with_leak_free`.

    Raises:
        UserError: No such run, a run without that checkpoint, data that does not load.
    """
    run = runs.resolve(cfg.run, cfg.outputs)
    checkpoint = run.checkpoint(cfg.checkpoint)
    record, made_with = run.record(), run.config()
    own_data = cfg.dataset is None
    dataset = made_with.dataset if own_data else cfg.dataset
    logs.import_tensorflow()
    from emotion.data import sources

    splits = sources.load(dataset)
    if own_data and record.get("data", {}).get("pixels") not in (None, splits.fingerprint["pixels"]):
        raise UserError(
            f"run {run.id} was made with other data than '{dataset.root or dataset.name}' holds now "
            f"(fingerprint {record['data']['pixels'][:12]}, now {splits.fingerprint['pixels'][:12]}). "
            f"Name the data you mean with dataset=... dataset.root=..."
        )
    for note in splits.notes:
        log.info("%s", note)
    model = load(checkpoint)
    trained_on = splits if own_data else sources.load(made_with.dataset) if _is_there(made_with.dataset) else None
    score, prediction = score_split(model, run, dataset, splits, cfg.split, cfg, trained_on)
    if own_data and cfg.checkpoint == "best":
        folder = run.path
    else:
        name = dataset.name if cfg.checkpoint == "best" else f"{dataset.name}-{cfg.checkpoint}"
        folder = run.path / "evaluations" / f"{name}-{cfg.split}"
        folder.mkdir(parents=True, exist_ok=True)
    write(run, folder, {cfg.split: score}, {cfg.split: prediction}, splits.fingerprint)
    _refresh_export(run, model, splits, dataset)
    print(summary(run, cfg.split, score))
    print(f"written to {folder}")
    return score


def load(checkpoint: Path) -> keras.Model:
    """Load a checkpoint in Keras's safe mode: no code of its own is run."""
    import keras

    return keras.saving.load_model(checkpoint, compile=False, safe_mode=True)


def score_split(
    model: keras.Model,
    run: runs.Run,
    dataset: DictConfig,
    splits: Splits,
    split: str,
    settings: Any,
    trained_on: Splits | None,
) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Predict one split and score it, with and without pictures that the run was trained on or chosen by.

    Args:
        model: The checkpoint.
        run: Whose contract says how the pictures are prepared.
        dataset: The dataset config that ``splits`` came from.
        splits: The data to score on.
        split: Which part of it.
        settings: Gives ``bootstrap``.
        trained_on: The data that the run was trained on; None if it is no longer there.

    Returns:
        The scores, and what goes into ``predictions.npz`` for this split.
    """
    from emotion import metrics
    from emotion.data import cache, pipeline
    from emotion.predict import predict

    examples = splits[split]
    store = cache.open_store(examples, run.contract(), cache=dataset.cache, cache_dir=dataset.cache_dir)
    with cache.failing(store):
        probabilities = predict(model, pipeline.evaluation(store, batch_size=256))
    leaked = np.zeros(len(examples), bool)
    if trained_on is not None and split == "test":
        seen = np.concatenate([trained_on.train.hashes, trained_on.validation.hashes])
        leaked = np.isin(examples.hashes, seen)
    score = metrics.score_with_leak_free(probabilities, examples.labels, leaked, bootstrap=settings.bootstrap)
    return score, {
        "probabilities": probabilities,
        "labels": examples.labels.astype(np.int8),
        "hashes": examples.hashes,
        "leaked": leaked,
    }


def write(
    run: runs.Run,
    folder: Path,
    scores: dict[str, dict[str, Any]],
    predictions: dict[str, dict[str, np.ndarray[Any, Any]]],
    fingerprint: dict[str, Any],
) -> None:
    """Write scores, predictions, plots and the report, keeping what is there of other splits."""
    from emotion import litert, metrics, plots, report
    from emotion.training import state

    path = folder / "metrics.json"
    before = runs.read_json(path) if path.is_file() else {}
    checkpoint = litert.sha256(run.checkpoint())
    kept = {k: v for k, v in before.items() if k in SPLITS} if before.get("checkpoint") == checkpoint else {}
    merged = {s: (kept | scores)[s] for s in SPLITS if s in kept | scores}
    runs.write_json(path, {"checkpoint": checkpoint, "data": fingerprint["pixels"], **merged})

    arrays = {f"{split}_{k}": v for split, columns in predictions.items() for k, v in columns.items()}
    npz = folder / "predictions.npz"
    if npz.is_file() and kept:
        with np.load(npz, allow_pickle=False) as data:
            arrays = {k: data[k] for k in data.files} | arrays
    with state.replacing(npz) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    shown = "test" if "test" in merged else next(iter(merged))
    pictures = {}
    if shown in scores:
        matrix = np.array(scores[shown]["confusion_matrix"])
        plots.confusion_matrix(matrix, folder / "confusion_matrix.png", title=f"{run.id}: {shown} split")
        curve = metrics.reliability_curve(predictions[shown]["probabilities"], predictions[shown]["labels"])
        ece = scores[shown]["expected_calibration_error"]["value"]
        plots.reliability(curve, folder / "reliability.png", ece=ece, title=f"{run.id}: {shown} split")
    pictures["Confusion matrix"] = "confusion_matrix.png"
    pictures["Reliability"] = "reliability.png"
    history = run.path / "history.csv"
    history_png = None
    if folder == run.path and history.is_file():
        record = run.record()
        plots.history(
            read_history(history),
            folder / "history.png",
            monitor=run.config().trainer.monitor,
            best_epoch=record.get("best_epoch"),
        )
        history_png = "history.png"
    report.write(
        folder / "report.md",
        title=run.id,
        facts=facts(run, fingerprint),
        scores=merged,
        history_png=history_png,
        pictures=pictures,
    )
    if folder == run.path:
        values = {s: {k: v["value"] for k, v in score.items() if isinstance(v, dict) and "value" in v}
                  for s, score in merged.items()}  # fmt: skip
        runs.update(run, scores=values)


def read_history(path: Path) -> list[dict[str, float]]:
    """``history.csv`` as numbers."""
    with path.open() as file:
        return [{k: float(v) for k, v in row.items() if v not in ("", None)} for row in csv.DictReader(file)]


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
            lines.append(
                f"  {'  leak-free':<24}{_figure(clean[key], key)}  without {clean['excluded']} seen in training"
            )
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


def _refresh_export(run: runs.Run, model: keras.Model, splits: Splits, dataset: DictConfig) -> None:
    from emotion import litert
    from emotion.data import cache

    if litert.is_stale(run):
        rows = np.arange(min(64, len(splits.validation)))
        store = cache.open_store(
            splits.validation.take(rows), run.contract(), cache="memory", cache_dir=dataset.cache_dir
        )
        difference = litert.export(run, store.fetch(rows).numpy())
        log.info("model.tflite made, equal to the checkpoint within %.1e", difference)


def _is_there(dataset: DictConfig) -> bool:
    return OmegaConf.select(dataset, "root") is None or Path(str(dataset.root)).exists()


def main() -> None:
    cli.main("evaluate", evaluate)


if __name__ == "__main__":
    main()
