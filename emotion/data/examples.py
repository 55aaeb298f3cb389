"""The two records that pass between data sources, splits, the pipeline and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from emotion.faces import decoding, images
from emotion.faces.images import Box, Image
from emotion.faces.labels import EMOTIONS

Array = np.ndarray[Any, Any]

SPLITS = ("train", "validation", "test")
#: Every image of a dataset, whatever split it is in.
ALL = "all"


@dataclass(frozen=True)
class Examples:
    """Labelled images, either in memory or as files."""

    labels: Array  #: int64 ``[N]``, indices into the dataset's labels, see :attr:`Splits.labels`
    #: ``S16`` ``[N]``: SHA-256 over shape and decoded pixels, cut to 16 bytes. Equal means pixel-identical.
    hashes: Array
    #: uint8 ``[N, H, W]`` (grey) or ``[N, H, W, 3]`` (BGR), or ``[N]`` such arrays; None where they are files.
    images: Array | None = None
    paths: Array | None = None  #: str ``[N]``; None where the images are in memory, empty where only others are files
    perceptual: Array | None = None  #: uint64 ``[N, 2]``, see :func:`emotion.data.similar.perceptual_hash`
    #: str ``[N]``, what an image was cut from, such as a film, or empty; images of one origin are not separated.
    origin: Array | None = None
    #: str ``[N]``, who is in an image (``dataset.group``); images of one group are not separated.
    group: Array | None = None
    rows: Array | None = None  #: int64 ``[N]``, the row in its file, counted from 0, where images come from a table
    #: float32 ``[N, C]``, fitted in place of one-hot labels, where several people labelled.
    targets: Array | None = None
    votes: Array | None = None  #: float32 ``[N, C]``, the share of people who chose each label; rows sum to 1
    kept: Array | None = None  #: float32 ``[N]``, the share of an image's sides that is used, around its centre
    #: int64 ``[N, P]``, the label of each part of a mixed dataset, -1 where a part does not have the image.
    part_labels: Array | None = None
    face: Array | None = None  #: int64 ``[N, 4]``, the square that is cut out: left, top, width, height; 0: whole
    weights: Array | None = None  #: float32 ``[N]``, how often an image is drawn relative to others; None is equally

    def __post_init__(self) -> None:
        if self.images is None and self.paths is None:
            raise ValueError("Examples hold images or paths")

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
            emotion.faces.formats.UnreadableImageError: Its file cannot be read.
        """
        image: Image = decoding.read(str(self.paths[i])) if self._is_file(i) else self.images[i]  # type: ignore[index]
        if self.face is not None and self.face[i][2]:
            return images.crop(image, Box(*self.face[i].tolist()), 0.0)
        return image if self.kept is None else images.centre(image, float(self.kept[i]))

    def name_of(self, i: int) -> str:
        """Where an image comes from, for people: its path, or its row in a table."""
        if self._is_file(i):
            return str(self.paths[i])  # type: ignore[index]
        return f"row {i if self.rows is None else self.rows[i]}"

    def _is_file(self, i: int) -> bool:
        return self.paths is not None and bool(self.paths[i])


def concatenate(several: Sequence[Examples]) -> Examples:
    """Join examples; columns that not all of them have are left out, but images and files may be mixed."""
    joined: dict[str, Any] = {}
    for field in fields(Examples):
        columns = [getattr(examples, field.name) for examples in several]
        if all(column is not None for column in columns):
            if len({column.shape[1:] for column in columns}) > 1:  # images of several sizes
                columns = [_boxed(column) for column in columns]
            joined[field.name] = np.concatenate(columns)
    if "images" not in joined and "paths" not in joined:
        joined["images"] = np.concatenate(
            [np.full(len(e), None, object) if e.images is None else _boxed(e.images) for e in several]
        )
        joined["paths"] = np.concatenate([np.full(len(e), "", object) if e.paths is None else e.paths for e in several])
    return Examples(**joined)


def _boxed(images: Array) -> Array:
    """The images as an object array ``[N]``."""
    boxed = np.empty(len(images), object)
    boxed[:] = list(images)
    return boxed


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
    parts: tuple[str, ...] = ()  #: names of a mixed dataset's parts, in the order of :attr:`Examples.part_labels`

    def __getitem__(self, split: str) -> Examples:
        if split == ALL:
            return concatenate([self[s] for s in SPLITS if len(self[s])] or [self.test])
        if split not in SPLITS:
            raise KeyError(split)
        examples: Examples = getattr(self, split)
        return examples
