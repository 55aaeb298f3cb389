"""A split's prepared pictures in one .npy file, which later runs find again."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import cv2
import numpy as np

from emotion.base import files
from emotion.base.errors import UserError
from emotion.data import preparing
from emotion.data.examples import Examples
from emotion.faces.contract import Contract

_MAGIC = b"emotion pictures 1"  # part of a file's name: raise it when prepare() changes


def find_or_make(examples: Examples, contract: Contract, folder: Path, key: str, threads: int) -> Path:
    """The file of a split's pictures, made where it is missing or not whole.

    Args:
        examples: The split.
        contract: What the model eats.
        folder: Where the file is, made where it is missing.
        key: Start of the file's name, for people. What identifies it is a digest over the pictures' hashes, the
            contract and OpenCV's version.
        threads: How many pictures are decoded at once.

    Raises:
        UserError: A picture can no longer be read, or the disk is too small or not writable.
    """
    path = folder / f"{key}-{_digest(examples, contract)}.npy"
    if not _is_whole(path, len(examples), contract.shape):
        _write(path, examples, contract, threads)
    return path


def _digest(examples: Examples, contract: Contract) -> str:
    prepared = (*contract.shape, contract.colour, contract.interpolation, cv2.__version__)
    digest = hashlib.sha256(_MAGIC + repr(prepared).encode())
    digest.update(np.ascontiguousarray(examples.hashes, "S16").tobytes())
    return digest.hexdigest()[:24]


def header(count: int, shape: tuple[int, int, int]) -> bytes:
    """The first bytes of an .npy file (NumPy's format 1.0), padded so that the pictures start at a multiple of 64."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}).encode()
    padding = -(len(text) + 11) % 64
    text += b" " * padding + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _is_whole(path: Path, count: int, shape: tuple[int, int, int]) -> bool:
    start = header(count, shape)
    try:
        with path.open("rb") as file:
            return path.stat().st_size == len(start) + count * int(np.prod(shape)) and file.read(len(start)) == start
    except OSError:
        return False


def _write(path: Path, examples: Examples, contract: Contract, threads: int) -> None:
    start = header(len(examples), contract.shape)
    picture = int(np.prod(contract.shape))
    size = len(start) + len(examples) * picture
    try:
        with files.replacing_in_cache(path) as temporary, temporary.open("wb") as file:
            free = shutil.disk_usage(path.parent).free
            if size > free:
                raise UserError(
                    f"dataset.cache_dir: the pictures take {size / 1e9:,.1f} GB, {path.parent} has "
                    f"{free / 1e9:,.1f} GB free. Set dataset.cache_dir to a larger disk, or dataset.cache=none"
                )
            file.write(start)
            file.flush()
            preparing.prepare_all(
                examples,
                contract,
                threads,
                lambda row, chunk: _write_at(file.fileno(), chunk.tobytes(), len(start) + row * picture),
            )
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
