"""``predictions.npz``: what a run answered, per image, and the same for people as ``predictions.csv``.

Arrays are called ``<split>_<column>``.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion.base import files, guarded, words
from emotion.base.errors import UserError
from emotion.runs.folder import Run

NAME = "predictions.npz"
#: The same for spreadsheets. Both name files of the user's data, so neither is published.
TABLE = "predictions.csv"

#: Order and fingerprint of each set of images, by the digest of how it is stored.
Orders = dict[bytes, tuple[NDArray[np.intp], str]]


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers on one split.

    Attributes:
        probabilities: float32 ``[N, C]``.
        labels: int8 ``[N]``.
        hashes: ``S16`` ``[N]``, see :func:`emotion.data.fingerprint.hash_pixels`.
        votes: int ``[N, C]``, where several people labelled each image.
        leaked: bool ``[N]``, in training or validation too; None where that is not known.
        names: str ``[N]``, each image's file, or its row in a table; None in files from before these were kept.

    Raises:
        ValueError: The arrays do not fit together.
    """

    probabilities: NDArray[Any]
    labels: NDArray[Any]
    hashes: NDArray[Any]
    votes: NDArray[Any] | None = None
    leaked: NDArray[Any] | None = None
    names: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        shape = self.labels.shape
        if self.probabilities.dtype.kind != "f" or self.labels.dtype.kind not in "iu":
            raise ValueError("its probabilities or labels are not numbers")
        if len(shape) != 1 or self.probabilities.ndim != 2 or len(self.probabilities) != len(self.labels):
            raise ValueError("its probabilities do not fit its labels")
        if len(shape) and not np.isfinite(self.probabilities).all():
            raise ValueError("its probabilities are not numbers (NaN)")
        classes = self.probabilities.shape[1]
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < classes:
            raise ValueError("a label is out of range")
        if self.votes is not None and (
            self.votes.shape != self.probabilities.shape or self.votes.dtype.kind not in "iuf"
        ):
            raise ValueError("its votes do not fit its probabilities")
        if self.hashes.shape != shape or self.hashes.dtype != "S16":
            raise ValueError("an image's hash is missing")
        if self.leaked is not None and (self.leaked.shape != shape or self.leaked.dtype != np.bool_):
            raise ValueError("its column of leaked images is damaged")
        if self.names is not None and (self.names.shape != shape or self.names.dtype.kind != "U"):
            raise ValueError("its names of images are damaged")


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


def write_table(folder: Path, by_split: Mapping[str, Predictions], labels: Sequence[str], calibrated: bool) -> None:
    """Write the answers on some splits as a table, a line per image, in place of the old file.

    Args:
        by_split: The answers.
        labels: Of their columns.
        calibrated: Whether the probabilities are, which is the table's last column.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"p_{label}" for label in labels]
    writer.writerow(["split", "image", "truth", "answer", "right", "confidence", "seen_in_training", *columns,
                     "calibrated"])  # fmt: skip
    for split, answers in by_split.items():
        names = [f"row {i}" for i in range(len(answers.labels))] if answers.names is None else answers.names.tolist()
        leaked = [""] * len(names) if answers.leaked is None else [_YES[bool(x)] for x in answers.leaked]
        for name, truth, row, seen in zip(names, answers.labels, answers.probabilities, leaked, strict=True):
            answer = int(row.argmax())
            shown = (f"{p:.6f}" for p in row)
            writer.writerow([split, words.cell(name), labels[truth], labels[answer], _YES[answer == truth],
                             f"{row[answer]:.6f}", seen, *shown, _YES[calibrated]])  # fmt: skip
    # File names may hold bytes that are not text; UTF-8 cannot encode them.
    files.write_bytes(folder / TABLE, text.getvalue().encode("utf-8", "replace"))


_YES = {True: "yes", False: "no"}


def ordered(hashes: NDArray[Any], labels: NDArray[Any], known: Orders) -> tuple[NDArray[np.intp], str]:
    """Rows by image, then label, and the fingerprint of both; computed once for runs that store them in one order.

    In this order every bootstrap draws the same images, in whatever order a run has them.
    """
    stored = hashlib.sha256(hashes.tobytes())
    stored.update(labels.astype(np.int64).tobytes())
    if stored.digest() not in known:
        pairs = np.empty((len(labels), 17), np.uint8)
        pairs[:, :16] = np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, 16)
        pairs[:, 16] = labels
        keys = pairs.view("S17").ravel()
        order = np.argsort(keys, kind="stable")
        known[stored.digest()] = order, hashlib.sha256(keys[order].tobytes()).hexdigest()
    return known[stored.digest()]


def read(run: Run, *splits: str) -> dict[str, Predictions]:
    """A run's answers; see :func:`read_folder`."""
    return read_folder(run.results, splits, run.evaluate_command(splits[0]))


def read_folder(folder: Path, splits: Collection[str], again: str, named: bool = False) -> dict[str, Predictions]:
    """The answers on those of the splits that were scored.

    Args:
        again: The command that makes the file again, for the errors.
        named: Whether the images' names are wanted, which take longer to read than all else.

    Raises:
        UserError: The file is missing or damaged, or holds none of these splits.
    """
    path = folder / NAME
    if not path.exists():
        raise UserError(f"it has no {NAME}; make it: {again}")
    wanted = [column.name for column in fields(Predictions) if named or column.name != "names"]
    names = {f"{split}_{column}" for split in splits for column in wanted}
    data = guarded.read_arrays(path, names, f"regenerate it: {again}")
    columns = {
        split: {column: data[key] for column in wanted if (key := f"{split}_{column}") in data} for split in splits
    }
    try:
        by_split = {
            split: Predictions(**arrays)
            for split, arrays in columns.items()
            if {"probabilities", "labels", "hashes"} <= arrays.keys()
        }
    except (ValueError, TypeError) as error:
        raise damaged(folder, again, error) from None
    if not by_split:
        raise UserError(f"its {NAME} holds none of the {' or '.join(splits)} split; make them: {again}")
    return by_split


def damaged(folder: Path, again: str, error: Exception) -> UserError:
    """The error for a file whose content is wrong."""
    return UserError(f"{folder / NAME}: damaged ({error}); regenerate it: {again}")
