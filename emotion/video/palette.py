"""The colours of the emotions, and their names where there is little room."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from emotion.faces.labelled import UNCERTAIN
from emotion.faces.labels import CONTEMPT

Colour = tuple[int, int, int]

#: BGR, distinct in hue and in lightness; warm for the unpleasant, as people expect.
COLOURS: dict[str, Colour] = {
    "angry": (64, 64, 232),  # red
    "disgusted": (84, 170, 76),  # green
    "fearful": (208, 102, 170),  # purple
    "happy": (52, 208, 250),  # yellow
    "neutral": (220, 220, 220),  # light grey
    "sad": (226, 142, 62),  # blue
    "surprised": (50, 140, 250),  # orange
    CONTEMPT: (176, 172, 64),  # teal
    UNCERTAIN: (152, 146, 142),  # dark grey
}
#: Labels of another contract.
OTHER: Colour = (220, 220, 220)

DARK: Colour = (24, 20, 20)
LIGHT: Colour = (255, 255, 255)


def colour(label: str) -> Colour:
    """The BGR colour of a label."""
    return COLOURS.get(label, OTHER)


@lru_cache(maxsize=64)
def ink(background: Colour) -> Colour:
    """Dark or white, whichever has the higher contrast on a background (WCAG 2.2, relative luminance)."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in np.divide(background, 255)]
    luminance = float(np.dot(linear, (0.0722, 0.7152, 0.2126)))
    return DARK if luminance > 0.18 else LIGHT


def short(label: str) -> str:
    """A label in at most nine letters, which ours have."""
    return label if len(label) <= 9 else label[:8] + "…"
