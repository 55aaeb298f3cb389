"""Pictures as a model gets them: read in colour and prepared by :func:`emotion.faces.prepare`, as live video does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from emotion.base.errors import UserError
from emotion.data.examples import Examples
from emotion.faces import images
from emotion.faces.contract import Contract
from emotion.faces.images import Image

log = logging.getLogger(__name__)

Pictures = np.ndarray[Any, np.dtype[np.uint8]]

_CHUNK = 64  # pictures that one thread prepares at a time
_SECONDS_BETWEEN_LINES = 15.0


def prepared(examples: Examples, row: int, contract: Contract) -> Image:
    """One picture as the model gets it: uint8 ``[H, W, C]``.

    Raises:
        UserError: Its file can no longer be read.
    """
    if examples.images is not None:
        return images.prepare(examples.images[row], contract)
    path = str(examples.paths[row])  # type: ignore[index]
    try:
        return images.prepare(images.read(path), contract)
    except images.UnreadableImageError as error:
        raise UserError(
            f"{path}: {error}, though it could be read when the dataset was scanned. "
            f"Put the file back or remove it, and start again"
        ) from None


def prepare_all(examples: Examples, contract: Contract, threads: int, write: Callable[[int, Pictures], None]) -> None:
    """Prepare every picture.

    Args:
        examples: The pictures.
        contract: What the model eats.
        threads: How many chunks are prepared at once.
        write: Called in these threads with the row that a chunk starts at and its pictures, uint8 ``[B, H, W, C]``.

    Raises:
        UserError: A file can no longer be read.
    """

    def work(start: int) -> None:
        rows = range(start, min(start + _CHUNK, len(examples)))
        write(start, np.stack([prepared(examples, row, contract) for row in rows]))

    said = time.monotonic()
    starts = range(0, len(examples), _CHUNK)
    pool = ThreadPoolExecutor(threads, "decode")
    try:
        for start, _ in zip(starts, pool.map(work, starts), strict=True):
            if time.monotonic() - said > _SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                log.info("Prepared %s of %s pictures", f"{start + _CHUNK:,}", f"{len(examples):,}")
    finally:
        pool.shutdown(cancel_futures=True)
