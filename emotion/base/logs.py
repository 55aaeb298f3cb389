"""How log lines look on the terminal and in a run's ``train.log``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emotion.base.interrupts import deferred

STAMPED = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Sentences(logging.Formatter):
    """Messages alone: tracebacks are for the log file, whoever is at the terminal gets the error once, at the end."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return ""


def set_up(path: Path | None = None) -> None:
    """Log to stderr and to a file, as ``conf/hydra/job_logging/emotion.yaml`` does where Hydra sets logging up."""
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(Sentences())
    handlers: list[logging.Handler] = [terminal]
    if path is not None:
        file = logging.FileHandler(path)
        file.setFormatter(logging.Formatter(STAMPED))
        handlers.append(file)
    logging.basicConfig(level=logging.WARNING, handlers=handlers)
    logging.getLogger("emotion").setLevel(logging.INFO)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hide what C++ libraries print to stderr past Python; their errors still come as exceptions."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


@contextmanager
def _not_imported(*names: str) -> Iterator[None]:
    """Let packages look absent, as far as they are not there yet."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules |= dict.fromkeys(absent)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def import_tensorflow() -> None:
    """Import TensorFlow without its notices about CPU features, which no log level keeps off the terminal.

    Nor what CUDA says where there is no GPU: that comes when devices are first asked for.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Keras imports these wherever they are installed, for data frames, wrappers and galleries that nobody asks it for
    # here. It takes a third of the time; what a command needs of them it imports by itself.
    with deferred(), quiet_stderr(), _not_imported("pandas", "sklearn", "matplotlib"):
        import keras  # noqa: F401
        import tensorflow

        tensorflow.config.list_physical_devices("GPU")
