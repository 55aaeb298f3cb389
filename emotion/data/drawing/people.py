"""Random people for the drawn faces: what stays the same while an expression comes and goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Colour = tuple[float, float, float]
RGB = np.ndarray[Any, np.dtype[np.float64]]

#: The ten tones of the Monk Skin Tone Scale (Ellis Monk, 2022, skintone.google, CC BY 4.0), as RGB.
SKIN_TONES = (
    (0xF6, 0xED, 0xE4), (0xF3, 0xE7, 0xDB), (0xF7, 0xEA, 0xD0), (0xEA, 0xDA, 0xBA), (0xD7, 0xBD, 0x96),
    (0xA0, 0x7E, 0x56), (0x82, 0x5C, 0x43), (0x60, 0x41, 0x34), (0x3A, 0x31, 0x2A), (0x29, 0x24, 0x20),
)  # fmt: skip

HAIR_STYLES = ("short", "parted", "fringe", "long", "bob", "curly", "afro", "bun", "receding", "buzz", "bald", "scarf")
_MASCULINE_STYLES = ("short", "parted", "short", "curly", "receding", "buzz", "bald")
_FEMININE_STYLES = ("long", "bob", "fringe", "parted", "curly", "bun", "long", "scarf")
BEARDS = ("none", "stubble", "full", "goatee", "moustache")

_HAIR_COLOURS = (
    (28, 24, 24), (48, 34, 28), (74, 48, 32), (110, 70, 40), (160, 112, 62), (184, 143, 88), (146, 62, 32),
)  # fmt: skip
_GREYS = ((120, 118, 116), (168, 166, 164), (206, 204, 200))
_EYE_COLOURS = ((58, 36, 24), (82, 54, 34), (110, 84, 48), (86, 104, 70), (84, 118, 148), (110, 130, 140))
_LIPSTICKS = ((176, 54, 62), (150, 40, 60), (196, 92, 92))
_FRAMES = ((34, 32, 34), (92, 60, 40), (60, 64, 84))
#: Colours of clothes and scarves, as RGB.
CLOTHES = (
    (54, 70, 92), (122, 52, 52), (70, 98, 84), (196, 180, 150), (58, 58, 62), (170, 112, 60), (104, 84, 124),
    (214, 214, 210), (46, 96, 116), (186, 132, 132),
)  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """One person. Lengths are in half face widths, colours are BGR from 0 to 255."""

    tone: int  #: index of the person's skin in :data:`SKIN_TONES`, 0 (light) to 9 (dark)
    skin: Colour  #: skin colour
    length: float  #: from the eyes' line down to the chin
    jaw: float  #: half width of the jaw
    eye_spacing: float  #: from the middle of the face to a pupil
    eye_size: float  #: 1 is average
    eye_tilt: float  #: how much higher an eye's outer corner is than its inner one
    iris: Colour  #: colour of the iris
    brow_height: float  #: of the brows' middle above the eyes' line
    brow_arch: float  #: how far a brow's middle rises above its ends
    brow_weight: float  #: thickness of the brows
    nose_width: float  #: 1 is average
    nose_length: float  #: from the eyes' line to the nose's base
    mouth_width: float  #: 1 is average
    lips: float  #: fullness of the lips; 1 is average
    lip_colour: Colour  #: colour of the lips
    rest: float  #: what the mouth's corners do at rest; positive is up
    hair: str  #: one of :data:`HAIR_STYLES`
    hair_colour: Colour  #: of the hair, or the scarf
    brow_colour: Colour  #: of brows and beard
    hairline: float  #: height of the hairline above the eyes' line
    parting: float  #: from -1 to 1: on which side the hair is parted
    beard: str  #: one of :data:`BEARDS`
    glasses: Colour | None  #: colour of the frame, or None
    age: float  #: 0 (young) to 1 (old): depth of the wrinkles
    freckles: bool  #: whether there are any
    clothes: Colour  #: colour of the clothes
    texture: int  #: seed of strands, freckles and other small things


def sample(rng: np.random.Generator, tone: int | None = None) -> Identity:
    """Draw a person; ``tone`` is an index into :data:`SKIN_TONES`, None draws all of them equally often."""
    tone = int(rng.integers(len(SKIN_TONES))) if tone is None else tone
    skin = _skin(rng, tone)
    masculine = bool(rng.random() < 0.5)
    age = float(rng.beta(1.2, 2.2))
    styles = _MASCULINE_STYLES if masculine else _FEMININE_STYLES
    hair = str(rng.choice((*styles, "afro" if tone > 4 else "fringe" if masculine else "bob")))
    hair_colour, brow_colour = _hair_colours(rng, tone, age, hair)
    brow_colour = brow_colour * min(1.0, 0.6 * skin.mean() / brow_colour.mean())  # brows stay darker than the skin
    lip = skin * np.array([0.86, 0.62, 0.62]) + np.array([14, 2, 8])
    if not masculine and rng.random() < 0.45:
        lip = 0.5 * lip + 0.5 * np.array(_pick(rng, _LIPSTICKS))
    return Identity(
        tone=tone,
        skin=_bgr(skin),
        length=rng.uniform(1.42, 1.55) + (0.05 if masculine else 0),
        jaw=rng.uniform(0.66, 0.76) + (0.06 if masculine else 0),
        eye_spacing=rng.uniform(0.41, 0.46),
        eye_size=rng.uniform(0.94, 1.08) + (0 if masculine else 0.07),
        eye_tilt=rng.normal(0.02, 0.02),
        iris=_bgr(_pick(rng, _EYE_COLOURS if tone < 4 else _EYE_COLOURS[:2])),
        brow_height=rng.uniform(0.255, 0.31) + (0 if masculine else 0.01),
        brow_arch=rng.uniform(0.02, 0.08),
        brow_weight=rng.uniform(0.07, 0.10) if masculine else rng.uniform(0.045, 0.07),
        nose_width=rng.uniform(0.85, 1.1) + 0.02 * tone,
        nose_length=rng.uniform(0.58, 0.66),
        mouth_width=rng.uniform(0.92, 1.1),
        lips=rng.uniform(0.78, 1.02) + 0.025 * tone + (0 if masculine else 0.08),
        lip_colour=_bgr(lip),
        rest=rng.normal(0.0, 0.012),
        hair=hair,
        hair_colour=_bgr(hair_colour),
        brow_colour=_bgr(brow_colour),
        hairline=rng.uniform(0.72, 0.84),
        parting=rng.uniform(-1, 1),
        beard=str(rng.choice(BEARDS, p=(0.46, 0.18, 0.16, 0.1, 0.1))) if masculine else "none",
        glasses=_bgr(_pick(rng, _FRAMES)) if rng.random() < 0.16 else None,
        age=age,
        freckles=bool(tone < 4 and rng.random() < 0.18),
        clothes=_bgr(_pick(rng, CLOTHES)),
        texture=int(rng.integers(2**31)),
    )


def _skin(rng: np.random.Generator, tone: int) -> RGB:
    neighbour = int(np.clip(tone + rng.choice((-1, 1)), 0, len(SKIN_TONES) - 1))
    share = rng.uniform(0, 0.4)
    skin: RGB = (1 - share) * np.array(SKIN_TONES[tone]) + share * np.array(SKIN_TONES[neighbour])
    if tone < 4:  # the scale's lightest tones are paper white: a little blood makes them skin
        skin = skin * np.array([0.98, 0.865, np.interp(tone, [1, 3], [0.80, 0.87])])
    else:
        skin = skin * np.array([1.02, 0.93, 0.86])
    # Its darkest are skin without light on it: a photographer would open the aperture.
    skin = skin * np.interp(tone, [6, 7, 8, 9], [1.04, 1.3, 1.7, 2.0]) + (np.array([13, -2, -6]) if tone > 7 else 0)
    return skin + rng.normal(0, 3, 3)


def _hair_colours(rng: np.random.Generator, tone: int, age: float, hair: str) -> tuple[RGB, RGB]:
    """Of the hair, or of the scarf, and of the brows."""
    colours: tuple[Colour, ...]
    if age > 0.5 and rng.random() < 0.6:
        colours = _GREYS if tone < 6 else _GREYS[:2]
    else:
        colours = _HAIR_COLOURS if tone < 4 else _HAIR_COLOURS[:4] if tone < 6 else _HAIR_COLOURS[:2]
    colour = np.array(_pick(rng, colours)) * rng.uniform(0.85, 1.15)
    if hair != "scarf":
        return colour, colour * 0.7
    brows = np.array(_pick(rng, _HAIR_COLOURS[:3])) * 0.8
    return np.array(_pick(rng, CLOTHES), float), brows


def _pick(rng: np.random.Generator, options: tuple[Colour, ...]) -> Colour:
    return options[int(rng.integers(len(options)))]


def _bgr(rgb: RGB | Colour) -> Colour:
    r, g, b = (float(np.clip(v, 0, 255)) for v in rgb)
    return b, g, r
