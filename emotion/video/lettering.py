"""Text in DejaVu Sans, the font that Matplotlib brings: OpenCV's own font is hard to read when small."""

from __future__ import annotations

import importlib.util
import math
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from emotion.faces.images import Image
from emotion.video.palette import Colour

#: The least height of a capital letter that can be read, in pixels.
SMALLEST = 9
_CAPITAL = 0.729  # height of a capital letter in DejaVu, as a fraction of the font's size


@lru_cache(maxsize=32)
def _font(capital: int, bold: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    matplotlib = importlib.util.find_spec("matplotlib")  # its place, without the second that importing it takes
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.origin or "").parent / "mpl-data" / "fonts" / "ttf" / name if matplotlib else Path()
    size = capital / _CAPITAL
    return ImageFont.truetype(path, size) if path.is_file() else ImageFont.load_default(size)


@lru_cache(maxsize=512)
def letters(text: str, capital: int, bold: bool = False) -> Image:
    """One line of text as the share of ink in each pixel, uint8 ``[H, W]``, read-only.

    ``H`` depends on ``capital``, the height of a capital letter in pixels, alone: the baseline is ``ascent(capital)``
    rows down, and capitals reach ``capital`` rows above it.
    """
    font = _font(capital, bold)
    width = max(1, math.ceil(font.getlength(text)))
    canvas = Pillow.new("L", (width, ascent(capital) + math.ceil(0.33 * capital)))
    ImageDraw.Draw(canvas).text((0, ascent(capital)), text, fill=255, font=font, anchor="ls")
    bitmap = np.asarray(canvas)
    bitmap.flags.writeable = False
    return bitmap


def ascent(capital: int) -> int:
    """Rows above the baseline: room for accents on capitals."""
    return math.ceil(1.3 * capital)


def width(text: str, capital: int, bold: bool = False) -> int:
    """How many pixels wide a text is."""
    return int(letters(text, capital, bold).shape[1])


@lru_cache(maxsize=64)
def _shades(ink: Colour, background: Colour) -> Image:
    share = np.arange(256)[:, None] / 255
    return (np.asarray(background) * (1 - share) + np.asarray(ink) * share + 0.5).astype(np.uint8)


def write(
    scene: Image, text: str, at: tuple[int, int], capital: int, ink: Colour, background: Colour, bold: bool = False
) -> int:
    """Write one line on a plain background into uint8 ``[H, W, 3]``; what lies outside is cut.

    ``at`` is the left end of the baseline, ``capital`` the height of a capital letter. Returns the width in pixels.
    """
    bitmap = letters(text, capital, bold)
    # Only rows with ink are written: the room for accents may reach beyond the plate.
    above = min(ascent(capital), capital + max(1, capital // 6))
    left, top = at[0], at[1] - above
    part = bitmap[ascent(capital) - above :]
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(scene.shape[1], left + part.shape[1]), min(scene.shape[0], top + part.shape[0])
    if x0 < x1 and y0 < y1:
        scene[y0:y1, x0:x1] = _shades(ink, background).take(part[y0 - top : y1 - top, x0 - left : x1 - left], axis=0)
    return int(bitmap.shape[1])
