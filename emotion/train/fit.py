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
import tensorflow as tf
from omegaconf import DictConfig

from emotion import runs
from emotion.data import cache, pipeline
from emotion.data.examples import Splits
from emotion.faces.contract import Contract
from emotion.models.build import build
from emotion.train import board, distillation, environment, fusion, optimizers, phases, state
from emotion.train.averaging import IMAGES, AveragedWeights
from emotion.train.balance import Balance
from emotion.train.callbacks import Keeper, Reporter
from emotion.train.objectives import MacroF1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    """What a training reads: the splits, how they are prepared, and the prepared images of two of them."""

    splits: Splits
    contract: Contract
    train: cache.Store
    validation: cache.Store

    @classmethod
    def open(cls, splits: Splits, contract: Contract, dataset: DictConfig) -> Data:
        """Prepare the images, as the dataset config says how they are cached."""
        train, validation = (
            cache.open_store(part, contract, cache=dataset.cache, cache_dir=dataset.cache_dir)
            for part in (splits.train, splits.validation)
        )
        return cls(splits, contract, train, validation)


@dataclass(frozen=True)
class Fitted:
    """What training left: progress, the number of the model's parameters, and why it stopped."""

    progress: state.Progress
    parameters: int
    stopped_early: bool


def fit(cfg: DictConfig, run: runs.Run, data: Data, balance: Balance, saved: state.Saved | None) -> Fitted:
    """Train on ``data.train``, choose by ``data.validation``; the test split is not touched.

    Args:
        cfg: The whole config of ``emotion.train``.
        balance: How the classes are weighed.
        saved: A state to resume from, or None.

    Raises:
        UserError: The loss became NaN, the data is too small for a batch, the disk is full, ...
    """
    trainer, progress = cfg.trainer, saved.progress if saved else state.Progress()
    steps = pipeline.steps_per_epoch(len(data.train), trainer.batch_size)
    batches = _training_batches(cfg, run, data, balance)
    twin = _float32_twin(cfg.model, data.contract)
    strategy = environment.strategy(trainer.strategy)
    model = _model(cfg, data.contract, strategy, begin=saved is None)
    state.check_space(run.path, model.count_params())
    averaged, reporter = _averaged(cfg, data.train), Reporter(trainer.epochs, steps, trainer.batch_size)
    keeper = Keeper(run, trainer, progress, twin, averaged)
    check = _validation_batches(data, trainer.batch_size, strategy.num_replicas_in_sync)

    if (cfg.model.get("frozen_epochs") or 0) >= trainer.epochs:
        log.warning("the backbone is never trained: model.frozen_epochs=%d of trainer.epochs=%d epochs",
                    cfg.model.frozen_epochs, trainer.epochs)  # fmt: skip
    log.info("training: epochs %d to %d, each of %d steps", progress.epoch + 1, trainer.epochs, steps)
    stopped = trainer.patience is not None and progress.wait >= trainer.patience
    try:
        for phase in phases.plan(cfg.model, trainer.epochs, trainer.learning_rate):
            if progress.epoch >= phase.stop or stopped:
                continue
            with strategy.scope():
                _compile(model, trainer, phase, steps, balance.loss)
            if saved is not None:
                state.restore(model.variables, saved.model, "model")
                if progress.epoch > phase.start:
                    state.restore(model.optimizer.variables, saved.optimizer, "optimizer")
                saved = None
            with cache.failing(data.train, data.validation), _pipelines_ended(model):
                model.fit(
                    batches(progress.epoch),
                    initial_epoch=progress.epoch,
                    epochs=phase.stop,
                    steps_per_epoch=steps,
                    validation_data=check,
                    callbacks=[*([averaged] if averaged else []), reporter, keeper, board.Scalars(run)],
                    verbose=0,
                    shuffle=False,  # the pipeline has shuffled
                )
            stopped = bool(model.stop_training)
    finally:
        reporter.stop()
    if stopped:
        log.info("no better %s for %d epochs: stopped after epoch %d", trainer.monitor, progress.wait, progress.epoch)
    return Fitted(progress, model.count_params(), stopped)


def _averaged(cfg: DictConfig, train: cache.Store) -> AveragedWeights | None:
    if cfg.trainer.ema is None:
        return None
    rows = np.random.default_rng(cfg.seed).permutation(len(train))[:IMAGES]
    return AveragedWeights(train.read, rows, cfg.trainer.batch_size)


def _training_batches(cfg: DictConfig, run: runs.Run, data: Data, balance: Balance) -> Callable[[int], tf.data.Dataset]:
    """Gives the batches from an epoch on; the run's TensorBoard shows what they are like."""
    trainer, train = cfg.trainer, data.splits.train
    augmentation = pipeline.Augmentation.from_config(cfg.augmentation)
    board.write_start(run, cfg, data.train, train, augmentation)

    def batches(start_epoch: int) -> tf.data.Dataset:
        return pipeline.training(
            data.train,
            train.labels,
            batch_size=trainer.batch_size,
            seed=cfg.seed,
            epochs=trainer.epochs,
            start_epoch=start_epoch,
            augmentation=augmentation,
            class_weights=balance.class_weights,
            weighted_epochs=trainer.get("class_weight_epochs"),
            label_smoothing=trainer.label_smoothing,
            threads=trainer.threads,
            targets=train.targets,
            rates=balance.rates,
        )

    return batches


def _validation_batches(data: Data, batch_size: int, devices: int) -> tf.data.Dataset:
    size = environment.evaluation_batch(max(128, batch_size), len(data.validation), devices)
    labels, classes = data.splits.validation.labels, len(data.splits.labels)
    return pipeline.evaluation(data.validation, labels, batch_size=size, classes=classes)


def _model(cfg: DictConfig, contract: Contract, strategy: tf.distribute.Strategy, *, begin: bool) -> keras.Model:
    devices = strategy.num_replicas_in_sync
    environment.check_batch(cfg.trainer.batch_size, devices)
    with strategy.scope():
        model = build(cfg.model, contract)
        if begin and cfg.trainer.get("initial_weights") == "teacher":
            distillation.take_weights(model, cfg)
        environment.synchronise(model, devices)
        fusion.fuse_batch_norm(model)
    log.info("model %s: %s parameters", cfg.model.get("name", model.name), f"{model.count_params():,}")
    return model


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
        # Its weights are set before each save, so those of a file need not be read twice.
        from_file = model["_target_"] == "emotion.models.mobilenet_v2.build"
        return build(DictConfig({**model, "weights": None}) if from_file else model, contract)
    finally:
        keras.config.set_dtype_policy(policy)
