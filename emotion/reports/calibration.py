"""The reliability diagram: how sure the model was against how often it was right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from emotion.metrics.scores import Reliability
from emotion.reports.canvas import BLUE, FAINT, Picture, figure_of, heading, picture_of


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
    low, high = _wilson(accuracy, counts)
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
            f"Expected calibration error {100 * ece:.1f} %. On the dashed line, a confidence of 70 %\n"
            f"means 70 % right. Bars: 95 % intervals. {counts.sum():,} images.",
        )
        return picture_of(figure, path)


def _wilson(share: NDArray[Any], n: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """95 % score interval of a proportion (Wilson 1927): sensible at 0, at 1 and for a handful of images."""
    z = 1.959964
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return centre - half, centre + half
