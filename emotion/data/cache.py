"""Prepared pictures, ready to be fetched by row: decoded once into memory or a file, or anew each time.

Every picture is read in colour and goes through :func:`emotion.faces.prepare`, just as a frame of live video does.
"""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from emotion.base.errors import UserError
from emotion.data import prepared_file, preparing
from emotion.data.examples import Examples
from emotion.data.preparing import Pictures
from emotion.faces.contract import Contract

Rows = np.ndarray[Any, np.dtype[np.int64]]

_ALIGNMENT = 64  # bytes; what TensorFlow asks of memory that it does not copy


class Store(ABC):
    """Pictures of one split by row number.

    Attributes:
        shape: ``(height, width, channels)`` of every picture.
        failure: What went wrong in :meth:`fetch` inside a dataset, whose own error buries it; see :func:`failing`.
    """

    def __init__(self, count: int, shape: tuple[int, int, int]) -> None:
        self._count = count
        self.shape = shape
        self.failure: UserError | None = None

    def __len__(self) -> int:
        return self._count

    @abstractmethod
    def read(self, rows: Rows) -> Pictures:
        """The pictures at these rows: uint8 ``[B, H, W, C]``.

        Raises:
            UserError: A file can no longer be read.
        """

    def fetch(self, rows: tf.Tensor) -> tf.Tensor:
        """The same inside ``tf.data``: int64 ``[B]`` to uint8 ``[B, H, W, C]``."""
        pictures = tf.numpy_function(self._remembering, [rows], tf.uint8, stateful=False)
        return tf.ensure_shape(pictures, (*rows.shape, *self.shape))

    def _remembering(self, rows: Rows) -> Pictures:
        try:
            return self.read(rows)
        except UserError as error:
            self.failure = error
            raise


class MemoryStore(Store):
    """All pictures in one array, gathered without Python."""

    def __init__(self, pictures: Pictures) -> None:
        super().__init__(len(pictures), pictures.shape[1:])
        self._pictures = pictures
        # tf.constant would hold the pictures twice. DLPack shares the array's memory.
        self._tensor = tf.experimental.dlpack.from_dlpack(pictures.__dlpack__()) if len(pictures) else None

    def read(self, rows: Rows) -> Pictures:
        return self._pictures[rows]

    def fetch(self, rows: tf.Tensor) -> tf.Tensor:
        if self._tensor is None:
            return super().fetch(rows)
        return tf.gather(self._tensor, rows)


class DiskStore(Store):
    """All pictures in one .npy file.

    Read with ``pread``: pages of a memory map would count as the process's own memory, up to the whole file.
    """

    def __init__(self, path: Path, count: int, shape: tuple[int, int, int]) -> None:
        super().__init__(count, shape)
        self._path = path
        self._offset = len(prepared_file.header(count, shape))
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def read(self, rows: Rows) -> Pictures:
        pictures = np.empty((len(rows), *self.shape), np.uint8)
        size = int(np.prod(self.shape))
        for picture, row in zip(pictures.reshape(len(rows), size), rows.tolist(), strict=True):
            if not 0 <= row < len(self):
                raise IndexError(f"row {row} of {len(self)}")
            if os.preadv(self._file, [picture.data], self._offset + row * size) != size:
                raise UserError(f"{self._path}: was cut short while it was in use. Delete it and start again")
        return pictures


class SourceStore(Store):
    """Nothing kept: files are read and decoded, pictures in memory prepared, each time they are asked for."""

    def __init__(self, examples: Examples, contract: Contract, threads: int) -> None:
        super().__init__(len(examples), contract.shape)
        self._examples = examples
        self._contract = contract
        self._pool = ThreadPoolExecutor(threads, "decode")
        weakref.finalize(self, self._pool.shutdown, wait=False)

    def read(self, rows: Rows) -> Pictures:
        pictures = np.empty((len(rows), *self.shape), np.uint8)

        def prepare(i: int) -> None:
            pictures[i] = preparing.prepared(self._examples, int(rows[i]), self._contract)

        for _ in self._pool.map(prepare, range(len(rows))):
            pass
        return pictures


def open_store(
    examples: Examples,
    contract: Contract,
    *,
    cache: str,
    cache_dir: str | Path,
    key: str = "pictures",
    threads: int | None = None,
) -> Store:
    """Make a split's pictures available by row.

    Args:
        examples: The split.
        contract: What the model eats.
        cache: ``memory`` prepares everything now and keeps it; ``disk`` does so in a file that later runs find again;
            ``none`` keeps nothing and works anew in every epoch.
        cache_dir: Folder for ``disk``; ``~`` is the home folder.
        key: Start of the file's name, for people. What identifies it is a digest over the pictures' hashes, the
            contract and OpenCV's version.
        threads: How many decode at once; None is one a core, at most 8.

    Raises:
        UserError: A picture can no longer be read, or the memory or disk is too small or not writable.
    """
    threads = threads or min(8, os.cpu_count() or 1)
    if cache == "none":
        return SourceStore(examples, contract, threads)
    if cache == "disk":
        return _disk_store(examples, contract, Path(cache_dir).expanduser(), key, threads)
    if cache == "memory":
        return _memory_store(examples, contract, threads)
    raise UserError(f"dataset.cache: '{cache}' is not one of memory, disk, none")


@contextmanager
def failing(*stores: Store) -> Iterator[None]:
    """Raise a store's own :class:`UserError` in place of the TensorFlow error that an unreadable file ends in."""
    try:
        yield
    except Exception:
        for store in stores:
            if store.failure is not None:
                raise store.failure from None
        raise


def _memory_store(examples: Examples, contract: Contract, threads: int) -> MemoryStore:
    size = len(examples) * int(np.prod(contract.shape))
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > machine:
        raise UserError(
            f"dataset.cache=memory: {len(examples):,} pictures of {contract.height}x{contract.width}x"
            f"{contract.channels} take {size / 1e9:,.1f} GB, this machine has {machine / 1e9:,.1f} GB. "
            f"Set dataset.cache=disk or dataset.cache=none"
        )
    block = np.empty(size + _ALIGNMENT, np.uint8)
    start = -block.ctypes.data % _ALIGNMENT
    pictures = block[start : start + size].reshape(len(examples), *contract.shape)

    def write(row: int, chunk: Pictures) -> None:
        pictures[row : row + len(chunk)] = chunk

    preparing.prepare_all(examples, contract, threads, write)
    return MemoryStore(pictures)


def _disk_store(examples: Examples, contract: Contract, folder: Path, key: str, threads: int) -> DiskStore:
    path = prepared_file.find_or_make(examples, contract, folder, key, threads)
    try:
        return DiskStore(path, len(examples), contract.shape)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}. Set dataset.cache_dir to a folder of your own") from None
