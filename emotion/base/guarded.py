"""Reading what may come from elsewhere: files of a size, depth and kind that can be expected, and nothing else.

Every file of a run, an export, a search or a dataset is read by these functions. They raise :class:`UserError` with the
file's name for whatever such a file may hold.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import UnionType
from typing import Any, NoReturn, get_args, get_origin

import numpy as np
import yaml
from numpy.lib import format as npy
from numpy.typing import NDArray

from emotion.base.errors import UserError

MB = 2**20
#: Largest file that holds JSON or YAML, levels in it, and parts of a YAML file.
LARGEST_TEXT, DEEPEST, MOST_PARTS = 16 * MB, 100, 200_000
#: Most bytes that the arrays of a file may take: this much, or so many times the file.
LARGEST_ARRAYS, EXPANSION = 256 * MB, 40

_IRREGULAR = "not a regular file, but a link, a folder, a FIFO or a device"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file without waiting for the other end of a FIFO, and to write, without following a link.

    Returns:
        Its descriptor.

    Raises:
        OSError: It is a folder, a device, a FIFO or a socket; or it cannot be opened.
    """
    safe = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    safe |= getattr(os, "O_NOFOLLOW", 0) if flags != os.O_RDONLY else 0
    try:
        descriptor = os.open(path, flags | safe, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):  # of a link, of a FIFO or a socket, of a folder
            raise OSError(error.errno, _IRREGULAR, str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ENXIO, _IRREGULAR, str(path))
    return descriptor


def check_regular(*paths: Path) -> None:
    """Refuse files that are there and are not regular; see :func:`open_regular`.

    Raises:
        UserError: Names the first.
    """
    for path in paths:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(path.lstat().st_mode):
                raise UserError(f"{path}: {_IRREGULAR}; remove it")


@contextmanager
def _named(path: Path, advice: str) -> Iterator[None]:
    """Turn what reading raises into a UserError with the file's name."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except zipfile.BadZipFile:
        raise UserError(f"{path}: damaged, not a whole archive; {advice}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); {advice}") from None
    except (ValueError, LookupError, RecursionError, MemoryError, EOFError, zlib.error, yaml.YAMLError, TypeError,
            AttributeError, NotImplementedError, RuntimeError) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: damaged ({reason}); {advice}") from None


def content(path: Path, largest: int = LARGEST_TEXT, advice: str = "restore it") -> bytes:
    """A regular file's bytes; UserError where it is missing, no regular file, or larger than expected."""
    with _named(path, advice), os.fdopen(open_regular(path), "rb") as file:
        data = file.read(min(largest, os.fstat(file.fileno()).st_size + MB) + 1)
        if len(data) > largest:
            raise ValueError(f"larger than {largest // MB} MB")
        return data


def read_json(path: Path, advice: str = "restore it") -> dict[str, Any]:
    """A file that holds a JSON object, without NaN, halves of characters, or too many levels.

    Raises:
        UserError: It is missing or holds something else.
    """
    data = content(path, advice=advice)
    with _named(path, advice):
        found = parse_json(data)
        if not isinstance(found, dict):
            raise TypeError(f"holds {type(found).__name__}, expected an object")
        return found


def parse_json(data: bytes | str) -> Any:
    """JSON text; ValueError or RecursionError where it is none, or holds what no file of ours does."""
    found = json.loads(data.decode() if isinstance(data, bytes) else data, parse_constant=_no_number)
    _check(found)
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")


def _check(value: Any, level: int = 0) -> None:
    """ValueError for what is too deep, numbers that no float holds, and text that UTF-8 cannot hold."""
    if level > DEEPEST:
        raise ValueError(f"more than {DEEPEST} levels deep")
    if isinstance(value, str):
        if not value.isascii():
            value.encode()
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check(key, level)
            _check(inner, level + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, level + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is not finite")
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("a number is out of range")


def read_yaml(path: Path, advice: str = "restore it", interpolations: bool = False) -> str:
    """The text of a file that holds plain YAML, for a parser: see :func:`check_yaml`.

    Raises:
        UserError: It is missing or holds something else.
    """
    data = content(path, largest=2 * MB, advice=advice)
    with _named(path, advice):
        return check_yaml(data.decode(), interpolations)


def check_yaml(text: str, interpolations: bool = False) -> str:
    """YAML text; ValueError or YAMLError where it has tags, aliases (ten may stand for gigabytes) or interpolations."""
    level = 0
    for parts, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        where = f"line {event.start_mark.line + 1} holds"
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"{where} an alias")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            raise ValueError(f"{where} the tag {event.tag}")
        if isinstance(event, yaml.ScalarEvent) and "${" in event.value and not interpolations:
            raise ValueError(f"{where} an interpolation, ${{...}}, which a saved config does not")
        if level > DEEPEST or parts > MOST_PARTS:
            raise ValueError(f"more than {DEEPEST} levels or {MOST_PARTS} parts")
    return text


def check_expansion(path: Path) -> None:
    """Refuse a YAML file, such as a user's own config, whose aliases stand for more than any config holds.

    Raises:
        UserError: It does, or it is not YAML.
    """
    data = content(path, advice="correct it")
    with _named(path, "correct it"):
        sizes: dict[str, int] = {}
        open_: list[tuple[str | None, int]] = [(None, 0)]
        for event in yaml.parse(data.decode(), Loader=_LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                open_.append((event.anchor, 1))
                continue
            if isinstance(event, yaml.CollectionEndEvent):
                anchor, size = open_.pop()
            elif isinstance(event, yaml.NodeEvent):
                anchor, size = event.anchor, sizes.get(event.anchor, 1) if isinstance(event, yaml.AliasEvent) else 1
            else:
                continue
            if anchor is not None:
                sizes[anchor] = size
            open_[-1] = open_[-1][0], open_[-1][1] + size
            if size > MOST_PARTS or len(open_) > DEEPEST:
                raise ValueError(f"more than {DEEPEST} levels or {MOST_PARTS:,} parts, its aliases counted")


def read_arrays(
    path: Path, names: Collection[str] | None = None, advice: str = "restore it"
) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file: numbers, truth values and texts, never Python objects.

    What the headers claim is added up before anything is allocated.

    Args:
        names: Those to read; None reads all.

    Raises:
        UserError: The file is missing or damaged, or claims more than such a file can hold.
    """
    with _named(path, advice), os.fdopen(open_regular(path), "rb") as file, zipfile.ZipFile(file) as archive:
        limit = max(LARGEST_ARRAYS, EXPANSION * os.fstat(file.fileno()).st_size)
        members = {m.filename.removesuffix(".npy"): m for m in archive.infolist() if m.filename.endswith(".npy")}
        wanted = {name: member for name, member in members.items() if names is None or name in names}
        arrays = {}
        for name, member in wanted.items():
            with archive.open(member) as stream:
                shape, order, dtype = _header(stream)
                size = math.prod(shape) * dtype.itemsize
                limit -= size
                if limit < 0 or size > member.file_size:
                    raise ValueError(f"its array {name} claims {size:,} bytes")
                data = stream.read(size)
                if len(data) != size or stream.read(1):
                    raise ValueError(f"its array {name} is not whole")
            arrays[name] = _array(data, shape, order, dtype)
        return arrays


def read_array(path: Path, advice: str = "delete it") -> NDArray[Any]:
    """The array of a ``.npy`` file; see :func:`read_arrays`."""
    with _named(path, advice), os.fdopen(open_regular(path), "rb") as file:
        shape, order, dtype = _header(file)
        size = math.prod(shape) * dtype.itemsize
        if file.tell() + size != os.fstat(file.fileno()).st_size:
            raise ValueError(f"it claims {size:,} bytes")
        return _array(file.read(size), shape, order, dtype)


def _array(data: bytes, shape: tuple[int, ...], order: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.frombuffer(bytearray(data), dtype).reshape(shape, order=order) if data else np.empty(shape, dtype)


def _header(stream: Any) -> tuple[tuple[int, ...], Any, np.dtype[Any]]:
    version = npy.read_magic(stream)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of NumPy's format")
    shape, fortran, dtype = read(stream)
    if dtype.hasobject or dtype.kind not in "biufSU" or any(n < 0 for n in shape):
        raise ValueError(f"holds {dtype}, expected numbers or text")
    return shape, "F" if fortran else "C", dtype


def misfit(written: Mapping[str, Any], hints: Mapping[str, Any], prefix: str = "") -> str | None:
    """The first value of a JSON object that is not of its key's type, in words; None where all are.

    Null stands for a value that is missing. Keys without a type are not looked at.
    """
    for key, value in written.items():
        if key in hints and value is not None and not fits(value, hints[key]):
            return f"{prefix}{key} is {str(value)[:60]!r}, expected {_words(hints[key])}"
    return None


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of JSON is one of a type: ``int``, ``float | None``, ``dict[str, Any]``, ``list[int]``, ..."""
    if hint is Any:
        return True
    if isinstance(hint, UnionType):
        return any(fits(value, option) for option in get_args(hint))
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is float:
        return type(value) in (int, float)
    if kind in (int, bool, str, type(None)):
        return type(value) is kind
    if not isinstance(value, kind):
        return False
    if isinstance(value, dict):
        return all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    return all(fits(v, inner[0]) for v in value) if inner else True


def _words(hint: Any) -> str:
    if isinstance(hint, UnionType):
        return " or ".join(map(_words, get_args(hint)))
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", dict: "an object"}
    return names.get(get_origin(hint) or hint, "null" if hint is type(None) else "a list")
