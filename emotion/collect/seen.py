"""What has been collected already: which pictures a new one equals or looks like, answered at once."""

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
        decision: ``kept``, ``quarantined`` or ``rejected`` (by a person), as it stands.
        reviewed: What a person said: ``accepted``, ``rejected`` or None.
        key: The candidate that it was cut from.
    """

    file: str
    decision: str
    reviewed: str | None = None
    key: str = ""

    @property
    def emotion(self) -> str:
        return self.file.partition("/")[0]


class Looks:
    """Perceptual hashes that grow; a question is answered by comparing with all of them.

    A hundred thousand take some 2 MB and under a millisecond a question. One thread at a time.
    """

    def __init__(self) -> None:
        self._hashes, self._count = np.empty((1024, 2), np.uint64), 0

    def add(self, look: tuple[int, int]) -> int:
        """Add one; return its row."""
        if self._count == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[self._count] = look
        self._count += 1
        return self._count - 1

    def near(self, look: tuple[int, int]) -> Iterator[int]:
        """The rows whose two hashes both differ in at most :data:`emotion.data.similar.DISTANCE` bits."""
        known = self._hashes[: self._count]
        bits = np.bitwise_count(known ^ np.array(look, np.uint64))
        yield from map(int, np.flatnonzero((bits <= similar.DISTANCE).all(axis=1)))


class Seen:
    """The crops that are known, by file, pixels, source file and look. One thread at a time."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._by_sha256: dict[str, list[Entry]] = {}
        self._by_pixels: dict[bytes, list[Entry]] = {}
        self._looks, self._rows = Looks(), []  # type: tuple[Looks, list[Entry]]

    def add(self, entry: Entry, sha256: str | None, pixels: bytes | None, look: tuple[int, int] | None) -> None:
        """Remember a crop; of its hashes those that are known."""
        self.entries[entry.file] = entry
        if sha256:
            self._by_sha256.setdefault(sha256, []).append(entry)
        if pixels:
            self._by_pixels.setdefault(pixels, []).append(entry)
        if look:
            self._looks.add(look)
            self._rows.append(entry)

    def of_file(self, sha256: str | None) -> list[Entry]:
        """The crops that were cut from a file of these bytes."""
        return list(self._by_sha256.get(sha256 or "", ()))

    def like(self, pixels: bytes, looks: Iterable[tuple[int, int]]) -> list[Entry]:
        """The crops that equal this one or look like it in one of its looks."""
        rows = (row for look in looks for row in self._looks.near(look))
        found = [*self._by_pixels.get(pixels, ()), *(self._rows[row] for row in rows)]
        return list({entry.file: entry for entry in found}.values())
