"""Cutting the faces out of whole photos before they are scored: ``faces=whole|search|auto``."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emotion.base.errors import UserError
from emotion.base.progress import progress
from emotion.config.commands import FaceSearch
from emotion.data import framing, measuring
from emotion.data.examples import Array, Examples
from emotion.faces import images
from emotion.faces.contract import Contract
from emotion.faces.formats import UnreadableImageError

#: Photos that show so much more around a face than the model's crops do, side by side, are searched by ``auto``.
_LARGER = 1.15
#: Images whose framing ``auto`` measures, and the share of them that must show a face.
_SAMPLE, _LEAST = 200, 0.2
_BATCH = 64


@dataclass(frozen=True)
class Cut:
    """Images with the faces that are cut out of them.

    Attributes:
        examples: The images that are scored.
        kept: int64 ``[M]``, their rows among those that were given.
        note: What was done, and why.
        without: Names of the images in which no face was found.
    """

    examples: Examples
    kept: Array
    note: str
    without: tuple[str, ...] = ()


def cut(examples: Examples, contract: Contract, how: str, no_face: str, cache_dir: str, root: str | None = None) -> Cut:
    """Cut out each image's largest face with the contract's margin.

    Args:
        examples: The images.
        contract: Of the model that is scored.
        how: ``whole`` takes images as they are, ``search`` finds faces, ``auto`` decides by how a sample is framed.
        no_face: ``whole`` or ``leave_out``: what becomes of images without a face.
        cache_dir: Where measurements of framing are kept.
        root: The folder of images, where it is one.

    Raises:
        UserError: An image can no longer be read, or none shows a face.
    """
    every, reason, advice = np.arange(len(examples)), "", ""
    if how == "auto":
        how, reason, advice = _decide(examples, contract, cache_dir, root)
    if how == "whole":
        return Cut(examples, every, f"faces: images are scored whole{reason}")
    squares = _squares(examples, contract.crop_margin)
    found = squares[:, 2] > 0
    if not found.any():
        raise UserError(
            f"faces: no face was found in any of the {len(examples):,} images. If they are faces already, "
            f"score them as they are: faces=whole"
        )
    without = tuple(examples.name_of(int(i)) for i in np.flatnonzero(~found))
    kept = every if no_face == "whole" else np.flatnonzero(found)
    note = f"faces: the largest face is cut out of each image{reason}"
    if without:
        note += f"; no face found in {len(without):,} of {len(examples):,}, which are "
        note += "scored whole" if no_face == "whole" else "left out"
    return Cut(replace(examples, face=squares).take(kept), kept, note + advice, without)


def _decide(examples: Examples, contract: Contract, cache_dir: str, root: str | None) -> tuple[str, str, str]:
    """Whether to search or to take images whole; why; and, of a folder of photos, how to cut the faces out once."""
    rows = np.unique(np.linspace(0, len(examples) - 1, min(_SAMPLE, len(examples))).round().astype(np.int64))
    sample = examples.take(rows)
    found = framing.of(measuring.measure(sample, Path(cache_dir).expanduser(), "evaluate"))
    if found.share is None or found.pictures < _LEAST * found.of:
        few = f", as too few show a face to measure ({found.pictures} of {found.of}); faces=search looks anyway"
        return "whole", few, ""
    expected = 1 / (1 + 2 * contract.crop_margin)
    how = "search" if expected / found.share > _LARGER else "whole"
    if how == "search" and root and framing.are_photos(found):
        what, cut_once = framing.photos(found, Path(root).expanduser())
        return how, f", since {what}", f". {cut_once}"
    why = (
        f", as the face takes {100 * found.share:.0f} % of an image's side (median of {found.pictures} images) and "
        f"{100 * expected:.0f} % of the model's"
    )
    return how, why, ""


def _squares(examples: Examples, margin: float) -> Array:
    """int64 ``[N, 4]``: the square around each image's largest face, with its margin; 0 where there is none."""
    search, own = FaceSearch(), threading.local()

    def one(row: int) -> tuple[int, int, int, int]:
        if not hasattr(own, "cascade"):
            own.cascade = images.load_cascade()  # must not be used by two threads
        try:
            image = examples.image(row)
        except UnreadableImageError as error:
            raise UserError(f"{examples.name_of(row)}: {error}. Restore it, or remove it") from None
        boxes = images.detect(
            own.cascade,
            image,
            scale_factor=search.scale_factor,
            min_neighbors=search.min_neighbors,
            min_size=search.min_size,
            working_size=search.working_size,
        )
        if not boxes:
            return 0, 0, 0, 0
        square = images.square(boxes[0], margin)
        return square.x, square.y, square.width, square.height

    workers, squares = min(8, os.cpu_count() or 1), np.zeros((len(examples), 4), np.int64)
    with (
        progress(len(examples), "Searching faces") as advance,
        measuring.one_thread_each(),
        ThreadPoolExecutor(workers) as pool,
    ):
        for start in range(0, len(examples), _BATCH):  # in batches, so that pending results stay few
            rows = range(start, min(start + _BATCH, len(examples)))
            squares[rows.start : rows.stop] = list(pool.map(one, rows))
            advance(len(rows))
    return squares
