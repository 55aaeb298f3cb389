"""The two records that pass between data sources, splits, the pipeline and evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from emotion.faces import images
from emotion.faces.images import Image
from emotion.faces.labels import EMOTIONS

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Examples:
    """Labelled pictures, either in memory or as files.

    Attributes:
        labels: int64 ``[N]``, indices into the dataset's labels, see :attr:`Splits.labels`.
        hashes: ``S16`` ``[N]``: SHA-256 over shape and decoded pixels, cut to 16 bytes. Equal means pixel-identical.
        images: uint8 ``[N, H, W]`` (grey) or ``[N, H, W, 3]`` (OpenCV's BGR), or None when the pictures are files.
        paths: str ``[N]``, or None when the pictures are in memory.
        perceptual: uint64 ``[N, 2]``, pHash and dHash of each picture, where its source keeps them; see
            :func:`emotion.data.similar.perceptual_hash`.
        origin: str ``[N]``, what a picture was cut from, such as a film; pictures of one origin are not separated.
            Empty where that is nobody's but its own.
        rows: int64 ``[N]``, which row of its file a picture is, counted from 0, where it comes from a table.
        targets: float32 ``[N, C]``, what is fitted in place of one-hot labels, where several people labelled.
        votes: float32 ``[N, C]``, the shares of the votes that people gave to each label; rows sum to 1.
    """

    labels: np.ndarray[Any, Any]
    hashes: np.ndarray[Any, Any]
    images: np.ndarray[Any, Any] | None = None
    paths: np.ndarray[Any, Any] | None = None
    perceptual: np.ndarray[Any, Any] | None = None
    origin: np.ndarray[Any, Any] | None = None
    rows: np.ndarray[Any, Any] | None = None
    targets: np.ndarray[Any, Any] | None = None
    votes: np.ndarray[Any, Any] | None = None

    def __post_init__(self) -> None:
        if (self.images is None) == (self.paths is None):
            raise ValueError("Examples hold either images or paths")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray[Any, Any]) -> Examples:
        """The examples at these rows, in this order."""
        columns = ((f.name, getattr(self, f.name)) for f in fields(self))
        taken: dict[str, Any] = {name: None if column is None else column[rows] for name, column in columns}
        return Examples(**taken)

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
    """A dataset, divided once and for all.

    Attributes:
        train: What the weights are fitted to.
        validation: What chooses the checkpoint, stops early and feeds the sweeper.
        test: Scored once, at the end.
        fingerprint: JSON-ready: which data this is; see :mod:`emotion.data.fingerprint`.
        unreadable: ``(path, reason)`` of each file that was left out.
        notes: Sentences for the log: where the splits came from, what is unusual.
        labels: What :attr:`Examples.labels` mean, in order.
        loss: ``cross_entropy``, or ``any_target`` where a target names several labels of which any is right.
    """

    train: Examples
    validation: Examples
    test: Examples
    fingerprint: dict[str, Any]
    unreadable: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())
    labels: tuple[str, ...] = EMOTIONS
    loss: str = "cross_entropy"

    def __getitem__(self, split: str) -> Examples:
        if split not in SPLITS:
            raise KeyError(split)
        return getattr(self, split)
