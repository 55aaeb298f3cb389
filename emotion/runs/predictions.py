"""``predictions.npz``: what a run answered, per image. Arrays are called ``<split>_<column>``."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion.base import files
from emotion.base.errors import UserError
from emotion.runs.folder import Run

NAME = "predictions.npz"

# What NumPy raises where a file is no archive of arrays, or not a whole one.
_DAMAGE = (OSError, ValueError, TypeError, AttributeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers on one split.

    Attributes:
        probabilities: float32 ``[N, C]``.
        labels: int8 ``[N]``.
        hashes: ``S16`` ``[N]``, see :func:`emotion.data.fingerprint.hash_pixels`.
        votes: int ``[N, C]``, where several people labelled each image.
        leaked: bool ``[N]``, in training or validation too; None where that is not known.

    Raises:
        ValueError: The arrays do not fit together.
    """

    probabilities: NDArray[Any]
    labels: NDArray[Any]
    hashes: NDArray[Any]
    votes: NDArray[Any] | None = None
    leaked: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        shape = self.labels.shape
        if len(shape) != 1 or self.probabilities.ndim != 2 or len(self.probabilities) != len(self.labels):
            raise ValueError("its probabilities do not fit its labels")
        if self.hashes.shape != shape or self.hashes.dtype != "S16":
            raise ValueError("an image's hash is missing")
        if self.leaked is not None and (self.leaked.shape != shape or self.leaked.dtype != np.bool_):
            raise ValueError("its column of leaked images is damaged")


def write(folder: Path, by_split: Mapping[str, Predictions]) -> None:
    """Write the answers on some splits, in place of the old file."""
    arrays = {
        f"{split}_{column.name}": value
        for split, predictions in by_split.items()
        for column in fields(Predictions)
        if (value := getattr(predictions, column.name)) is not None
    }
    with files.replacing(folder / NAME) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read(run: Run, *splits: str) -> dict[str, Predictions]:
    """A run's answers; see :func:`read_folder`."""
    return read_folder(run.results, splits, run.evaluate_command(splits[0]))


def read_folder(folder: Path, splits: Collection[str], again: str) -> dict[str, Predictions]:
    """The answers on those of the splits that were scored.

    Args:
        again: The command that makes the file again, for the errors.

    Raises:
        UserError: The file is missing or damaged, or holds none of these splits.
    """
    path = folder / NAME
    try:  # opened here: NumPy would leave a damaged file open
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            columns = {
                split: {c.name: data[key] for c in fields(Predictions) if (key := f"{split}_{c.name}") in data.files}
                for split in splits
            }
        by_split = {
            split: Predictions(**arrays)
            for split, arrays in columns.items()
            if {"probabilities", "labels", "hashes"} <= arrays.keys()
        }
    except FileNotFoundError:
        raise UserError(f"it has no {NAME}; make it: {again}") from None
    except _DAMAGE as error:
        raise damaged(folder, again, error) from None
    if not by_split:
        raise UserError(f"its {NAME} holds none of the {' or '.join(splits)} split; make them: {again}")
    return by_split


def damaged(folder: Path, again: str, error: Exception) -> UserError:
    """The error for a file whose content is wrong."""
    return UserError(f"{folder / NAME}: damaged ({error}); regenerate it: {again}")
