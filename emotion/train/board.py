"""What a run shows in TensorBoard: scalars, hyper-parameters, images and its config, all in one folder.

TensorBoard calls a run by its folder and ticks the first five metrics of HPARAMS by their names' order, so both are
chosen for that: :func:`emotion.runs.swept.board` gives the folder, and the scores that runs are compared by begin with
a capital letter, which comes before all others.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from omegaconf import DictConfig, OmegaConf
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.hparams import summary as hparams_summary
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS

from emotion import runs
from emotion.base.progress import working
from emotion.data import cache, pipeline
from emotion.data.examples import Examples
from emotion.inference import mistakes
from emotion.reports.evaluation import confusion_matrix
from emotion.reports.sheet import image_grid
from emotion.runs import swept

#: Scores that are ticked in HPARAMS, under what they are called there.
_COMPARED = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
#: Overrides that say where things are, not what is trained.
_NOT_HYPERPARAMETERS = ("outputs", "resume", "compare", "hydra.", "dataset.cache_dir", "dataset.root")


@working("drawing examples of the augmentation")
def write_start(
    run: runs.Run,
    cfg: DictConfig,
    store: cache.Store,
    examples: Examples,
    augmentation: pipeline.Augmentation,
) -> None:
    """Write what is known before training: the config, hyper-parameters, a grid of augmented examples."""
    with _writer(run).as_default():
        config = OmegaConf.to_yaml(cfg, resolve=True)
        tf.summary.text("config", "\n".join(f"    {line}" for line in config.splitlines()), step=0)
        hparams.hparams(hyperparameters(run, cfg), trial_id=trial_id(run))
        tf.summary.image("augmented_examples", _augmented(store, examples, augmentation, cfg.seed)[None], step=0)


def _augmented(
    store: cache.Store, examples: Examples, augmentation: pipeline.Augmentation, seed: int
) -> np.ndarray[Any, Any]:
    """One row per emotion: an image as it is, then variants of it."""
    images = pipeline.grid(store, examples.labels, augmentation, seed)
    rows, columns = images.shape[:2]
    titles = ["as it is", *["augmented"] * (columns - 1), *[""] * (rows - 1) * columns]
    return image_grid(images.reshape(-1, *images.shape[2:]), None, titles=titles, columns=columns)


@working("writing scores for TensorBoard")
def write_scores(run: runs.Run, scores: dict[str, dict[str, Any]], epoch: int, seconds: float) -> None:
    """Write the best checkpoint's scores on each split as scalars and its confusion matrices, and that the run is done.

    Args:
        scores: By split, as in ``metrics.json``.
        epoch: Of the best checkpoint.
        seconds: Of the training.
    """
    headline = "test" if "test" in scores else next(iter(scores))
    with _writer(run).as_default():
        tf.summary.scalar("Training/minutes", seconds / 60, step=epoch)
        for split, score in scores.items():
            for name, value in score.items():
                if name in _COMPARED:
                    tf.summary.scalar(f"Result/{split} {_COMPARED[name]}", value["value"], step=epoch)
                elif isinstance(value, dict) and value.get("value") is not None:
                    tf.summary.scalar(f"{split}/{name}", value["value"], step=epoch)
            matrix = np.array(score["confusion_matrix"])
            plot = confusion_matrix(matrix, None, names=list(score["per_class"]), title=f"{split} split")
            tf.summary.image(f"confusion_matrix/{split}", plot[None], step=epoch)
            sheet = mistakes.place(run.path, mistakes.SHEET, split, headline)
            if sheet.is_file():
                image = tf.io.decode_png(sheet.read_bytes(), channels=3)
                tf.summary.image(f"most_confident_mistakes/{split}", image[None], step=epoch)
        end = hparams_summary.session_end_pb(STATUS_SUCCESS)
        tf.summary.experimental.write_raw_pb(end.SerializeToString(), step=0)


def trial_id(run: runs.Run) -> str:
    """What HPARAMS calls a run, in a column that shows about 14 characters: a job by its number first."""
    record = run.record()
    return f"{run.path.name} of {Path(run.id).parent}" if record.swept or record.trial else run.id


class Scalars(keras.callbacks.Callback):
    """Each epoch's losses and scores, such as ``accuracy/train`` and ``accuracy/validation``, and the learning rate."""

    def __init__(self, run: runs.Run) -> None:
        super().__init__()
        self.run = run

    def on_train_begin(self, logs: Any = None) -> None:
        self.writer = _writer(self.run)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with self.writer.as_default():
            for name, value in (logs or {}).items():
                split = "validation" if name.startswith("val_") else "train"
                tf.summary.scalar(f"{name.removeprefix('val_')}/{split}", value, step=epoch + 1)
            rate = float(self.model.optimizer.learning_rate)
            tf.summary.scalar("schedule/learning_rate", rate, step=epoch + 1)
        self.writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        self.writer.close()


def hyperparameters(run: runs.Run, cfg: DictConfig) -> dict[str, bool | int | float | str]:
    """What HPARAMS shows of a run: what a sweep or a search gave it, or else what was typed, never None.

    TensorBoard ticks five columns, also of keys that do not differ, so what was not swept is in the config alone.
    """
    record = run.record()
    given: dict[str, Any] = record.trial.get("values") or record.swept
    if record.trial.get("execution"):
        given = given | {"seed": record.seed}
    if not given:
        chosen = {group: cfg[group].get("name") for group in ("dataset", "model")}
        typed = dict(text.lstrip("+").partition("=")[::2] for text in swept.overrides(run))
        given = {k: v for k, v in (chosen | {"seed": cfg.seed} | typed).items() if v is not None}
    return {k: _plain(v) for k, v in given.items() if not k.startswith(_NOT_HYPERPARAMETERS)}


def _plain(value: Any) -> bool | int | float | str:
    """A value as TensorBoard takes it; a number that was typed is a number."""
    if isinstance(value, bool | int | float):
        return value
    for number in (int, float):
        with suppress(ValueError, TypeError):
            return number(value)
    return {"true": True, "false": False}.get(str(value), str(value))


def _writer(run: runs.Run) -> tf.summary.SummaryWriter:
    return tf.summary.create_file_writer(str(swept.board(run)))
