"""How log lines look on the terminal and in a run's ``train.log``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emotion.base import guarded
from emotion.base.interrupts import deferred
from emotion.base.progress import working
from emotion.base.words import printable

STAMPED = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Sentences(logging.Formatter):
    """Messages alone: tracebacks are for the log file; a terminal gets the error once, at the end."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return ""


class RunLog(logging.FileHandler):
    """Appends to a run's log, which must be a regular file: a link in a received run would lead elsewhere."""

    def _open(self) -> Any:
        path = Path(self.baseFilename)
        return os.fdopen(guarded.open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a", encoding="utf-8")


def set_up(path: Path | None = None) -> None:
    """Log to stderr and to a file, as ``conf/hydra/job_logging/emotion.yaml`` does where Hydra sets logging up."""
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(Sentences())
    handlers: list[logging.Handler] = [terminal]
    if path is not None:
        file = RunLog(path)
        file.setFormatter(logging.Formatter(STAMPED))
        handlers.append(file)
    logging.basicConfig(level=logging.WARNING, handlers=handlers)
    logging.getLogger("emotion").setLevel(logging.INFO)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hide what C++ libraries print to stderr past Python; their errors still come as exceptions."""
    sys.stderr.flush()
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


def import_tensorflow() -> None:
    """Import TensorFlow without its notices about CPU features, which no log level keeps off the terminal.

    CUDA's notices on a machine without a GPU are hidden as well: they come when devices are first listed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Keras imports these wherever they are installed, for features that are not used here, which takes a third of the
    # time. A None lets a package look absent.
    absent = dict.fromkeys({"pandas", "sklearn", "matplotlib"} - sys.modules.keys())
    with working("loading TensorFlow"), deferred(), quiet_stderr():
        sys.modules |= absent  # type: ignore[arg-type]
        try:
            import keras  # noqa: F401
            import tensorflow
        finally:
            for name in absent:
                del sys.modules[name]
        tensorflow.config.list_physical_devices("GPU")
