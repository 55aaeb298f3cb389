"""Plots as inline SVG for an HTML page: sharp at any size, and in the page's own colours, light or dark.

The page's style sheet gives the colours as CSS variables, see :data:`VARIABLES`.
"""

from __future__ import annotations

import html
import io
import re

import matplotlib
from matplotlib.figure import Figure

from emotion.reports.canvas import BLUE, FAINT, GREEN, INK, LINE, ORANGE

PURPLE, SKY, AMBER = "#cc79a7", "#56b4e9", "#e69f00"
#: One colour an entry, Okabe and Ito's (2008); from the seventh on they come again, dashed.
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
