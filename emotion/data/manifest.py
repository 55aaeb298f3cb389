"""The record of a collected dataset: ``<root>/manifest.jsonl``, one line for every candidate, kept or not.

A line says what a picture was, where it came from, and what was decided about it and why. A person's review is a line
of its own, ``{"event": "review", ...}``, and the latest one wins. Lines are only ever appended.

A crop's ``file`` is ``<emotion>/<name>.png``, whatever was decided: kept ones lie there under the root, all others
under ``<root>/.quarantine``.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emotion.errors import UserError

NAME = "manifest.jsonl"
QUARANTINE = ".quarantine"
#: What can be decided about a candidate, and by a person about a picture.
KEPT, REJECTED, QUARANTINED = "kept", "rejected", "quarantined"
ACCEPTED = "accepted"

Record = dict[str, Any]


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
            UserError: A line before the last is damaged, or the file cannot be read or repaired.
        """
        path = root / NAME
        lines, whole = _read(path)
        try:
            if path.exists() and whole < path.stat().st_size:
                with path.open("rb+") as file:
                    file.truncate(whole)
                    os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"{path}: its last line is torn and cannot be cut off ({error.strerror})") from None
        return cls(path, lines)

    def append(self, *records: Record) -> None:
        """Add lines; they are on disk when this returns.

        Raises:
            UserError: They cannot be written.
        """
        with self._lock:
            try:
                with self._path.open("ab") as file:
                    before = file.tell()
                    try:
                        file.write(b"".join(_line(record) for record in records))
                        file.flush()
                        os.fsync(file.fileno())
                    except OSError:
                        file.truncate(before)
                        raise
            except OSError as error:
                raise UserError(
                    f"{self._path}: cannot be written ({error.strerror}); make room and start again"
                ) from None
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
    found: dict[tuple[str, int], Record] = {}
    by_file: dict[str, tuple[str, int]] = {}
    for line in lines:
        if "event" not in line:
            at = line["key"], line.get("face", 0)
            found[at] = dict(line)
            if line.get("file"):
                by_file[line["file"]] = at
        elif line["event"] == "review" and line.get("file") in by_file:
            record = found[by_file[line["file"]]]
            record["reviewed"] = line["decision"]
            record["decision"] = KEPT if line["decision"] == ACCEPTED else REJECTED
            record["reason"] = line.get("reason")
        elif line["event"] == "quarantine" and line.get("file") in by_file:
            found[by_file[line["file"]]] |= {"decision": QUARANTINED, "reason": line.get("reason")}
    return list(found.values())


def unreviewed(root: Path) -> frozenset[str]:
    """The files, ``<emotion>/<name>``, whose label is only that of a query, and which nobody has looked at.

    Raises:
        UserError: The manifest is damaged. Where there is none, nothing is unreviewed.
    """
    lines, _ = _read(root / NAME)
    return frozenset(
        record["file"]
        for record in current(lines)
        if record["decision"] == KEPT and record.get("label_source") == "query" and "reviewed" not in record
    )


def _line(record: Record) -> bytes:
    # ASCII, as a title may hold halves of characters that UTF-8 has nothing for.
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def _read(path: Path) -> tuple[list[Record], int]:
    """The whole lines of a manifest, and how many bytes they take."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    whole = data.rfind(b"\n") + 1
    return list(_parsed(path, data[:whole])), whole


def _parsed(path: Path, data: bytes) -> Iterator[Record]:
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or not ("event" in record or {"key", "decision"} <= set(record)):
            raise UserError(
                f"{path}: line {number} is damaged, not a record. Restore the file, or remove that line: its candidate "
                f"is then looked at again"
            )
        yield record
