"""Prepared images, fetched by row: decoded once into memory or a file, or each time they are needed.

Every image is read in colour and goes through :func:`emotion.faces.images.prepare`, as a frame of live video does.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

from emotion.base import files
from emotion.base.errors import UserError
from emotion.data.examples import Examples
from emotion.faces import images
from emotion.faces.contract import Contract
from emotion.faces.formats import UnreadableImageError
from emotion.faces.images import Image

log = logging.getLogger(__name__)

Images = np.ndarray[Any, np.dtype[np.uint8]]
#: Takes the row that a chunk starts at and its images, uint8 ``[B, H, W, C]``; several threads may call it.
Write = Callable[[int, Images], None]
Shape = tuple[int, int, int, int]
Rows = np.ndarray[Any, np.dtype[np.int64]]

_MAGIC = b"emotion pictures 1"  # part of a file's name: raise it when prepare() changes
_ALIGNMENT = 64  # bytes; what TensorFlow asks of memory that it does not copy
_CHUNK = 64  # images that one thread prepares at a time
_SECONDS_BETWEEN_LINES = 15.0


class Store(ABC):
    """Images of one split by row number.

    Attributes:
        shape: ``(height, width, channels)`` of every image.
        failure: The error of :meth:`fetch` inside a dataset, whose own error hides it; see :func:`failing`.
    """

    def __init__(self, count: int, shape: tuple[int, int, int]) -> None:
        self._count = count
        self.shape = shape
        self.failure: UserError | None = None

    def __len__(self) -> int:
        return self._count

    @abstractmethod
    def read(self, rows: Rows) -> Images:
        """The images at these rows, uint8 ``[B, H, W, C]``; a UserError where a file can no longer be read."""

    def fetch(self, rows: tf.Tensor) -> tf.Tensor:
        """The same inside ``tf.data``: int64 ``[B]`` to uint8 ``[B, H, W, C]``."""
        fetched = tf.numpy_function(self._remember_failure, [rows], tf.uint8, stateful=False)
        return tf.ensure_shape(fetched, (*rows.shape, *self.shape))

    def _remember_failure(self, rows: Rows) -> Images:
        try:
            return self.read(rows)
        except UserError as error:
            self.failure = error
            raise


class MemoryStore(Store):
    """All images in one array, gathered without Python."""

    def __init__(self, array: Images) -> None:
        super().__init__(len(array), array.shape[1:])
        self._array = array
        # tf.constant would hold the images twice. DLPack shares the array's memory.
        self._tensor = tf.experimental.dlpack.from_dlpack(array.__dlpack__()) if len(array) else None

    def read(self, rows: Rows) -> Images:
        return self._array[rows]

    def fetch(self, rows: tf.Tensor) -> tf.Tensor:
        return super().fetch(rows) if self._tensor is None else tf.gather(self._tensor, rows)


class DiskStore(Store):
    """All images in one .npy file.

    Read with ``pread``: pages of a memory map would count as the process's own memory, up to the whole file.
    """

    def __init__(self, path: Path, count: int, shape: tuple[int, int, int]) -> None:
        super().__init__(count, shape)
        self._path = path
        self._offset = len(header((count, *shape)))
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def read(self, rows: Rows) -> Images:
        batch = np.empty((len(rows), *self.shape), np.uint8)
        size = int(np.prod(self.shape))
        for image, row in zip(batch.reshape(len(rows), size), rows.tolist(), strict=True):
            if not 0 <= row < len(self):
                raise IndexError(f"row {row} of {len(self)}")
            if os.preadv(self._file, [image.data], self._offset + row * size) != size:
                raise UserError(f"{self._path}: was cut short while it was in use. Delete it and start again")
        return batch


class SourceStore(Store):
    """Stores nothing: images are read, decoded and prepared each time they are requested."""

    def __init__(self, examples: Examples, contract: Contract, threads: int) -> None:
        super().__init__(len(examples), contract.shape)
        self._examples, self._contract = examples, contract
        self._pool = ThreadPoolExecutor(threads, "decode")
        weakref.finalize(self, self._pool.shutdown, wait=False)

    def read(self, rows: Rows) -> Images:
        batch = np.empty((len(rows), *self.shape), np.uint8)

        def prepare(i: int) -> None:
            batch[i] = prepared(self._examples, int(rows[i]), self._contract)

        for _ in self._pool.map(prepare, range(len(rows))):
            pass
        return batch


def open_store(
    examples: Examples,
    contract: Contract,
    *,
    cache: str,
    cache_dir: str | Path,
    key: str = "pictures",
    threads: int | None = None,
) -> Store:
    """Make a split's images available by row.

    Args:
        cache: ``memory`` prepares everything now and keeps it; ``disk`` does so in a file that later runs use again;
            ``none`` keeps nothing and prepares again in every epoch.
        cache_dir: Folder for ``disk``; ``~`` is the home folder.
        key: Start of that file's name, for people; see :func:`path_for`.
        threads: How many decode at once; None is one per core, at most 8.

    Raises:
        UserError: An image can no longer be read, or the memory or disk is too small or not writable.
    """
    threads = threads or min(8, os.cpu_count() or 1)
    if cache == "none":
        return SourceStore(examples, contract, threads)
    if cache == "memory":
        return _memory_store(examples, contract, threads)
    if cache != "disk":
        raise UserError(f"dataset.cache: '{cache}' is not one of memory, disk, none")
    path = path_for(examples, contract, Path(cache_dir).expanduser(), key)
    shape = len(examples), *contract.shape
    if not is_complete(path, shape):
        write(path, shape, lambda write: _prepare_all(examples, contract, threads, write))
    try:
        return DiskStore(path, len(examples), contract.shape)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}. Set dataset.cache_dir to a folder of your own") from None


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


def prepared(examples: Examples, row: int, contract: Contract) -> Image:
    """One image as the model gets it: uint8 ``[H, W, C]``; a UserError where its file can no longer be read."""
    try:
        return images.prepare(examples.image(row), contract)
    except UnreadableImageError as error:
        raise UserError(
            f"{examples.name_of(row)}: {error}, though it could be read when the dataset was scanned. "
            f"Put the file back or remove it, and start again"
        ) from None


def _prepare_all(examples: Examples, contract: Contract, threads: int, write: Write) -> None:
    """Prepare every image, in chunks; ``write`` is called in the threads that prepare them."""

    def work(start: int) -> None:
        rows = range(start, min(start + _CHUNK, len(examples)))
        write(start, np.stack([prepared(examples, row, contract) for row in rows]))

    last_line = time.monotonic()
    starts = range(0, len(examples), _CHUNK)
    pool = ThreadPoolExecutor(threads, "decode")
    try:
        for start, _ in zip(starts, pool.map(work, starts), strict=True):
            if time.monotonic() - last_line > _SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                log.info("Prepared %s of %s images", f"{start + _CHUNK:,}", f"{len(examples):,}")
    finally:
        pool.shutdown(cancel_futures=True)


def _memory_store(examples: Examples, contract: Contract, threads: int) -> MemoryStore:
    size = len(examples) * int(np.prod(contract.shape))
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > machine:
        raise UserError(
            f"dataset.cache=memory: {len(examples):,} images of {contract.height}x{contract.width}x"
            f"{contract.channels} take {size / 1e9:,.1f} GB, this machine has {machine / 1e9:,.1f} GB. "
            f"Set dataset.cache=disk or dataset.cache=none"
        )
    block = np.empty(size + _ALIGNMENT, np.uint8)
    start = -block.ctypes.data % _ALIGNMENT
    array = block[start : start + size].reshape(len(examples), *contract.shape)

    def copy(row: int, chunk: Images) -> None:
        array[row : row + len(chunk)] = chunk

    _prepare_all(examples, contract, threads, copy)
    return MemoryStore(array)


def path_for(examples: Examples, contract: Contract, folder: Path, key: str) -> Path:
    """Where a split's file is; its name is ``key`` and a digest of pixel hashes, contract and OpenCV's version."""
    prepared = (*contract.shape, contract.colour, contract.interpolation, cv2.__version__)
    digest = hashlib.sha256(_MAGIC + repr(prepared).encode())
    digest.update(np.ascontiguousarray(examples.hashes, "S16").tobytes())
    if examples.kept is not None and (examples.kept < 1).any():
        digest.update(examples.kept.tobytes())
    if examples.face is not None:
        digest.update(examples.face.tobytes())
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
    """Write the file of images of this shape; ``fill`` passes all of them to the function that is its argument."""
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
