"""The audit as one HTML file that opens offline, with the images that its findings name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from emotion.audit.distributions import Distribution
from emotion.audit.documents import number
from emotion.audit.examine import Report
from emotion.audit.finding import Finding, Group
from emotion.audit.pictures import Pictures
from emotion.data.examples import SPLITS
from emotion.faces.formats import UnreadableImageError
from emotion.reports import html

_LARGEST = 128  # pixels, longer side
_SMALL = 64  # up to here pixels are shown as they are, in PNG
_JPEG_QUALITY = 85
_PER_GROUP = 6
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM, _TOP = 360, 150, 34, 6, 22, 8  # of a histogram and its margins


def write(path: Path, report: Report, pictures: int) -> None:
    """Write the page into an existing folder.

    ``pictures`` is the number of images, or groups of them, that each finding shows; 0 shows none.

    Raises:
        OSError: The folder cannot be written to.
    """
    chapters = {f.name: _chapters(report, f, pictures) for f in report.findings}
    html.write(
        path,
        Path(__file__).with_name("page.html"),
        title=f"Audit of {report.dataset}",
        report=report,
        labels=report.pictures.splits.labels,
        images=sum(
            len(group.pictures[:_PER_GROUP]) for parts in chapters.values() for _, groups in parts for group in groups
        ),
        chapters=chapters,
        # Doubtful labels are shown by class, with the number of each in its heading.
        left={f.name: len(f.groups) - pictures if f.name != "label_noise" else 0 for f in report.findings},
        per_group=_PER_GROUP,
        source=partial(_source, report.pictures),
        colours={
            split: f"var(--series-{i})"
            for i, split in enumerate(SPLITS)
            if any(split in d.shares for d in report.distributions)
        },
        charts=[_chart(distribution) for distribution in report.distributions],
        number=number,
    )


def _chapters(report: Report, finding: Finding, most: int) -> list[tuple[str, Sequence[Group]]]:
    """Titles and groups that a finding shows: the most doubtful labels of each class; of all else the first."""
    half = (most + 1) // 2
    chapters: list[tuple[str, Sequence[Group]]] = []
    plain = [g for g in finding.groups if not g.caption]
    captioned = [g for g in finding.groups if g.caption]
    if finding.name == "label_noise":
        for label, name in enumerate(report.pictures.splits.labels):
            groups = [g for g in finding.groups if report.pictures.labels[g.pictures[0]] == label]
            chapters.append((f"Labelled {name}: {len(groups):,} doubtful", groups[:half]))
    elif plain and captioned:
        chapters = [("", plain[:half]), (f"These {captioned[0].caption}", captioned[: most // 2])]
    else:
        chapters = [("", finding.groups[:most])]
    return [(title, groups) for title, groups in chapters if groups]


def _source(pictures: Pictures, i: int) -> tuple[str, bool, str]:
    """An image's data URI, whether it is shown smoothed, and why it cannot be read; that is empty for most."""
    try:
        image = pictures.image(i)
    except UnreadableImageError as error:
        return "", False, str(error)
    large = max(image.shape[:2]) > _SMALL
    return html.data_uri(image, _LARGEST, _JPEG_QUALITY if large else None), large, ""


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
