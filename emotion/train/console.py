"""How training goes: a bar per epoch in a terminal, plain lines where output is not one."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import Any

import keras

from emotion.base.progress import Pace, bars

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 60.0


class Reporter(keras.callbacks.Callback):
    """A line per epoch; within an epoch a bar, or a line per minute."""

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
