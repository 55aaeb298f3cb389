"""Writing the folder of a published run."""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
from omegaconf import DictConfig, ListConfig, OmegaConf

from emotion import runs
from emotion.base import files, provenance
from emotion.base.errors import UserError
from emotion.data.examples import Splits
from emotion.inference import litert, scoring
from emotion.inference.classifier import Classifier
from emotion.inference.held_out import read as read_pictures
from emotion.publish import card, failures, rounding, scrub
from emotion.publish.card import MODEL_FILES
from emotion.publish.source import Source
from emotion.runs import RunRecord
from emotion.runs import predictions as predictions_file
from emotion.runs.checkpoints import load as load_model

log = logging.getLogger(__name__)

_KEPT = ("contract.json", "history.csv")
_PLOTS = ("history.png", "confusion_matrix.png", "reliability.png")
_FAILURES = "failures.png"


def contents(folder: Path) -> list[str]:
    """The files below a folder, by their paths in it, sorted."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def write(
    run: runs.Run,
    source: Source,
    folder: Path,
    name: str,
    origin: dict[str, Any],
    cfg: DictConfig,
    splits: Splits | None,
) -> list[str]:
    """Write a published run into a new folder.

    Args:
        run: The run.
        source: Its records.
        folder: Where to; must not be there.
        name: What the published run is called.
        origin: See :func:`emotion.publish.source.origin`.
        cfg: The command's ``weights``, ``half``, ``hardware`` and ``outputs``.
        splits: The run's data, where its weights are to be rounded.

    Returns:
        What was changed of the run's records, in words.
    """
    (folder / "checkpoints").mkdir(parents=True)
    outputs = str(source.config.get("outputs") or cfg.outputs)
    record = replace(RunRecord.from_json(scrub.record(source.record.to_json(), outputs)), id=name)
    config = scrub.config(source.config)
    taught = OmegaConf.select(OmegaConf.create(config), "trainer.teacher")
    if taught is not None:
        names = taught if isinstance(taught, ListConfig) else [taught]
        renamed = [teacher | {"run": run_name} for teacher, run_name in zip(record.teachers, names, strict=True)]
        record = replace(record, teachers=renamed)
    record = replace(record, published=origin | {"when": provenance.now(), "weights": _precision(cfg)})
    for each in _KEPT:
        if (run.path / each).is_file():
            shutil.copyfile(run.path / each, folder / each)
    for each in _PLOTS:
        if (run.path / each).is_file():
            _plain_picture(run.path / each, folder / each)
    files.write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
    files.write_json(folder / "metrics.json", source.metrics)
    runs.record.write(folder, record)

    slim = runs.Run(folder, name)
    if splits is not None:
        _halve(run, slim, splits)
    elif cfg.weights:
        for each in MODEL_FILES:
            shutil.copyfile(run.path / each, folder / each)
        runs.update(slim, tflite=record.tflite | {"sha256": files.sha256(folder / MODEL_FILES[1])})
    _score(run, slim, source, splits)
    if not cfg.weights:
        (folder / "checkpoints").rmdir()
    _card(run, slim, cfg)
    return [
        *(f"run.json: {change}" for change in scrub.changes(source.record.to_json(), record.to_json())),
        *(f"config.yaml: {change}" for change in scrub.changes(source.config, config)),
        *(["the weights are rounded to float16, and the run is scored anew"] if splits is not None else []),
    ]


def _precision(cfg: DictConfig) -> str | None:
    return None if not cfg.weights else "float16" if cfg.half else "float32"


def _halve(run: runs.Run, slim: runs.Run, splits: Splits) -> None:
    pictures = read_pictures(splits.validation, run.contract())
    checkpoint, export = (slim.path / each for each in MODEL_FILES)
    log.info("rounding the weights, and comparing on %s validation pictures", f"{len(pictures):,}")
    found = rounding.halve(run, run.contract(), pictures, checkpoint, export)
    record = slim.record()
    made = {
        "checkpoint": files.sha256(checkpoint),
        "sha256": files.sha256(export),
        "max_difference": found.litert,
        "compared_on": "validation split, with the network before rounding",
    }
    runs.update(slim, tflite=made, published=record.published | {"half": asdict(found)})
    cost = record.efficiency | {"latency_ms": litert.latency_ms(slim)}  # of this file, not of the run's own
    runs.update(slim, efficiency=cost)


def _score(run: runs.Run, slim: runs.Run, source: Source, splits: Splits | None) -> None:
    """Write figures, plots and report under the published run's name; those of a rounded network are made anew."""
    scored: dict[str, scoring.Scored] = {}
    checkpoint = run.checkpoint()
    if splits is not None:
        checkpoint = slim.checkpoint()
        model = load_model(checkpoint)
        for split in source.splits:
            log.info("scoring the %s split anew", split)
            scorer = scoring.Scoring(slim, splits, splits, source.metrics[split].get("bootstrap", 0))
            raw = scoring.answers(model, scorer.open(split, run.config().dataset), slim)
            scored[split] = scorer.score(split, raw)
    else:
        with suppress(UserError):  # a run that was published before has none, and its plots are as good
            answers = predictions_file.read(run, *source.splits)
            scored = {split: scoring.Scored(source.metrics[split], answers[split]) for split in answers}
    scoring.write_own(slim, scored, source.record.data, checkpoint)
    (slim.path / predictions_file.NAME).unlink()
    for each in _PLOTS:
        if (slim.path / each).is_file():
            _plain_picture(slim.path / each, slim.path / each)


def _plain_picture(source: Path, path: Path) -> None:
    """A PNG's pixels without whatever else the file says."""
    image = cv2.imread(str(source), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{source}: damaged; score the run again, python -m emotion.evaluate, or remove the file")
    done, content = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert done
    files.write_bytes(path, content.tobytes())


def _card(run: runs.Run, slim: runs.Run, cfg: DictConfig) -> None:
    folder, contract = slim.path, slim.contract()
    outcomes = None
    if cfg.weights or run.tflite_fault() is None:
        log.info("asking the model about drawn faces")
        outcomes = failures.measure(Classifier((folder if cfg.weights else run.path) / MODEL_FILES[1], contract))
        failures.draw(outcomes, folder / _FAILURES, f"What {slim.id} says of drawn faces")
        _plain_picture(folder / _FAILURES, folder / _FAILURES)
    metrics = files.read_json(folder / "metrics.json")
    card.write(
        folder / "README.md",
        card.Subject(
            name=slim.id,
            record=slim.record(),
            config=slim.config(),
            contract=contract,
            scores={split: score for split, score in metrics.items() if isinstance(score, dict)},
            sizes={each: (folder / each).stat().st_size for each in MODEL_FILES if (folder / each).is_file()},
            hashes={each: files.sha256(folder / each) for each in contents(folder)},
            outcomes=outcomes,
            picture=_FAILURES if outcomes else None,
            hardware=cfg.hardware,
        ),
    )
