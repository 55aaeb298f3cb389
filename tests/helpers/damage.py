"""Ways to damage a run, a dataset or a file: each is a function of the folder that it changes."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Path], object]


def steps(*damages: Damage) -> Damage:
    return lambda folder: [damage(folder) for damage in damages]


def put(name: str, content: str | bytes = b"") -> Damage:
    """Put a file in the place of what is there."""

    def do(folder: Path) -> None:
        path = _free(folder / name)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return do


def noise(name: str, size: int) -> Damage:
    return put(name, random.Random(name).randbytes(size))


def fifo(name: str) -> Damage:
    return lambda folder: os.mkfifo(_free(folder / name))


def link(name: str, to: str) -> Damage:
    return lambda folder: _free(folder / name).symlink_to(to)


def directory(name: str) -> Damage:
    return lambda folder: _free(folder / name).mkdir()


def without(name: str) -> Damage:
    return lambda folder: _free(folder / name)


def copy(source: Path, name: str) -> Damage:
    return lambda folder: shutil.copyfile(source, _free(folder / name))


def _free(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return path


def cut(name: str, share: float) -> Damage:
    return lambda folder: put(name, (data := (folder / name).read_bytes())[: int(len(data) * share)])(folder)


def flipped(name: str, every: int, start: int) -> Damage:
    def do(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        for at in range(start, len(data), every):
            data[at] ^= 0x5A
        (folder / name).write_bytes(data)

    return do


def keys(name: str, **values: Any) -> Damage:
    """Give keys of a JSON file other values."""

    def do(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | values))

    return do


def text(name: str, pattern: str, by: str) -> Damage:
    """Replace the first match in a text file."""

    def do(folder: Path) -> None:
        before = (folder / name).read_text()
        assert re.search(pattern, before, re.M), (name, pattern)
        (folder / name).write_text(re.sub(pattern, lambda _: by, before, count=1, flags=re.M))

    return do


def archive(name: str, **members: str | bytes) -> Damage:
    """Put a zip archive; ``__`` stands for a dot in its members' names."""

    def do(folder: Path) -> None:
        with zipfile.ZipFile(_free(folder / name), "w", zipfile.ZIP_DEFLATED) as out:
            for member, content in members.items():
                out.writestr(member.replace("__", "."), content)

    return do


def claiming(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    """A ``.npy`` file whose header claims a shape, and which holds next to nothing."""
    head = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + b"\0" * 64


def png(name: str, width: int, height: int) -> Damage:
    """A PNG file whose header claims a size, and which holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(600))) + chunk(b"IEND", b"")
    return put(name, b"\x89PNG\r\n\x1a\n" + parts)
