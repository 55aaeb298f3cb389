"""How log lines look on the terminal and in a run's ``train.log``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

STAMPED = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Sentences(logging.Formatter):
    """Messages alone: tracebacks are for the log file, whoever is at the terminal gets the error once, at the end."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return ""


def set_up(path: Path) -> None:
    """Log to stderr and to a file, as ``conf/hydra/job_logging/emotion.yaml`` does where Hydra sets logging up."""
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(Sentences())
    file = logging.FileHandler(path)
    file.setFormatter(logging.Formatter(STAMPED))
    logging.basicConfig(level=logging.WARNING, handlers=[terminal, file])
    logging.getLogger("emotion").setLevel(logging.INFO)
