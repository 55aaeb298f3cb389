"""The two records that pass between data sources, splits, the pipeline and evaluation."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from emotion.faces import images
from emotion.faces.images import Image
from emotion.faces.labels import EMOTIONS

Array = np.ndarray[Any, Any]

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Examples:
    """Labelled images, either in memory or as files."""

    labels: Array  #: int64 ``[N]``, indices into the dataset's labels, see :attr:`Splits.labels`
    #: ``S16`` ``[N]``: SHA-256 over shape and decoded pixels, cut to 16 bytes. Equal means pixel-identical.
    hashes: Array
    images: Array | None = None  #: uint8 ``[N, H, W]`` (grey) or ``[N, H, W, 3]`` (BGR); None where they are files
    paths: Array | None = None  #: str ``[N]``; None where the images are in memory
    perceptual: Array | None = None  #: uint64 ``[N, 2]``, see :func:`emotion.data.similar.perceptual_hash`
    #: str ``[N]``, what an image was cut from, such as a film, or empty; images of one origin are not separated.
    origin: Array | None = None
    rows: Array | None = None  #: int64 ``[N]``, the row in its file, counted from 0, where images come from a table
    #: float32 ``[N, C]``, fitted in place of one-hot labels, where several people labelled.
    targets: Array | None = None
    votes: Array | None = None  #: float32 ``[N, C]``, the share of people who chose each label; rows sum to 1

    def __post_init__(self) -> None:
        if (self.images is None) == (self.paths is None):
            raise ValueError("Examples hold either images or paths")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Array) -> Examples:
        """The examples at these rows, in this order."""
        columns = ((f.name, getattr(self, f.name)) for f in fields(self))
        selected: dict[str, Any] = {name: None if column is None else column[rows] for name, column in columns}
        return Examples(**selected)

    def image(self, i: int) -> Image:
        """One image, decoded where it is a file: uint8 grey, BGR or BGRA.

        Raises:
            emotion.faces.images.UnreadableImageError: Its file cannot be read.
        """
        if self.paths is not None:
            return images.read(str(self.paths[i]))
        image: Image = self.images[i]  # type: ignore[index]
        return image

    def name_of(self, i: int) -> str:
        """Where an image comes from, for people: its path, or its row in a table."""
        if self.paths is not None:
            return str(self.paths[i])
        return f"row {i if self.rows is None else self.rows[i]}"


@dataclass(frozen=True)
class Splits:
    """A dataset, divided once and for all."""

    train: Examples  #: fits the weights
    validation: Examples  #: selects the checkpoint, stops early and guides the search
    test: Examples  #: scored once, at the end
    fingerprint: dict[str, Any]  #: JSON-ready: which data this is; see :mod:`emotion.data.fingerprint`
    unreadable: tuple[tuple[str, str], ...] = ()  #: ``(path, reason)`` of each file that was left out
    notes: tuple[str, ...] = ()  #: for the log: where the splits came from, what is unusual
    labels: tuple[str, ...] = EMOTIONS  #: what :attr:`Examples.labels` mean, in order
    #: ``cross_entropy``, or ``any_target`` where a target names several labels of which any is correct.
    loss: str = "cross_entropy"

    def __getitem__(self, split: str) -> Examples:
        if split not in SPLITS:
            raise KeyError(split)
        examples: Examples = getattr(self, split)
        return examples
