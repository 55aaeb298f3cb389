"""What all plots are drawn on, as PNG or as inline SVG in the page's own colours, light or dark.

Matplotlib's object API on an Agg canvas, never pyplot: no display, no figures that pile up in a sweep. Colours are
Okabe and Ito's (2008), which colour-blind people can tell apart.
"""

from __future__ import annotations

import html
import io
import re
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
        top = 1 - 22 / 72 / figure.get_figheight()
        figure.text(0.012, top, note, ha="left", va="top", fontsize=9, color=FAINT, linespacing=1.35)


PURPLE, SKY, AMBER = "#cc79a7", "#56b4e9", "#e69f00"
#: One colour per entry, Okabe and Ito's (2008); from the seventh on they come again, dashed.
SERIES = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY)
PAPER = "#ffffff"

#: What stands for each colour in the SVG.
VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    LINE: "--line",
    PAPER: "--paper",
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES)},
}
# Verdana is as wide as DejaVu Sans, which the places of labels were computed with.
_FONT = "var(--plot-font, 'DejaVu Sans', Verdana, sans-serif)"


def svg_of(figure: Figure, key: str, alt: str) -> str:
    """A figure as an ``<svg>`` element without addresses of anything outside it.

    Args:
        figure: As :func:`emotion.reports.canvas.figure_of` gives it, drawn on.
        key: Starts every id in it: letters and digits, unique in its page.
        alt: What the plot shows, for those who cannot see it. Plain text.
    """
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        text = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    drawing = text.getvalue()
    box = re.search(r'viewBox="([^"]*)"', drawing)
    assert box is not None
    width = float(box[1].split()[2]) * 4 / 3  # points to CSS pixels
    body = drawing[drawing.index(">", box.end()) + 1 :]
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{key}-", body).replace("xlink:href", "href")
    body = body.replace("'DejaVu Sans'", _FONT)
    for colour, variable in VARIABLES.items():
        body = body.replace(f": {colour}", f": var({variable})")
    label = html.escape("".join(c if c.isprintable() else " " for c in alt))  # control characters are no XML
    return (
        f'<svg class="plot" role="img" aria-label="{label}" viewBox="{box[1]}" style="max-width:{width:.0f}px">{body}'
    )
