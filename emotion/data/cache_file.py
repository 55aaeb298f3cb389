"""The file of ``dataset.cache=disk``: a split's prepared images as one .npy file, which later runs use again."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emotion.base import files
from emotion.base.errors import UserError
from emotion.data.examples import Examples
from emotion.faces.contract import Contract

Images = np.ndarray[Any, np.dtype[np.uint8]]
#: Takes the row that a chunk starts at and its images, uint8 ``[B, H, W, C]``; several threads may call it.
Write = Callable[[int, Images], None]
Shape = tuple[int, int, int, int]

_MAGIC = b"emotion pictures 1"  # part of a file's name: raise it when prepare() changes


def path_for(examples: Examples, contract: Contract, folder: Path, key: str) -> Path:
    """Where a split's file is; its name is ``key`` and a digest of pixel hashes, contract and OpenCV's version."""
    prepared = (*contract.shape, contract.colour, contract.interpolation, cv2.__version__)
    digest = hashlib.sha256(_MAGIC + repr(prepared).encode())
    digest.update(np.ascontiguousarray(examples.hashes, "S16").tobytes())
    return folder / f"{key}-{digest.hexdigest()[:24]}.npy"


def header(shape: Shape) -> bytes:
    """The first bytes of an .npy file (NumPy's format 1.0), padded so that the images start at a multiple of 64."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode()
    padding = -(len(text) + 11) % 64
    text += b" " * padding + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def is_complete(path: Path, shape: Shape) -> bool:
    start = header(shape)
    try:
        with path.open("rb") as file:
            return path.stat().st_size == len(start) + int(np.prod(shape)) and file.read(len(start)) == start
    except OSError:
        return False


def write(path: Path, shape: Shape, fill: Callable[[Write], None]) -> None:
    """Write the file of images of this shape, ``[N, H, W, C]``; ``fill`` passes them all to the function it is given.

    Raises:
        UserError: The disk is too small or not writable.
    """
    start = header(shape)
    size, stride = len(start) + int(np.prod(shape)), int(np.prod(shape[1:]))
    try:
        with files.replacing_in_cache(path) as temporary, temporary.open("wb") as file:
            free = shutil.disk_usage(path.parent).free
            if size > free:
                raise UserError(
                    f"dataset.cache_dir: the images take {size / 1e9:,.1f} GB, {path.parent} has "
                    f"{free / 1e9:,.1f} GB free. Set dataset.cache_dir to a larger disk, or dataset.cache=none"
                )
            file.write(start)
            file.flush()
            fill(lambda row, chunk: _write_at(file.fileno(), chunk.tobytes(), len(start) + row * stride))
    except OSError as error:
        reason = f"{path.parent} is not a folder" if isinstance(error, FileExistsError) else error.strerror
        raise UserError(
            f"dataset.cache_dir: cannot write {path} ({reason}). "
            f"Set dataset.cache_dir to a folder that can be written, or dataset.cache=memory or none"
        ) from None


def _write_at(file: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written
