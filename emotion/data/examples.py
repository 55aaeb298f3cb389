"""The two records that pass between data sources, splits, the pipeline and evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Examples:
    """Labelled pictures, either in memory or as files.

    Attributes:
        labels: int64 ``[N]``, indices into :data:`emotion.labels.EMOTIONS`.
        hashes: ``S16`` ``[N]``: SHA-256 over shape and decoded pixels, cut to 16 bytes. Equal means pixel-identical.
        images: uint8 ``[N, H, W]`` (grey) or ``[N, H, W, 3]`` (OpenCV's BGR), or None when the pictures are files.
        paths: str ``[N]``, or None when the pictures are in memory.
    """

    labels: np.ndarray[Any, Any]
    hashes: np.ndarray[Any, Any]
    images: np.ndarray[Any, Any] | None = None
    paths: np.ndarray[Any, Any] | None = None

    def __post_init__(self) -> None:
        if (self.images is None) == (self.paths is None):
            raise ValueError("Examples hold either images or paths")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray[Any, Any]) -> Examples:
        """The examples at these rows, in this order."""
        return Examples(
            labels=self.labels[rows],
            hashes=self.hashes[rows],
            images=None if self.images is None else self.images[rows],
            paths=None if self.paths is None else self.paths[rows],
        )


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
    """

    train: Examples
    validation: Examples
    test: Examples
    fingerprint: dict[str, Any]
    unreadable: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __getitem__(self, split: str) -> Examples:
        if split not in SPLITS:
            raise KeyError(split)
        return getattr(self, split)
