"""The images of the comparison's page: those on which the best two entries disagree most."""

from __future__ import annotations

from dataclasses import dataclass

from emotion.compare import disagreements, pictures
from emotion.compare.board import Board
from emotion.compare.disagreements import Disagreement
from emotion.compare.predictions import Predictions
from emotion.reports import html

_LARGEST = 192  # pixels, longer side
_LONGEST_NAME = 20
_SMALL = 96  # below this, pixels are shown as squares


@dataclass(frozen=True)
class Disagreeing:
    """How often the best two entries are right, and images on which they differ.

    Attributes:
        names: What the two are called beside an image, where there is little room.
        tally: Images that both have right, only the first, only the second, and neither.
        most: How many images were requested.
        wanted: How many there are of these.
        sides: Images on which the first is nearer to the label, and those on which the second is.
        sources: Each image's data URI, by its hash, and whether it is shown smoothed.
        reasons: Why images are missing.
    """

    names: tuple[str, str]
    tally: tuple[int, int, int, int]
    most: int
    wanted: int
    sides: tuple[list[Disagreement], list[Disagreement]]
    sources: dict[bytes, tuple[str, bool]]
    reasons: list[str]

    @property
    def count(self) -> int:
        return sum(map(len, self.sides))


def disagreeing(board: Board, first: Predictions, second: Predictions, most: int) -> Disagreeing:
    """Find the images on which the best two entries disagree most.

    Args:
        board: With two entries or more.
        first: The best entry's answers.
        second: Those of the next.
        most: Images in both directions together; 0 shows none.
    """
    best, next_best = board.entries[:2]
    short = max(len(best.name), len(next_best.name)) <= _LONGEST_NAME
    names = (best.name, next_best.name) if short else ("the best", "the second")
    sides = disagreements.most(first, second, (most + 1) // 2) if most > 0 else ([], [])
    wanted = {d.hash for side in sides for d in side}
    images, reasons = pictures.find((best, next_best), wanted) if wanted else ({}, [])
    nearer, further = ([d for d in side if d.hash in images] for side in sides)
    sources = {
        hash_: (html.data_uri(image, _LARGEST), max(image.shape[:2]) >= _SMALL) for hash_, image in images.items()
    }
    tally = disagreements.tally(first, second)
    return Disagreeing(names, tally, most, sum(map(len, sides)), (nearer, further), sources, reasons)
