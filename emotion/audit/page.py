"""The audit as one HTML file that opens offline, with the images that its findings name.

It looks like the comparison's page and shares its style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion.audit.distributions import Distribution
from emotion.audit.documents import number
from emotion.audit.finding import Finding, Group
from emotion.audit.pictures import Pictures
from emotion.audit.report import Report
from emotion.data.examples import SPLITS
from emotion.faces.images import UnreadableImageError
from emotion.reports import html

_LARGEST = 128  # pixels, longer side
_SMALL = 64  # up to here pixels are shown as they are, in PNG
_JPEG_QUALITY = 85
_PER_GROUP = 6
_LONGEST_NAME = 36
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM, _TOP = 360, 150, 34, 6, 22, 8  # of a histogram and its margins


@dataclass(frozen=True)
class _Shown:
    """An image with its caption; ``src`` is empty where it cannot be read, for the reason in ``fault``."""

    label: str
    split: str
    name: str
    short_name: str
    src: str = ""
    smooth: bool = False
    fault: str = ""


@dataclass(frozen=True)
class _Card:
    """A group of images side by side, and the text below them."""

    images: list[_Shown]
    text: str


@dataclass(frozen=True)
class _Section:
    """A finding as the page shows it: titled chapters of cards, and how many groups it does not show."""

    finding: Finding
    chapters: list[tuple[str, list[_Card]]]
    left: int


def write(path: Path, report: Report, pictures: int) -> None:
    """Write the page.

    Args:
        path: The file to write; its folder exists.
        report: What was found.
        pictures: How many images, or groups of images that belong together, each finding shows; 0 shows none.

    Raises:
        OSError: The folder cannot be written to.
    """
    sections = [_section(report, finding, pictures) for finding in report.findings if finding.count]
    html.write(
        path,
        Path(__file__).with_name("page.html"),
        title=f"Audit of {report.dataset}",
        report=report,
        labels=report.pictures.splits.labels,
        notes=report.pictures.splits.notes,
        total=len(report.pictures),
        images=sum(len(card.images) for section in sections for _, cards in section.chapters for card in cards),
        sections=sections,
        colours={
            split: f"var(--series-{i})"
            for i, split in enumerate(SPLITS)
            if any(split in d.shares for d in report.distributions)
        },
        charts=[_chart(distribution) for distribution in report.distributions],
        number=number,
    )


def _section(report: Report, finding: Finding, most: int) -> _Section:
    chapters = [
        (title, [_card(report.pictures, group) for group in groups])
        for title, groups in _chapters(report, finding, most)
    ]
    left = len(finding.groups) - most if finding.name != "label_noise" else 0
    return _Section(finding, [(title, cards) for title, cards in chapters if cards], left)


def _chapters(report: Report, finding: Finding, most: int) -> list[tuple[str, Sequence[Group]]]:
    """The groups that a finding shows: the most doubtful labels of each class; of all else the first."""
    half = (most + 1) // 2
    if finding.name == "label_noise":
        chapters: list[tuple[str, Sequence[Group]]] = []
        for label, name in enumerate(report.pictures.splits.labels):
            groups = [g for g in finding.groups if report.pictures.labels[g.pictures[0]] == label]
            chapters.append((f"Labelled {name}: {len(groups):,} doubtful", groups[:half]))
        return chapters
    plain = [g for g in finding.groups if not g.caption]
    captioned = [g for g in finding.groups if g.caption]
    if plain and captioned:
        return [("", plain[:half]), (f"These {captioned[0].caption}", captioned[: most // 2])]
    return [("", finding.groups[:most])]


def _card(pictures: Pictures, group: Group) -> _Card:
    more = len(group.pictures) - _PER_GROUP
    texts = [group.caption] if group.caption else []
    if more > 0:
        texts.append(f"and {more} more")
    return _Card([_shown(pictures, i) for i in group.pictures[:_PER_GROUP]], "; ".join(texts))


def _shown(pictures: Pictures, i: int) -> _Shown:
    name = pictures.name_of(i)
    short = name if len(name) <= _LONGEST_NAME else f"…{name[-_LONGEST_NAME:]}"
    caption = (pictures.label_of(i), pictures.split_of(i), name, short)
    try:
        image = pictures.image(i)
    except UnreadableImageError as error:
        return _Shown(*caption, fault=str(error))
    large = max(image.shape[:2]) > _SMALL
    return _Shown(*caption, src=html.data_uri(image, _LARGEST, _JPEG_QUALITY if large else None), smooth=large)


@dataclass(frozen=True)
class _Chart:
    """A histogram's line per split and its ticks, in the pixels of its SVG; one without lines has a single value."""

    title: str
    medians: list[tuple[str, str]]
    value: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    ticks: tuple[tuple[str, str, str], ...] = ()
    top: str = ""


def _chart(d: Distribution) -> _Chart:
    medians = [(split, _short(values[1])) for split, values in d.percentiles.items()]
    bins = len(d.edges) - 1
    if bins == 1:
        return _Chart(d.title, medians, value=_short(sum(d.edges) / 2))
    top = max(max(shares) for shares in d.shares.values())
    xs = [f"{_LEFT + (_WIDTH - _LEFT - _RIGHT) * edge / bins:.1f}" for edge in range(bins + 1)]

    def line(shares: Sequence[float]) -> str:
        ys = [f"{_TOP + (_HEIGHT - _BOTTOM - _TOP) * (1 - share / top):.1f}" for share in (*shares, 0.0)]
        steps = [f"{x},{y}" for i, y in enumerate(ys[:-1]) for x in xs[i : i + 2]]
        return " ".join([f"{xs[0]},{ys[-1]}", *steps, f"{xs[-1]},{ys[-1]}"])

    ticks = [
        (xs[i], "start" if i == 0 else "end" if i == bins else "middle", _short(d.edges[i]))
        for i in range(0, bins + 1, bins // 4)
    ]
    lines = tuple((split, line(shares)) for split, shares in d.shares.items())
    return _Chart(d.title, medians, lines=lines, ticks=tuple(ticks), top=f"{100 * top:.0f} %")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"
