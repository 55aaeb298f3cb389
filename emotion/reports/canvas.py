"""What all plots are drawn on and with.

Matplotlib's object API on an Agg canvas, never pyplot: no display, no figures that pile up in a sweep. Colours are
Okabe and Ito's (2008), which colour-blind people can tell apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
INK, FAINT, LINE = "#222222", "#6f6f6f", "#d4d4d4"
DPI = 110
_STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a $ in a run's name is a $
    "axes.edgecolor": LINE,
    "axes.labelcolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


@contextmanager
def figure_of(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of this size in inches, in our style whatever the user's matplotlibrc says."""
    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        figure.clear()


def picture_of(figure: Figure, path: Path | None) -> Picture:
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    if path is not None:
        imsave(path, picture, format="png", dpi=DPI)  # print_png would draw, and lay out, a second time
    return picture


def heading(figure: Figure, title: str, note: str = "") -> None:
    """A bold title, and sentences below it in grey, flush left."""
    # The layout engine makes room for the title alone: blank lines in it keep the note's place.
    figure.suptitle(title + "\n" * (note.count("\n") + 2), x=0.012, ha="left", fontsize=11, fontweight="bold")
    if note:
        # Placed from the top edge in points, so that it sits under the title whatever the figure's height.
        figure.text(
            0.012,
            1 - 22 / 72 / figure.get_figheight(),
            note,
            ha="left",
            va="top",
            fontsize=9,
            color=FAINT,
            linespacing=1.35,
        )
