"""Telling a person how training goes: bars in a terminal, plain lines where output is not one."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

#: Seconds between lines within an epoch, where there is no terminal.
_LINE_EVERY = 60.0


class Reporter(keras.callbacks.Callback):
    """One line an epoch; within an epoch a bar, or a line a minute."""

    def __init__(self, epochs: int, steps: int, batch_size: int) -> None:
        super().__init__()
        self.epochs, self.steps, self.batch_size = epochs, steps, batch_size
        self.bar: Progress | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch, self.began = epoch, time.perf_counter()
        self.spoke = self.began
        if sys.stderr.isatty():
            self.bar = Progress(
                TextColumn(f"epoch {epoch + 1}/{self.epochs}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[info]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self.bar.start()
            self.task = self.bar.add_task("", total=self.steps, info="")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.bar is not None:
            if batch % 10 == 9 or batch + 1 == self.steps:
                info = f"loss {float(logs['loss']):.3f}  {self._rate(batch + 1):.0f} images/s"
                self.bar.update(self.task, completed=batch + 1, info=info)
        elif time.perf_counter() - self.spoke > _LINE_EVERY:
            self.spoke = time.perf_counter()
            log.info(
                "epoch %d/%d  step %d/%d  loss %.3f  %.0f images/s",
                self.epoch + 1, self.epochs, batch + 1, self.steps, float(logs["loss"]), self._rate(batch + 1),
            )  # fmt: skip

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
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _rate(self, steps: int) -> float:
        return steps * self.batch_size / max(time.perf_counter() - self.began, 1e-9)
