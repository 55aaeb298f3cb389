"""Facial expressions as action units, for the drawn faces.

An action unit (AU) is one visible movement of the face in Ekman and Friesen's Facial Action Coding System. The
combinations that stand for an emotion follow the prototypes of EMFACS: P. Ekman, W. V. Friesen, J. C. Hager, "Facial
Action Coding System: Investigator's Guide" (2002), table 10-2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from emotion.faces.labels import EMOTIONS

#: What an action unit, by its name in :class:`Expression`, contributes to a movement.
Weights = Mapping[str, float]


@dataclass(frozen=True)
class Expression:
    """Action units from 0 (absent) to 1 (as strong as it gets), and what goes with them."""

    au1: float = 0.0  #: inner brow raiser
    au2: float = 0.0  #: outer brow raiser
    au4: float = 0.0  #: brow lowerer: brows down and together
    au5: float = 0.0  #: upper lid raiser
    au6: float = 0.0  #: cheek raiser: cheeks up, crow's feet, narrower eyes
    au7: float = 0.0  #: lid tightener
    au9: float = 0.0  #: nose wrinkler
    au10: float = 0.0  #: upper lip raiser
    au12: float = 0.0  #: lip corner puller: the smile
    au15: float = 0.0  #: lip corner depressor
    au16: float = 0.0  #: lower lip depressor
    au17: float = 0.0  #: chin raiser: lower lip pushed up, chin dimpled
    au20: float = 0.0  #: lip stretcher: corners straight out
    au23: float = 0.0  #: lip tightener: lips thin and narrow
    au25: float = 0.0  #: lips part
    au26: float = 0.0  #: jaw drop
    au43: float = 0.0  #: eyes closed
    asymmetry: float = 0.0  #: from -1 to 1: how much stronger the image's right half of the face moves than its left
    gaze_x: float = 0.0  #: from -1 (the image's left) to 1 (its right)
    gaze_y: float = 0.0  #: from -1 (up) to 1 (down)

    def weighted(self, weights: Weights) -> float:
        """The sum of these units, each times its weight."""
        return sum(weight * float(getattr(self, unit)) for unit, weight in weights.items())


UNITS = tuple(f.name for f in fields(Expression) if f.name.startswith("au"))

#: The ways each emotion shows: EMFACS prototypes and their major variants, at full strength.
PROTOTYPES: dict[str, tuple[Expression, ...]] = {
    "angry": (
        Expression(au4=1.0, au5=0.55, au7=0.6, au23=0.9, au17=0.4),
        Expression(au4=1.0, au5=0.35, au7=0.8, au23=0.7, au10=0.2),
        Expression(au4=1.0, au5=0.5, au7=0.7, au10=0.45, au16=0.5, au23=0.3, au25=0.6, au26=0.12),
    ),
    "disgusted": (
        Expression(au9=1.0, au10=0.7, au17=0.7, au15=0.35, au4=0.35, au7=0.4),
        Expression(au9=0.9, au10=0.9, au25=0.45, au16=0.35, au4=0.3, au6=0.3, au7=0.3),
    ),
    "fearful": (
        Expression(au1=1.0, au2=0.5, au4=0.6, au5=0.9, au7=0.3, au20=0.9, au25=0.5),
        Expression(au1=1.0, au2=0.6, au4=0.6, au5=1.0, au20=0.7, au25=0.6, au26=0.3),
    ),
    "happy": (
        Expression(au6=0.8, au12=1.0, au25=0.7),
        Expression(au6=0.7, au12=0.9),
        Expression(au6=1.0, au12=1.0, au25=1.0, au26=0.25),
    ),
    "neutral": (Expression(),),
    "sad": (
        Expression(au1=0.9, au4=0.5, au15=0.9, au17=0.4, gaze_y=0.3),
        Expression(au1=0.8, au4=0.6, au15=0.7, au43=0.25, gaze_y=0.5),
        Expression(au1=0.8, au4=0.4, au6=0.2, au15=1.0, au17=0.7),
    ),
    "surprised": (
        Expression(au1=0.75, au2=0.85, au5=0.7, au25=0.4, au26=0.72),
        Expression(au1=0.85, au2=0.9, au5=0.6, au25=0.5, au26=0.55),
    ),
}


def mix(a: Expression, b: Expression, share: float) -> Expression:
    """The expression between two: ``a`` where ``share`` is 0, ``b`` where it is 1, linear in every unit."""
    return Expression(**{f.name: (1 - share) * getattr(a, f.name) + share * getattr(b, f.name) for f in fields(a)})


def sample(rng: np.random.Generator, emotion: int, noise: float) -> Expression:
    """Draw one person's momentary way of showing an emotion, an index into :data:`emotion.faces.labels.EMOTIONS`.

    Noise 0 shows a prototype near full strength; more noise allows weaker and less pure ones.
    """
    ways = PROTOTYPES[EMOTIONS[emotion]]
    shown = ways[int(rng.integers(len(ways)))]
    strength = 1.0 - min(0.9, 0.36 * noise) * float(rng.beta(1.3, 2.2))
    own, stray = rng.normal(1.0, 0.12 * min(noise, 1.5), len(UNITS)), rng.exponential(0.04 * noise, len(UNITS))
    pure = np.array([getattr(shown, name) for name in UNITS])
    stray[(rng.random(len(UNITS)) > 0.35) | np.isin(UNITS, ("au25", "au26")) & (pure == 0)] = 0
    values = np.clip(pure * strength * np.maximum(own, 0.3) + stray, 0, 1)
    gaze = rng.normal(0, 0.25 * noise, 2)
    return replace(
        shown,
        **dict(zip(UNITS, values.tolist(), strict=True)),
        asymmetry=float(np.clip(rng.normal(0, 0.18 * noise), -0.5, 0.5)),
        gaze_x=float(np.clip(gaze[0], -1, 1)),
        gaze_y=float(np.clip(shown.gaze_y + 0.5 * gaze[1], -1, 1)),
    )
