"""What a run shows in TensorBoard: scalars, hyper-parameters, images and its config, under ``<run>/tb``."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from omegaconf import DictConfig, OmegaConf
from tensorboard.plugins.hparams import api as hparams

from emotion import runs
from emotion.data import cache, pipeline
from emotion.data.examples import Examples
from emotion.reports.evaluation import confusion_matrix
from emotion.reports.sheet import image_grid

#: Keys that say where things are, not what is trained.
_NOT_HYPERPARAMETERS = ("outputs", "resume", "dataset.cache_dir")


def write_start(
    run: runs.Run,
    cfg: DictConfig,
    store: cache.Store,
    examples: Examples,
    augmentation: pipeline.Augmentation,
) -> None:
    """Write what is known before training: the config, hyper-parameters, a grid of augmented examples."""
    with _writer(run, "").as_default():
        config = OmegaConf.to_yaml(cfg, resolve=True)
        tf.summary.text("config", "\n".join(f"    {line}" for line in config.splitlines()), step=0)
        hparams.hparams(hyperparameters(cfg), trial_id=run.id)
        tf.summary.image("augmented_examples", _augmented(store, examples, augmentation, cfg.seed)[None], step=0)


def _augmented(
    store: cache.Store, examples: Examples, augmentation: pipeline.Augmentation, seed: int
) -> np.ndarray[Any, Any]:
    """One row per emotion: an image as it is, then variants of it."""
    images = pipeline.grid(store, examples.labels, augmentation, seed)
    rows, columns = images.shape[:2]
    titles = ["as it is", *["augmented"] * (columns - 1), *[""] * (rows - 1) * columns]
    return image_grid(images.reshape(-1, *images.shape[2:]), None, titles=titles, columns=columns)


def write_scores(run: runs.Run, scores: dict[str, dict[str, Any]], epoch: int) -> None:
    """Write the final scores of each split as scalars, the test's also to be compared in HPARAMS, and its matrix."""
    for split, score in scores.items():
        with _writer(run, split).as_default():
            for name, value in score.items():
                if isinstance(value, dict) and value.get("value") is not None:
                    tf.summary.scalar(f"final/{name}", value["value"], step=epoch)
            matrix = np.array(score["confusion_matrix"])
            plot = confusion_matrix(matrix, None, names=list(score["per_class"]), title=f"{split} split")
            tf.summary.image("confusion_matrix", plot[None], step=epoch)
    with _writer(run, "").as_default():
        for split, score in scores.items():
            for name in ("accuracy", "macro_f1"):
                tf.summary.scalar(f"{split}_{name}", score[name]["value"], step=epoch)


class Scalars(keras.callbacks.Callback):
    """Each epoch's losses, scores and learning rate: ``tb/train`` and ``tb/validation``."""

    def __init__(self, run: runs.Run) -> None:
        super().__init__()
        self.run = run

    def on_train_begin(self, logs: Any = None) -> None:
        self.train, self.validation = _writer(self.run, "train"), _writer(self.run, "validation")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, value in (logs or {}).items():
            writer = self.validation if name.startswith("val_") else self.train
            with writer.as_default():
                tf.summary.scalar(f"epoch/{name.removeprefix('val_')}", value, step=epoch + 1)
        with self.train.as_default():
            tf.summary.scalar("epoch/learning_rate", float(self.model.optimizer.learning_rate), step=epoch + 1)
        self.train.flush()
        self.validation.flush()

    def on_train_end(self, logs: Any = None) -> None:
        self.train.close()
        self.validation.close()


def hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """The config as TensorBoard's HPARAMS wants it: dotted keys, plain values, no None (it hides whole columns)."""
    flat: dict[str, Any] = {}

    def walk(node: Any, prefix: str) -> None:
        for key, value in node.items():
            path = f"{prefix}{key}"
            if path in _NOT_HYPERPARAMETERS or key == "_target_" or value is None:
                continue
            if isinstance(value, dict):
                walk(value, f"{path}.")
            else:
                flat[path] = value if isinstance(value, bool | int | float | str) else str(value)

    walk(OmegaConf.to_container(cfg, resolve=True), "")
    return flat


def _writer(run: runs.Run, part: str) -> tf.summary.SummaryWriter:
    return tf.summary.create_file_writer(str(run.path / "tb" / part))
