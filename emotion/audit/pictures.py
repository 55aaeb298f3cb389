"""All images of a dataset in one row, whatever split they are in and wherever they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emotion.data.examples import SPLITS, Splits
from emotion.data.folder import show
from emotion.faces.images import Image

Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class Pictures:
    """The images of all splits, in the order of :data:`emotion.data.examples.SPLITS`.

    Attributes:
        splits: Where they are.
        split: int8 ``[N]``, indices into SPLITS, as :class:`emotion.data.duplicates.Duplicates` has them.
        row: int64 ``[N]``, each image's row in its split.
        labels: int64 ``[N]``, indices into ``splits.labels``.
        hashes: ``S16`` ``[N]``, see :func:`emotion.data.fingerprint.hash_pixels`.
    """

    splits: Splits
    split: np.ndarray[Any, Any]
    row: Rows
    labels: Rows
    hashes: np.ndarray[Any, Any]

    @classmethod
    def of(cls, splits: Splits) -> Pictures:
        counts = [len(splits[s]) for s in SPLITS]
        return cls(
            splits=splits,
            split=np.repeat(np.arange(len(SPLITS), dtype=np.int8), counts),
            row=np.concatenate([np.arange(n, dtype=np.int64) for n in counts]),
            labels=np.concatenate([splits[s].labels for s in SPLITS]).astype(np.int64),
            hashes=np.concatenate([np.asarray(splits[s].hashes, "S16") for s in SPLITS]),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def split_of(self, i: int) -> str:
        return SPLITS[int(self.split[i])]

    def label_of(self, i: int) -> str:
        return self.splits.labels[int(self.labels[i])]

    def name_of(self, i: int) -> str:
        """Its path, or its row in a table, as one printable line."""
        return show(self.splits[self.split_of(i)].name_of(int(self.row[i])))

    def image(self, i: int) -> Image:
        """The image, uint8 grey ``[H, W]`` or BGR ``[H, W, 3]``.

        Raises:
            emotion.faces.formats.UnreadableImageError: Its file can no longer be read.
        """
        examples, row = self.splits[self.split_of(i)], int(self.row[i])
        return examples.image(row)
