"""The record of a collected dataset: ``<root>/manifest.jsonl``, one line for every candidate, kept or not.

A line says what an image was, where it came from, and what was decided about it and why. A person's review is a line
of its own, ``{"event": "review", ...}``, and the latest one wins. Lines are only ever appended.

A crop's ``file`` is ``<emotion>/<name>.png``, whatever was decided: kept ones lie there under the root, all others
under ``<root>/.quarantine``.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from emotion.base import guarded
from emotion.base.errors import UserError
from emotion.data.examples import Examples
from emotion.data.manifest_lines import (
    ACCEPTED,
    FOUND_AGAIN,
    KEPT,
    QUARANTINED,
    REJECTED,
    Record,
    fault,
    is_place,
)
from emotion.faces.labels import EMOTIONS

__all__ = ["ACCEPTED", "FOUND_AGAIN", "KEPT", "NAME", "QUARANTINE", "QUARANTINED", "REJECTED", "Manifest", "Record",
           "current", "is_place", "now", "origins", "reviewed", "unreviewed", "with_origins"]  # fmt: skip

NAME = "manifest.jsonl"
QUARANTINE = ".quarantine"
#: Bytes of a manifest, a million lines and more.
LARGEST = 1 << 30


class Manifest:
    """A manifest that is open for reading and appending; several threads of one process may share it.

    >>> manifest = Manifest.open(Path("data/faces"))
    >>> manifest.append({"key": "...", "decision": "rejected", "reason": "no face"})
    >>> sum(record["decision"] == "kept" for record in manifest.records())
    """

    def __init__(self, path: Path, lines: list[Record]) -> None:
        self._path, self._lines, self._lock = path, lines, threading.Lock()

    @classmethod
    def open(cls, root: Path) -> Manifest:
        """Read ``<root>/manifest.jsonl``, and cut off what a killed process left of its last line.

        Raises:
            UserError: A line before the last is damaged, the file is another program's, or it cannot be read or
            repaired.
        """
        path = root / NAME
        lines, torn = _read(path)
        records = _checked(path, lines or ([None] if _is_foreign(torn) else []))
        for number, record in enumerate(records, start=1):
            if "event" not in record and not {"emotion", "label_source"} <= record.keys():
                raise UserError(f"{path}: line {number} is damaged, without emotion or label_source; remove that line")
        try:
            if torn:
                with path.open("rb+") as file:
                    file.truncate(path.stat().st_size - len(torn))
                    os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"{path}: its last line is torn and cannot be cut off ({error.strerror})") from None
        return cls(path, records)

    def append(self, *records: Record) -> None:
        """Add lines; they are on disk when this returns.

        Raises:
            UserError: They cannot be written.
        """
        with self._lock:
            try:
                _append(self._path, b"".join(map(_line, records)))
            except OSError as error:
                message = f"{self._path}: cannot be written ({error.strerror}); make room and start again"
                raise UserError(message) from None
            self._lines += records

    def lines(self) -> list[Record]:
        """All lines, reviews included, in order."""
        with self._lock:
            return list(self._lines)

    def records(self) -> list[Record]:
        """The latest record of each candidate (of each of its faces), with ``decision`` as it stands after reviews.

        A review adds ``reviewed``: ``accepted`` or ``rejected``.
        """
        return current(self.lines())


def current(lines: list[Record]) -> list[Record]:
    """See :meth:`Manifest.records`."""
    latest: dict[tuple[str, int], Record] = {}
    by_file: dict[str, tuple[str, int]] = {}
    for line in lines:
        if "event" not in line:
            at = line["key"], line.get("face", 0)
            latest[at] = dict(line)
            if line.get("file"):
                by_file[line["file"]] = at
        elif line["event"] == "review" and line.get("file") in by_file:
            record = latest[by_file[line["file"]]]
            record["reviewed"] = line["decision"]
            record["decision"] = KEPT if line["decision"] == ACCEPTED else REJECTED
            record["reason"] = line.get("reason")
        elif line["event"] == "quarantine" and line.get("file") in by_file:
            latest[by_file[line["file"]]] |= {"decision": QUARANTINED, "reason": line.get("reason")}
    return list(latest.values())


def unreviewed(root: Path) -> frozenset[str]:
    """The files, ``<emotion>/<name>``, whose label is only that of a query, and which was not reviewed.

    Raises:
        UserError: The manifest is damaged. Where there is none, or another program's, nothing is unreviewed.
    """
    return frozenset(
        record["file"]
        for record in current(_collected(root))
        if record["decision"] == KEPT and record.get("label_source") == "query" and "reviewed" not in record
    )


def origins(root: Path) -> dict[str, str]:
    """File, ``<emotion>/<name>``, of each image that shares its origin with others -> a text that names the origin.

    That is a film, a session in front of a camera, or a photo with several faces. An image that a person has moved to
    another emotion's folder keeps its origin.

    Raises:
        UserError: The manifest is damaged. Where there is none, or another program's, nothing is known.
    """
    by_file = {r["file"]: _origin(r) for r in current(_collected(root)) if r.get("file")}
    if not by_file:
        return {}
    by_name = {Path(file).name: origin for file, origin in by_file.items()}
    files = [f"{e}/{path.name}" for e in EMOTIONS for path in sorted((root / e).glob("*.png")) if path.name in by_name]
    origin_of = {file: by_file.get(file, by_name[Path(file).name]) for file in files}
    count = Counter(origin_of.values())
    return {file: origin for file, origin in origin_of.items() if count[origin] > 1}


def reviewed(root: Path, examples: Examples) -> np.ndarray[Any, Any] | None:
    """bool ``[N]``: images whose label is more than a search engine's answer; None where nothing was collected."""
    names = unreviewed(root)
    if not names:
        return None
    paths = {str(root.absolute() / name) for name in names}
    return np.array([str(path) not in paths for path in examples.paths], np.bool_)  # type: ignore[union-attr]


def with_origins(root: Path, parts: Mapping[str, Examples]) -> dict[str, Examples]:
    """The same images with their :attr:`Examples.origin`, where several come from one film, photo or session."""
    origin_of = {str(root.absolute() / name): origin for name, origin in origins(root).items()}
    if not origin_of:
        return dict(parts)
    return {
        split: replace(examples, origin=np.array([origin_of.get(str(p), "") for p in examples.paths], np.str_))  # type: ignore[union-attr]
        for split, examples in parts.items()
    }


def _origin(record: Record) -> str:
    if record.get("source") in ("video", "camera"):  # <film>#<frame>, <session>#<frame>
        return str(record["key"]).rpartition("#")[0]
    return str(record.get("sha256") or record["key"])  # one photo may have several addresses


def now() -> str:
    """The time as records give it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _append(path: Path, data: bytes) -> None:
    """Append to a file and wait for the disk; an error leaves the file as it was."""
    with path.open("ab") as file:
        before = file.tell()
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise


def _line(record: Record) -> bytes:
    # ASCII, as a title may hold halves of characters that UTF-8 has nothing for.
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def _collected(root: Path) -> list[Record]:
    """The lines of a dataset's manifest; none where the file is another program's."""
    lines, _ = _read(root / NAME)
    return _checked(root / NAME, lines) if any(lines) else []


def _read(path: Path) -> tuple[list[Record | None], bytes]:
    """The whole lines of a manifest, None for each that is no record, and what is left of a torn last one."""
    if not os.path.lexists(path):
        return [], b""
    data = guarded.content(path, LARGEST)
    whole = data.rfind(b"\n") + 1
    return [_record(line) for line in data[:whole].splitlines()], data[whole:]


def _record(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    ours = isinstance(record, dict) and ("event" in record or {"key", "decision"} <= set(record))
    return record if ours else None


def _is_foreign(torn: bytes) -> bool:
    """Whether the only line of a file, which does not end, was begun by another program."""
    if not torn.startswith(b"{"):
        return bool(torn)
    try:
        json.loads(torn)
    except (ValueError, RecursionError):
        return False
    return _record(torn) is None


def _checked(path: Path, lines: list[Record | None]) -> list[Record]:
    if lines and not any(lines):
        raise UserError(f"{path}: another program's file. Move it away, or set root=... to another folder")
    for number, record in enumerate(lines, start=1):
        if record is None:
            raise UserError(
                f"{path}: line {number} is damaged, not a record. Restore the file, or remove that line: its candidate "
                f"is then checked again"
            )
        if (wrong := fault(record)) is not None:
            raise UserError(
                f"{path}: line {number}: {wrong}; nothing was changed. Restore the file, or remove that line: its "
                f"candidate is then checked again"
            )
    return [record for record in lines if record is not None]
