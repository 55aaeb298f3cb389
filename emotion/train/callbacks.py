"""What happens in and after each epoch: the best checkpoint, the history, the state to resume from, progress shown."""

from __future__ import annotations

import logging
import math
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras
from omegaconf import DictConfig

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.base.progress import Pace, bars
from emotion.runs.history import COLUMNS, write_history
from emotion.train import state
from emotion.train.averaging import AveragedWeights

log = logging.getLogger(__name__)

#: How many steps apart the loss is checked for NaN: reading it waits for the device.
_CHECK_EVERY = 10

_SECONDS_BETWEEN_LINES = 60.0


class Keeper(keras.callbacks.Callback):
    """Keep the best checkpoint, the history, the state to resume from; stop when nothing gets better.

    Args:
        progress: Where the run stands; changed in place.
        twin: The same network in float32 without an optimizer: what is saved as ``.keras``.
        averaged: Holds the weights to save instead of the model's own, or None.
    """

    def __init__(
        self,
        run: runs.Run,
        trainer: DictConfig,
        progress: state.Progress,
        twin: keras.Model,
        averaged: AveragedWeights | None,
    ) -> None:
        super().__init__()
        self.run, self.trainer, self.progress, self.twin, self.averaged = run, trainer, progress, twin, averaged
        self.checkpoints = run.checkpoints
        self.checkpoints.mkdir(exist_ok=True)
        self._tidy()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = time.perf_counter()
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch % _CHECK_EVERY == 0:
            self._refuse_nan(float(logs["loss"]), f"step {batch + 1} of epoch {self.epoch + 1}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._refuse_nan(logs["loss"], f"epoch {epoch + 1}")
        self._refuse_nan(logs["val_loss"], f"the validation after epoch {epoch + 1}")
        seconds = time.perf_counter() - self.began
        row = {k: float(logs[k]) for k in COLUMNS if k in logs}
        row |= {"epoch": epoch + 1, "learning_rate": self._learning_rate(), "seconds": round(seconds, 2)}
        progress = self.progress
        progress.history.append({k: row[k] for k in COLUMNS})
        progress.epoch = epoch + 1
        progress.seconds += seconds
        try:
            if better := self._is_better(row[self.trainer.monitor]):
                progress.best, progress.best_epoch, progress.wait = row[self.trainer.monitor], epoch + 1, 0
            else:
                progress.wait += 1
            self._save_twin(better)
            state.save(self.run.state, progress, self.model)
            if better:
                self._pending.replace(self.run.best)
            write_history(self.run.path / "history.csv", progress.history)
            runs.update(self.run, epoch=progress.epoch, best_epoch=progress.best_epoch, best=progress.best)
        except OSError as error:
            raise UserError(
                f"{error.filename or self.checkpoints}: cannot write after epoch {epoch + 1} ({error.strerror}). "
                f"The files of the epoch before are whole; make room and run: "
                f"python -m emotion.train resume={self.run.reference}"
            ) from None
        if self.trainer.patience is not None and progress.wait >= self.trainer.patience:
            self.model.stop_training = True

    @property
    def _pending(self) -> Path:
        """A better checkpoint waits here until the state that knows of it is on disk."""
        return self.checkpoints / f".best-{self.progress.best_epoch}.keras"

    def _save_twin(self, better: bool) -> None:
        values = self.averaged.values(self.model) if self.averaged else self.model.get_weights()
        self.twin.set_weights(values)
        last = self.checkpoints / "last.keras"
        with files.replacing(last) as temporary:
            self.twin.save(temporary)
        if better:
            shutil.copyfile(last, self._pending)

    def _tidy(self) -> None:
        """Finish what a killed process left: a checkpoint that its state knows of, files that were half written."""
        if self._pending.is_file():
            self._pending.replace(self.run.best)
        for leftover in self.checkpoints.glob(".best-*"):
            leftover.unlink()
        for path in (self.run.state, self.checkpoints / "last.keras"):
            files.remove_unfinished(path)
        if self.progress.history:
            write_history(self.run.path / "history.csv", self.progress.history)

    def _is_better(self, value: float) -> bool:
        best = self.progress.best
        if best is None:
            return True
        gain = best - value if self.trainer.monitor == "val_loss" else value - best
        return bool(gain > self.trainer.min_delta)

    def _learning_rate(self) -> float:
        return float(self.model.optimizer.learning_rate)

    def _refuse_nan(self, loss: float, when: str) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"the loss became {loss} in {when}, at learning rate {self._learning_rate():.3g}. "
                f"Lower trainer.learning_rate ({self.trainer.learning_rate:g}), "
                f"raise trainer.warmup_epochs or set trainer.clip_norm=1"
            )


class Reporter(keras.callbacks.Callback):
    """Log a line per epoch; within an epoch show a bar in a terminal, or log a line per minute."""

    def __init__(self, epochs: int, steps: int, batch_size: int) -> None:
        super().__init__()
        self.epochs, self.steps, self.batch_size = epochs, steps, batch_size
        self.shown = ExitStack()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch, self.began, self.pace = epoch, time.perf_counter(), Pace(_SECONDS_BETWEEN_LINES)
        self.display = self.shown.enter_context(bars())
        if self.display is not None:
            self.task = self.display.add_task(f"epoch {epoch + 1}/{self.epochs}", total=self.steps, info="")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        done = batch + 1
        if self.display is None:
            if self.pace.due():
                log.info("epoch %d/%d  step %d/%d  %s", self.epoch + 1, self.epochs, done, self.steps,
                         self._speed(done, logs))  # fmt: skip
        elif done % 10 == 0 or done == self.steps:
            self.display.update(self.task, completed=done, info=self._speed(done, logs))

    def on_test_begin(self, logs: Any = None) -> None:
        self.trained = time.perf_counter() - self.began

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.stop()
        log.info(
            "epoch %*d/%d  loss %.3f  accuracy %.3f  val_loss %.3f  val_accuracy %.3f  val_macro_f1 %.3f  "
            "%.1f s  %.0f images/s",
            len(str(self.epochs)), epoch + 1, self.epochs, logs["loss"], logs["accuracy"], logs["val_loss"],
            logs["val_accuracy"], logs["val_macro_f1"], time.perf_counter() - self.began,
            self.steps * self.batch_size / self.trained,
        )  # fmt: skip

    def stop(self) -> None:
        """Take the bar off the terminal."""
        self.shown.close()

    def _speed(self, steps: int, logs: Any) -> str:
        rate = steps * self.batch_size / max(time.perf_counter() - self.began, 1e-9)
        return f"loss {float(logs['loss']):.3f}  {rate:.0f} images/s"
