"""The plots of an evaluation: reliability diagram and confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from emotion.faces.labels import EMOTIONS
from emotion.metrics.proportions import wilson
from emotion.metrics.scores import Reliability
from emotion.reports.canvas import BLUE, FAINT, INK, Picture, figure_of, heading, picture_of


def reliability(curve: Reliability, path: Path | None, *, ece: float, title: str = "Reliability") -> Picture:
    """Draw accuracy against confidence, with 95 % Wilson intervals and the share of images in each bin.

    Args:
        curve: What :func:`emotion.metrics.reliability_curve` returns.
        path: Where to write a PNG; None writes nothing.
        ece: Expected calibration error, a fraction, for the heading.
        title: Heading.
    """
    filled = curve.counts > 0
    confidence, accuracy, counts = curve.confidence[filled], curve.accuracy[filled], curve.counts[filled]
    low, high = wilson(accuracy * counts, counts)
    with figure_of(5.6, 6.2) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        upper.vlines(confidence, low, high, color=BLUE, alpha=0.35, linewidth=5)
        upper.plot(confidence, accuracy, color=BLUE, linewidth=1.2, marker="o", markersize=5, clip_on=False)
        upper.text(0.03, 0.96, "underconfident", color=FAINT, va="top")
        upper.text(0.97, 0.04, "overconfident", color=FAINT, ha="right")
        upper.set_ylim(0, 1)
        upper.set_ylabel("accuracy")
        lower.bar(
            curve.edges[:-1], curve.counts / curve.counts.sum(), np.diff(curve.edges), align="edge", color=BLUE,
            edgecolor="white", alpha=0.75,
        )  # fmt: skip
        lower.set_ylabel("images")
        lower.set_xlabel("confidence: the top emotion's probability")
        lower.set_xlim(0, 1)
        for axes in (upper, lower):
            axes.grid(True)
            axes.tick_params(length=0)
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        lower.yaxis.set_major_locator(MaxNLocator(3))
        lower.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        heading(
            figure,
            title,
            f"Expected calibration error {100 * ece:.1f} % ({len(curve.counts)} bins of equal width). On the dashed\n"
            f"line, a confidence of 70 % means 70 % right. Bars: 95 % intervals (Wilson). {counts.sum():,} images.",
        )
        return picture_of(figure, path)


_BLUES = LinearSegmentedColormap.from_list("blues", ["#ffffff", "#cfe3f0", "#6aaed1", "#0072b2", "#004c78"])


def confusion_matrix(
    matrix: Sequence[Sequence[int]] | NDArray[Any],
    path: Path | None,
    *,
    names: Sequence[str] = EMOTIONS,
    title: str = "Confusion matrix",
) -> Picture:
    """Draw the confusion matrix, coloured by the share of each true class.

    Args:
        matrix: int ``[C, C]``, true classes on rows, as in :func:`emotion.metrics.score`. Rows may be empty.
        path: Where to write a PNG; None writes nothing.
        names: The C classes.
        title: Heading.

    Raises:
        ValueError: ``matrix`` is not ``[C, C]``.
    """
    counts = np.asarray(matrix)
    classes = len(names)
    if counts.shape != (classes, classes):
        raise ValueError(f"matrix has shape {list(counts.shape)}, must be [{classes}, {classes}] as there are names")
    support = counts.sum(axis=1)
    shares = counts / np.maximum(support, 1)[:, None]
    side = max(0.78 * classes, 3.0)
    with figure_of(side + 1.7, side + 1.2) as figure:
        axes = figure.add_subplot()
        axes.imshow(shares, cmap=_BLUES, vmin=0, vmax=1, aspect="auto")
        for row in range(classes):
            for column in range(classes):
                _cell(axes, row, column, int(counts[row, column]), shares[row, column], support[row] == 0)
            axes.add_patch(Rectangle((row - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=INK, clip_on=False))
        axes.set_xticks(range(classes), names)
        axes.set_yticks(range(classes), [f"{name}\n{n:,}" for name, n in zip(names, support, strict=True)])
        axes.set_xticks(np.arange(classes + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(classes + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted emotion", labelpad=6)
        axes.set_ylabel("true emotion and number of images", labelpad=6)
        heading(figure, title, "Shares of each true emotion. Right answers are on the diagonal.")
        return picture_of(figure, path)


def _cell(axes: Axes, row: int, column: int, count: int, share: float, empty: bool) -> None:
    if empty:
        axes.text(column, row, "–", ha="center", va="center", color=FAINT)
        return
    colour = "white" if share > 0.65 else INK if count else FAINT  # whichever contrasts more with the cell
    percent = "<1 %" if 0 < share < 0.005 else ">99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"
    axes.text(column, row - 0.1, percent, ha="center", va="center", color=colour, fontsize=10)
    axes.text(column, row + 0.22, f"{count:,}", ha="center", va="center", color=colour, fontsize=7.5)
