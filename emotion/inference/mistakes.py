"""The most confident mistakes of a network: which they are, a sheet of them, and where the network looked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emotion.data import cache
from emotion.data.examples import ALL, SPLITS, Examples, Splits
from emotion.inference.classifier import Classifier, predict
from emotion.inference.runtimes import Traced
from emotion.reports import sheet
from emotion.runs.predictions import Predictions

#: Beside the figures of the images they are of: a sheet of mistakes, and one of maps.
SHEET, EXPLAINED = "mistakes.png", "explained.png"
#: How many mistakes the sheet shows.
SHOWN = 24

Image = np.ndarray[Any, np.dtype[np.uint8]]
Map = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, eq=False)
class Mistake:
    """A wrong answer.

    Attributes:
        row: Of the image in its split.
        truth: Index of its label.
        answer: Index of the most probable label.
        confidence: Its probability.
        image: uint8 ``[H, W, C]``, as the network gets it.
    """

    row: int
    truth: int
    answer: int
    confidence: float
    image: Image


def find(examples: Examples, answered: Predictions, store: cache.Store, most: int) -> tuple[Mistake, ...]:
    """The most confident wrong answers, each image once, with the images as ``store`` has them prepared.

    Raises:
        UserError: An image can no longer be read.
    """
    answers, confidence = answered.probabilities.argmax(axis=1), answered.probabilities.max(axis=1)
    wrong = np.flatnonzero(answers != examples.labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    first = np.sort(np.unique(examples.hashes[wrong], return_index=True)[1])  # copies are answered alike
    rows = wrong[first][:most]
    if not len(rows):
        return ()
    with cache.failing(store):
        images = store.read(rows)
    return tuple(
        Mistake(int(row), int(examples.labels[row]), int(answers[row]), float(confidence[row]), image)
        for row, image in zip(rows, images, strict=True)
    )


def names(splits: Splits, split: str) -> np.ndarray[Any, Any]:
    """What a split's images are called, str ``[N]``: their files below the folder of all of them, or their rows."""
    given = {s: [splits[s].name_of(i) for i in range(len(splits[s]))] for s in SPLITS}
    folders = {os.path.dirname(name) for s in SPLITS if splits[s].paths is not None for name in given[s]} - {""}  # noqa: PTH120
    folder = f"{os.path.commonpath(folders)}{os.sep}" if folders else ""
    wanted = [s for s in SPLITS if len(splits[s])] if split == ALL else [split]
    return np.array([name.removeprefix(folder) for s in wanted for name in given[s]], np.str_)


def place(folder: Path, name: str, split: str, headline: str) -> Path:
    """Where a sheet of a split is: under its name alone for the split that the report is about."""
    return folder / (name if split == headline else name.replace(".png", f"_{split}.png"))


def draw(found: Sequence[Mistake], answered: Predictions, path: Path, labels: Sequence[str], title: str) -> None:
    """Write the sheet of a split's most confident mistakes."""
    wrong = int((answered.probabilities.argmax(axis=1) != answered.labels).sum())
    found = found[:SHOWN]
    sheet.captioned(
        [m.image for m in found], _captions(found, labels), path,
        title=f"{title}: most confident mistakes",
        note=f"{len(found)} of {wrong:,} wrong answers, the most confident first. Some of these labels may be wrong.",
    )  # fmt: skip


def _captions(found: Sequence[Mistake], labels: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"label: {labels[m.truth]}", f"said: {labels[m.answer]} {100 * m.confidence:.0f} %") for m in found]


# ------------------------------------------------------------------------------------------------ where it looked

#: The covered square's side, as a share of the image's, and how many steps it moves in its own side.
_PATCH, _STEPS = 1 / 6, 2


def occlusion(model: Traced | Classifier, image: Image, answer: int) -> Map:
    """How much the answer's probability falls where a square of the image is covered (Zeiler and Fergus 2014).

    The square is a sixth of the shorter side and filled with the image's mean colour. It moves by half its side, and
    each pixel gets the mean fall over the squares that covered it. This needs nothing but the model's answers, so
    exports are explained as checkpoints are.

    Args:
        model: Gives probabilities for uint8 ``[N, H, W, C]``.
        image: uint8 ``[H, W, C]``.
        answer: Index of the label that is explained.

    Returns:
        float32 ``[H, W]``, from -1 to 1; negative where covering makes the answer surer.
    """
    height, width = image.shape[:2]
    side = max(2, round(min(height, width) * _PATCH))
    step = max(1, side // _STEPS)
    fill = image.reshape(-1, image.shape[2]).mean(axis=0).round().astype(np.uint8)
    corners = [(y, x) for y in _starts(height, side, step) for x in _starts(width, side, step)]
    covered = np.repeat(image[None], len(corners) + 1, axis=0)
    for number, (y, x) in enumerate(corners, start=1):
        covered[number, y : y + side, x : x + side] = fill
    probability = predict(model, covered)[:, answer].astype(np.float64)
    total, times = np.zeros((height, width)), np.zeros((height, width))
    for (y, x), fall in zip(corners, probability[0] - probability[1:], strict=True):
        total[y : y + side, x : x + side] += fall
        times[y : y + side, x : x + side] += 1
    return (total / times).astype(np.float32)


def _starts(length: int, side: int, step: int) -> list[int]:
    """Where squares begin so that they cover everything: the last one ends at the border."""
    return [*range(0, length - side, step), length - side]


def draw_maps(found: Sequence[Mistake], maps: Sequence[Map], path: Path, labels: Sequence[str], title: str) -> None:
    """Write a sheet with the image of each mistake that has a map and, beside it, where the network looked."""
    found = found[: len(maps)]
    sheet.captioned(
        [m.image for m in found], _captions(found, labels), path, maps=maps,
        title=f"{title}: where the network looked",
        note="Orange: covering this place lowers the probability of the given answer; blue: it raises it.\n"
        "Each map has its own scale. A place that matters may still be a coincidence of this image.",
    )  # fmt: skip
