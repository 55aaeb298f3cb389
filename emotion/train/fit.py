"""Fitting a model phase by phase, from the start or from a saved state."""

from __future__ import annotations

import gc
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from omegaconf import DictConfig

from emotion import runs
from emotion.data import cache, pipeline, weights
from emotion.data.examples import Splits
from emotion.faces.contract import Contract
from emotion.models.build import build
from emotion.train import board, environment, fusion, losses, optimizers, phases, replicas, state
from emotion.train.averaging import PICTURES, AveragedWeights
from emotion.train.callbacks import Keeper
from emotion.train.console import Reporter
from emotion.train.macro_f1 import MacroF1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """What training left: progress, the number of the model's parameters, and why it stopped."""

    progress: state.Progress
    parameters: int
    stopped_early: bool


def fit(cfg: DictConfig, run: runs.Run, splits: Splits, contract: Contract, saved: state.Saved | None) -> Fitted:
    """Train on ``splits.train``, choose by ``splits.validation``; ``splits.test`` is not touched.

    Args:
        cfg: The whole config of ``emotion.train``.
        run: Where checkpoints, history and TensorBoard events go.
        splits: The data.
        contract: What the model eats.
        saved: A state to go on from, or None.

    Raises:
        UserError: The loss became NaN, the data is too small for a batch, the disk is full, ...
    """
    trainer = cfg.trainer
    train = open_store(cfg, splits, "train", contract)
    validation = open_store(cfg, splits, "validation", contract)
    steps = pipeline.steps_per_epoch(len(splits.train), trainer.batch_size)
    names = splits.labels
    class_weights = weights.class_weights(splits.train.labels, _plain(trainer.class_weight), names)
    log.info("class weights (%s)\n%s", trainer.class_weight, weights.table(splits.train.labels, class_weights, names))
    augmentation = pipeline.Augmentation.from_config(cfg.augmentation)
    board.write_start(run, cfg, train, splits.train, augmentation)

    twin = _float32_twin(cfg.model, contract)
    strategy = environment.strategy(trainer.strategy)
    devices = strategy.num_replicas_in_sync
    replicas.check_batch(trainer.batch_size, devices)
    with strategy.scope():
        model = build(cfg.model, contract)
        replicas.synchronise(model, devices)
        fusion.fuse_batch_norm(model)
    log.info("model %s: %s parameters", cfg.model.get("name", model.name), f"{model.count_params():,}")
    state.check_space(run.path, model.count_params())
    progress = saved.progress if saved else state.Progress()
    averaged = None
    if trainer.ema is not None:
        some = np.random.default_rng(cfg.seed).permutation(len(train))[:PICTURES]
        averaged = AveragedWeights(train.read, some, trainer.batch_size)
    keeper = Keeper(run, trainer, progress, twin, averaged)
    reporter = Reporter(trainer.epochs, steps, trainer.batch_size)
    check_size = replicas.evaluation_batch(max(128, trainer.batch_size), len(splits.validation), devices)
    check = pipeline.evaluation(validation, splits.validation.labels, batch_size=check_size, classes=len(names))

    stopped = trainer.patience is not None and progress.wait >= trainer.patience
    try:
        for phase in phases.plan(cfg.model, trainer.epochs, trainer.learning_rate):
            if progress.epoch >= phase.stop or stopped:
                continue
            with strategy.scope():
                _compile(model, trainer, phase, steps, losses.LOSSES[splits.loss])
            if saved is not None:
                state.restore(model.variables, saved.model, "model")
                if progress.epoch > phase.start:
                    state.restore(model.optimizer.variables, saved.optimizer, "optimizer")
                saved = None
            callbacks = [*([averaged] if averaged else []), reporter, keeper, board.Scalars(run)]
            batches = pipeline.training(
                train,
                splits.train.labels,
                batch_size=trainer.batch_size,
                seed=cfg.seed,
                epochs=trainer.epochs,
                start_epoch=progress.epoch,
                augmentation=augmentation,
                class_weights=class_weights,
                weighted_epochs=trainer.get("class_weight_epochs"),
                label_smoothing=trainer.label_smoothing,
                threads=trainer.threads,
                targets=splits.train.targets,
            )
            with cache.failing(train, validation), _pipelines_ended(model):
                model.fit(
                    batches,
                    initial_epoch=progress.epoch,
                    epochs=phase.stop,
                    steps_per_epoch=steps,
                    validation_data=check,
                    callbacks=callbacks,
                    verbose=0,
                    shuffle=False,  # the pipeline has shuffled
                )
            stopped = bool(model.stop_training)
    finally:
        reporter.stop()
    if stopped:
        log.info("no better %s for %d epochs: stopped after epoch %d", trainer.monitor, progress.wait, progress.epoch)
    return Fitted(progress, model.count_params(), stopped)


def open_store(cfg: DictConfig, splits: Splits, split: str, contract: Contract) -> cache.Store:
    """The pictures of a split, prepared as the contract says, cached as the dataset config says."""
    return cache.open_store(splits[split], contract, cache=cfg.dataset.cache, cache_dir=cfg.dataset.cache_dir)


@contextmanager
def _pipelines_ended(model: keras.Model) -> Iterator[None]:
    """End tf.data's threads with the exception that ends a fit.

    They call Python. Held by the exception's frames they would do so until the interpreter is gone, and crash it.
    """
    try:
        yield
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        model._eval_epoch_iterator = None  # as Keras itself leaves it
        gc.collect()  # Keras's iterator and its generator hold each other
        raise


def _compile(
    model: keras.Model, trainer: DictConfig, phase: phases.Phase, steps: int, loss: Callable[..., Any]
) -> None:
    phases.apply(phase, model)
    optimizer = optimizers.build(trainer, phase, steps)
    if model.compiled:
        # A new optimizer and other trainable layers change the training step alone: compiling would trace validation
        # again too.
        model.optimizer = optimizer
        model.train_function = None
    else:
        model.compile(
            optimizer=optimizer,
            loss=loss,
            metrics=[keras.metrics.CategoricalAccuracy(name="accuracy"), MacroF1(model.output_shape[-1])],
            jit_compile=False,  # XLA trains these models about ten times slower on a CPU
        )
    model.optimizer.build(model.trainable_variables)
    if phase.frozen:
        log.info("epochs %d to %d: the backbone is frozen", phase.start + 1, phase.stop)
    elif phase.batch_norm_frozen:
        log.info("epochs %d to %d: the backbone's batch norm is frozen", phase.start + 1, phase.stop)


def _float32_twin(model: DictConfig, contract: Contract) -> keras.Model:
    """The network as it is saved: float32 whatever precision it is trained in, so that every export takes it."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        # Its weights are set before each save, so ours need not be read from a file twice.
        ours = model["_target_"] == "emotion.models.mobilenet_v2.build"
        return build(DictConfig({**model, "weights": None}) if ours else model, contract)
    finally:
        keras.config.set_dtype_policy(policy)


def _plain(setting: DictConfig | str) -> dict[str, float] | str:
    return {str(k): float(v) for k, v in setting.items()} if isinstance(setting, DictConfig) else setting
