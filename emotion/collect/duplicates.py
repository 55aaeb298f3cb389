"""The crops that are known already: which of them a new image equals or looks like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from emotion.data import similar


@dataclass
class Entry:
    """A crop that is known.

    Attributes:
        file: ``<emotion>/<name>.png``.
        decision: ``kept``, ``quarantined`` or ``rejected`` (by the user), as it is now.
        reviewed: The user's decision: ``accepted``, ``rejected`` or None.
        key: The candidate that it was cut from.
    """

    file: str
    decision: str
    reviewed: str | None = None
    key: str = ""

    @property
    def emotion(self) -> str:
        return self.file.partition("/")[0]


class HashTable:
    """Perceptual hashes that grow; each query is compared with all of them. One thread at a time.

    A hundred thousand take some 2 MB and under a millisecond per query.
    """

    def __init__(self) -> None:
        self._hashes, self._count = np.empty((1024, 2), np.uint64), 0

    def add(self, hashes: tuple[int, int]) -> None:
        """Add an image's two hashes as the next row."""
        if self._count == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[self._count] = hashes
        self._count += 1

    def near(self, hashes: tuple[int, int]) -> Iterator[int]:
        """The rows whose two hashes both differ in at most :data:`emotion.data.similar.DISTANCE` bits."""
        bits = np.bitwise_count(self._hashes[: self._count] ^ np.array(hashes, np.uint64))
        yield from map(int, np.flatnonzero((bits <= similar.DISTANCE).all(axis=1)))


class KnownCrops:
    """The crops that are known, by file, pixels, source file and perceptual hashes. One thread at a time."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._by_sha256: dict[str, list[Entry]] = {}
        self._by_pixels: dict[bytes, list[Entry]] = {}
        self._hashes, self._rows = HashTable(), list[Entry]()

    def add(self, entry: Entry, sha256: str | None, pixels: bytes | None, hashes: tuple[int, int] | None) -> None:
        """Remember a crop, by those of its hashes that are known."""
        self.entries[entry.file] = entry
        if sha256:
            self._by_sha256.setdefault(sha256, []).append(entry)
        if pixels:
            self._by_pixels.setdefault(pixels, []).append(entry)
        if hashes:
            self._hashes.add(hashes)
            self._rows.append(entry)

    def of_file(self, sha256: str | None) -> list[Entry]:
        """The crops that were cut from a file of these bytes."""
        return list(self._by_sha256.get(sha256 or "", ()))

    def like(self, pixels: bytes, hashes: Iterable[tuple[int, int]]) -> list[Entry]:
        """The crops that equal this one, or look like it by one of its pairs of hashes."""
        rows = (row for pair in hashes for row in self._hashes.near(pair))
        entries = [*self._by_pixels.get(pixels, ()), *(self._rows[row] for row in rows)]
        return list({entry.file: entry for entry in entries}.values())
