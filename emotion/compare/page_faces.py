"""The part of the comparison's page that shows pictures: those on which the best two entries disagree most."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import cv2

from emotion.compare import disagreements, pictures
from emotion.compare.board import Board, Entry
from emotion.compare.disagreements import Answer, Disagreement
from emotion.compare.predictions import Predictions
from emotion.faces import images
from emotion.faces.images import Image

_LARGEST = 192  # pixels a side: larger pictures are shrunk, or the page would grow by megabytes
_LONGEST_NAME = 20
_SMALL = 96  # below this, pixels are shown as squares


@dataclass(frozen=True)
class Shown:
    """The section as HTML, and how many pictures are in it."""

    text: str
    count: int


def section(board: Board, first: Predictions, second: Predictions, most: int) -> Shown:
    """Who is right where the best two entries differ, and pictures of it.

    Args:
        board: With two entries or more.
        first: The best entry's answers.
        second: Those of the next.
        most: Pictures in both directions together; 0 shows none.
    """
    one, other = board.entries[:2]
    names = _names(one, other)
    text = _tally(one, other, names, disagreements.tally(first, second))
    if most <= 0:
        return Shown(f"{text}<p>No pictures are shown, as asked for (<code>pictures=0</code>).</p>", 0)
    sides = disagreements.most(first, second, (most + 1) // 2)
    wanted = [d for side in sides for d in side]
    if not wanted:
        return Shown(f"{text}<p>They give the same answer on every picture.</p>", 0)
    found, reasons = pictures.find((one, other), {d.hash for d in wanted})
    if not found:
        return Shown(f"{text}<p>{_absent(len(wanted), len(wanted), reasons)}</p>", 0)
    for nearer, side in zip(names, sides, strict=True):
        cards = [_card(board, d, found[d.hash], names) for d in side if d.hash in found]
        if cards:
            text += f"<h4>Where {escape(nearer)} is nearer to the label</h4>"
            text += f'<ul class="faces">{"".join(cards)}</ul>'
    missing = sum(d.hash not in found for d in wanted)
    if missing:
        text += f'<p class="faint">{_absent(missing, len(wanted), reasons)}</p>'
    return Shown(text, len(wanted) - missing)


def _names(one: Entry, other: Entry) -> tuple[str, str]:
    """What the two are called beside a picture, where there is little room."""
    if max(len(one.name), len(other.name)) <= _LONGEST_NAME:
        return one.name, other.name
    return "the best", "the second"


def _tally(one: Entry, other: Entry, names: tuple[str, str], counts: tuple[int, int, int, int]) -> str:
    both, first, second, neither = counts
    total = sum(counts)
    by = ", by the mean of their seeds' probabilities" if max(len(one.runs), len(other.runs)) > 1 else ""
    who = ""
    if names != (one.name, other.name):
        who = f"<p>The best is <b>{escape(one.name)}</b>, the second <b>{escape(other.name)}</b>.</p>"
    return (
        f"{who}<p>Of {total:,} pictures{by}, both have {both:,} right and neither has {neither:,}. "
        f"Only {escape(names[0])} has {first:,} right, only {escape(names[1])} {second:,}.</p>"
    )


def _absent(missing: int, total: int, reasons: Sequence[str]) -> str:
    how_many = "The pictures are" if missing == total else f"{missing} of {total} pictures are"
    because = " ".join(f"{escape(reason)}." for reason in reasons) or "Their pixels are no longer in the data."
    return f"{how_many} not shown: they are not to be had from the data that the runs name. {because}"


def _card(board: Board, d: Disagreement, image: Image, names: tuple[str, str]) -> str:
    label = escape(board.labels[d.label])
    answers = "".join(
        f"<dt>{escape(name)}</dt><dd>{_answer(board, answer, d.label)}</dd>"
        for name, answer in zip(names, (d.first, d.second), strict=True)
    )
    smooth = ' class="smooth"' if max(image.shape[:2]) >= _SMALL else ""
    return (
        f'<li><img{smooth} alt="Picture labelled {label}" src="data:image/png;base64,{_encoded(image)}">'
        f"<dl><dt>label</dt><dd>{label}</dd>{answers}</dl></li>"
    )


def _answer(board: Board, answer: Answer, label: int) -> str:
    text = f"{escape(board.labels[answer.emotion])} {_percent(answer.confidence)}"
    if answer.emotion != label:
        text += f" ✗<small>{escape(board.labels[label])} {_percent(answer.truth)}</small>"
        return text
    return f"{text} ✓"


def _percent(share: float) -> str:
    return "&lt;1 %" if 0 < share < 0.005 else "&gt;99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def _encoded(image: Image) -> str:
    longer = max(image.shape[:2])
    if longer > _LARGEST:
        height, width = (max(1, round(side * _LARGEST / longer)) for side in image.shape[:2])
        image = images.resize(image, height, width, "area")
    done, data = cv2.imencode(".png", image)
    assert done
    return base64.b64encode(data.tobytes()).decode()
