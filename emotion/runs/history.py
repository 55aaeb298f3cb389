"""``history.csv``: a run's losses and metrics, one row per epoch."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from emotion.base import files, guarded
from emotion.base.errors import UserError

COLUMNS = (
    "epoch", "loss", "accuracy", "macro_f1", "val_loss", "val_accuracy", "val_macro_f1", "learning_rate", "seconds",
)  # fmt: skip


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Write ``history.csv``: one line per epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(path, text.getvalue())


def read_history(path: Path) -> list[dict[str, float]]:
    """``history.csv`` as numbers.

    Raises:
        UserError: It cannot be read, or holds something else.
    """
    try:
        rows = csv.DictReader(io.StringIO(guarded.content(path, advice="delete it to do without").decode()))
        return [{k: float(v) for k, v in row.items() if v not in ("", None)} for row in rows]
    except (ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path}: damaged ({error}); restore it, or delete it to do without") from None
