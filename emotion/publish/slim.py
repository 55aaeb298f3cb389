"""Writing the folder of a published run, on request with weights rounded to float16."""

from __future__ import annotations

import logging
import shutil
import zipfile
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from omegaconf import DictConfig, ListConfig, OmegaConf

from emotion import runs
from emotion.base import files, provenance
from emotion.base.errors import UserError
from emotion.data import seen
from emotion.data.examples import Splits
from emotion.inference import convert, held_out, litert, priors, scoring, writing
from emotion.inference.classifier import Classifier
from emotion.inference.runtimes import Batch, Traced
from emotion.publish import card, failures, scrub
from emotion.publish.elsewhere import Elsewhere
from emotion.publish.source import MODEL_FILES, Source
from emotion.runs import RunRecord, checkpoints
from emotion.runs import predictions as predictions_file
from emotion.runs.exports import Kind

if TYPE_CHECKING:
    import keras


log = logging.getLogger(__name__)

_COPIED = ("contract.json", "history.csv", "history.png", "confusion_matrix.png", "reliability.png",
           seen.FILE)  # fmt: skip
_FAILURES = "failures.png"


def contents(folder: Path) -> list[str]:
    """The files below a folder, by their paths in it, sorted."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def write(
    run: runs.Run,
    source: Source,
    slim: runs.Run,
    origin: dict[str, Any],
    cfg: DictConfig,
    splits: Splits | None,
    evaluated: Elsewhere | None,
) -> list[str]:
    """Write a published run into a new folder.

    Args:
        run, source: The run and its records.
        slim: The published run; its folder must not exist.
        origin: See :func:`emotion.publish.source.origin`.
        cfg: The command's ``weights``, ``half``, ``hardware`` and ``outputs``.
        splits: The run's data, where its weights are to be rounded.
        evaluated: Its scores on other datasets.

    Returns:
        What was changed in the run's records, in words.

    Raises:
        UserError: As :func:`emotion.publish.publish` says.
    """
    slim.checkpoints.mkdir(parents=True)
    config = scrub.config(source.config)
    record = _record(source, config, cfg, origin | {"when": provenance.now(), "weights": _precision(cfg)}, slim.id)
    runs.record.write(slim.path, record)
    files.write_text(slim.path / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
    files.write_json(slim.path / "metrics.json", source.metrics)
    for name in _COPIED:
        if (run.path / name).is_file():
            shutil.copyfile(run.path / name, slim.path / name)
            if name.endswith(".png"):  # a damaged one is found before anything slow begins
                _remove_metadata(slim.path / name, run)
    if cfg.prior is not None:
        priors.contract(run, cfg.prior).save(slim.path / "contract.json")
    if splits is not None:
        _halve(run, slim, splits)
        if evaluated is not None and evaluated.checkpoint != files.sha256(slim.checkpoint()):
            raise UserError(
                "evaluations: rounded again the network is not the one that they are of. Publish it without "
                "evaluations=, score it on the datasets again, and publish it once more"
            )
    elif cfg.weights:
        for name in MODEL_FILES:
            shutil.copyfile(run.path / name, slim.path / name)
        runs.update(slim, tflite=record.tflite | {"sha256": files.sha256(slim.path / MODEL_FILES[1])})
    _score(run, slim, source, splits)
    if not cfg.weights:
        slim.checkpoints.rmdir()
    outcomes = None
    if cfg.weights or run.tflite_fault() is None:
        log.info("running the model on drawn faces")
        model = (slim.path if cfg.weights else run.path) / MODEL_FILES[1]
        outcomes = failures.measure(Classifier(model, slim.contract()))
        failures.draw(outcomes, slim.path / _FAILURES, f"Answers of {slim.id} for drawn faces")
    for plot in slim.path.glob("*.png"):  # again, as some were drawn since
        _remove_metadata(plot, run)
    _write_card(slim, outcomes, cfg.hardware, evaluated)
    return [
        *(f"run.json: {change}" for change in scrub.changes(source.record.to_json(), record.to_json())),
        *(f"config.yaml: {change}" for change in scrub.changes(source.config, config)),
        *(["the weights are rounded to float16, and the run is scored again"] if splits is not None else []),
    ]


def _record(
    source: Source, config: dict[str, Any], cfg: DictConfig, published: dict[str, Any], run_id: str
) -> RunRecord:
    scrubbed = scrub.record(source.record.to_json(), str(source.config.get("outputs") or cfg.outputs))
    record = replace(RunRecord.from_json(scrubbed), id=run_id, published=published)
    names = OmegaConf.select(OmegaConf.create(config), "trainer.teacher")
    if names is None:
        return record
    names = names if isinstance(names, ListConfig) else [names]
    teachers = [teacher | {"run": name} for teacher, name in zip(record.teachers, names, strict=True)]
    return replace(record, teachers=teachers)


def _precision(cfg: DictConfig) -> str | None:
    return None if not cfg.weights else "float16" if cfg.half else "float32"


def _halve(run: runs.Run, slim: runs.Run, splits: Splits) -> None:
    images = held_out.read(splits.validation, run.contract())
    checkpoint, export = (slim.path / name for name in MODEL_FILES)
    log.info("rounding the weights, and comparing on %s validation images", f"{len(images):,}")
    rounded = round_weights(run, images, checkpoint, export)
    tflite = {
        "checkpoint": files.sha256(checkpoint),
        "sha256": files.sha256(export),
        "max_difference": rounded.litert,
        "compared_on": "validation split, with the network before rounding",
    }
    record = slim.record()
    runs.update(slim, tflite=tflite, published=record.published | {"half": asdict(rounded)})
    # Of this file, not of the run's own.
    runs.update(slim, efficiency=record.efficiency | {"latency_ms": litert.latency_ms(slim)})


def _score(run: runs.Run, slim: runs.Run, source: Source, splits: Splits | None) -> None:
    """Write figures, plots and report under the published run's name; a rounded network is scored again."""
    scored: dict[str, scoring.Scored] = {}
    checkpoint = run.checkpoint() if splits is None else slim.checkpoint()
    if splits is None:
        with suppress(UserError):  # a run that was published before has no predictions; its plots are copied
            answers = predictions_file.read(run, *source.splits)
            scored = {split: scoring.Scored(source.metrics[split], answers[split]) for split in answers}
    else:
        model, recorded = Traced(checkpoints.load(checkpoint)), seen.load(slim.path)
        known = seen.of(splits) if recorded is None else recorded  # older runs do not record it
        for split in source.splits:
            log.info("scoring the %s split again", split)
            scorer = scoring.Scoring(slim, splits, known, source.metrics[split].get("bootstrap", 0))
            outputs = scoring.answers(model, scorer.open(split, run.config().dataset), slim)
            scored[split] = scorer.score(split, outputs)
    writing.write_own(slim, scored, source.record.data, checkpoint)
    for name in (predictions_file.NAME, predictions_file.TABLE):  # of people's images, and named after them
        (slim.path / name).unlink()


def _remove_metadata(plot: Path, run: runs.Run) -> None:
    """Keep a PNG's pixels and nothing else of the file."""
    image = cv2.imread(str(plot), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{run.path / plot.name}: damaged; score the run again, {run.evaluate_command()}, or remove it")
    encoded, content = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert encoded
    files.write_bytes(plot, content.tobytes())


def _write_card(
    slim: runs.Run, outcomes: list[failures.Outcome] | None, hardware: str | None, evaluated: Elsewhere | None
) -> None:
    folder = slim.path
    metrics = files.read_json(folder / "metrics.json")
    subject = card.Subject(
        name=slim.id,
        record=slim.record(),
        config=slim.config(),
        contract=slim.contract(),
        scores={split: score for split, score in metrics.items() if isinstance(score, dict)},
        sizes={name: (folder / name).stat().st_size for name in MODEL_FILES if (folder / name).is_file()},
        hashes={name: files.sha256(folder / name) for name in contents(folder)},
        outcomes=outcomes,
        picture=_FAILURES if outcomes else None,
        hardware=hardware,
        elsewhere=evaluated,
    )
    files.write_text(folder / "README.md", card.text(subject))


#: Largest difference that rounding may make to a probability.
TOLERANCE = 0.01


@dataclass(frozen=True)
class Rounded:
    """The effect of rounding on the outputs for the validation images.

    Attributes:
        keras: Largest absolute difference between a probability of the rounded network and of the original.
        litert: The same for the LiteRT export.
        pictures: Number of images compared.
    """

    keras: float
    litert: float
    pictures: int


def round_weights(run: runs.Run, images: Batch, checkpoint: Path, export: Path) -> Rounded:
    """Write a run's best checkpoint, rounded, and its LiteRT export with float16 weights.

    Kernels are rounded to the nearest float16, which keeps 11 of the 24 bits of a float32's significand; biases and
    batch statistics, less than a hundredth of the weights, stay as they are. The checkpoint's zip is deflated, which
    makes use of the bits that are now 0. LiteRT folds batch norm into kernels before it rounds them, so its outputs are
    not quite the checkpoint's.

    Args:
        run: The run.
        images: uint8 ``[N, H, W, C]``, its validation split, prepared.
        checkpoint, export: Where the ``.keras`` and the ``.tflite`` file go.

    Raises:
        UserError: A probability differs by more than :data:`TOLERANCE`, or LiteRT cannot run the model.
    """
    from emotion.inference.classifier import predict

    model = checkpoints.load(run.checkpoint())
    expected = predict(Traced(model), images)
    _round(model)
    _save(model, checkpoint, run.checkpoint())
    outputs = convert.export(
        run, checkpoints.load(checkpoint, made_here=True), Kind("litert", "float16"), export, images
    )
    keras_difference, litert_difference = (float(np.abs(probabilities - expected).max()) for probabilities in outputs)
    rounded = Rounded(keras_difference, litert_difference, len(images))
    worst = max(rounded.keras, rounded.litert)
    if not worst <= TOLERANCE:
        raise UserError(
            f"half: rounding the weights of run {run.id} to float16 changes a probability by {worst:.2g}; the limit is "
            f"{TOLERANCE:g}. Publish it with half=false, or train a smaller model=..."
        )
    return rounded


def _round(model: keras.Model) -> None:
    weights = model.get_weights()
    largest = float(np.finfo(np.float16).max)
    model.set_weights(
        [w.clip(-largest, largest).astype(np.float16).astype(w.dtype) if w.ndim > 1 else w for w in weights]
    )


def _save(model: keras.Model, path: Path, original: Path) -> None:
    """Save a model, in a zip whose files are deflated; Keras itself stores them as they are.

    Published again, the same weights are the same file: its dates are those of the original.
    """
    with files.temporary_folder() as folder:
        plain = folder / path.name
        model.save(plain)
        with zipfile.ZipFile(plain) as stored, zipfile.ZipFile(original) as dated, zipfile.ZipFile(path, "w") as out:
            for name in stored.namelist():
                source = dated if name == "metadata.json" else stored
                entry = zipfile.ZipInfo(name, dated.getinfo(name).date_time)
                out.writestr(entry, source.read(name), zipfile.ZIP_DEFLATED, compresslevel=9)
