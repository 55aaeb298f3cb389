"""People who go through the seven emotions while time passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from emotion.data.drawing import facs, people
from emotion.data.drawing.scene import BOX_SIDE, Figure, Light, Pose, background, box, centred, draw
from emotion.faces.images import Box, Image
from emotion.faces.labels import EMOTIONS


@dataclass(frozen=True)
class Shown:
    """What one face in one frame of :func:`moments` shows."""

    person: int  #: which of the video's people, from the left
    emotion: int  #: index into :data:`emotion.faces.labels.EMOTIONS`; between two emotions, the nearer one
    strength: float  #: 1 while the emotion is held, lower while it comes and goes, 0.5 at the change
    box: Box  #: where the frontal Haar cascade should find the face


@dataclass(frozen=True)
class Moment:
    """The truth about one frame of :func:`moments`: seconds from its start, and its faces."""

    time: float
    faces: tuple[Shown, ...]


def moments(
    *, seconds: float, fps: float, size: tuple[int, int], seed: int, persons: int
) -> Iterator[tuple[Image, Moment]]:
    """The frames of a video and their truth, one by one."""
    width, height = size
    rng = np.random.default_rng([seed, width, height])
    scene = background(rng, width, height)
    side = min(0.46 * height, 0.8 * width / persons * 0.5)
    actors = [_actor(rng, person) for person in range(persons)]
    count = round(seconds * fps)
    for n in range(count):
        figures, shown = [], []
        for person, actor in enumerate(actors):
            expression, emotion, strength = actor.at(n / count)
            figure = Figure(actor.identity, expression, actor.pose(n / fps, side / BOX_SIDE))
            middle = width * (person + 0.5 + 0.05 * np.sin(0.9 * n / fps + actor.phase)) / persons
            figure = centred(figure, middle, height * (0.5 + 0.015 * np.sin(1.3 * n / fps + actor.phase)))
            figures.append(figure)
            shown.append(Shown(person, emotion, strength, box(figure)))
        image = draw(scene, figures, Light(grain=3.0, blur=0.5), 7919 * n + seed)
        yield image, Moment(n / fps, tuple(shown))


@dataclass(frozen=True)
class _Actor:
    """One person of a video, with the order in which the emotions come and how the head sways."""

    identity: people.Identity
    order: tuple[int, ...]
    phase: float

    def pose(self, t: float, scale: float) -> Pose:
        sway = np.sin(np.array([0.7, 1.1, 0.8]) * t + self.phase * np.array([1, 2, 3]))
        return Pose(0, 0, scale, *(sway * (7, 3, 4)))

    def at(self, share: float) -> tuple[facs.Expression, int, float]:
        """Expression, emotion and strength when this share of the video has passed."""
        place = share * len(self.order)
        now = min(int(place), len(self.order) - 1)
        into = place - now
        other = now + (1 if into > 0.5 else -1)
        here = self._peak(now)
        if not 0 <= other < len(self.order):
            return here, self.order[now], 1.0
        # An expression is held for half of its time and takes a quarter at each end to change.
        near = min(1.0, min(into, 1 - into) / 0.25)
        strength = 0.5 + 0.5 * near * near * (3 - 2 * near) if near < 1 else 1.0
        return facs.mix(self._peak(other), here, strength), self.order[now], strength

    def _peak(self, step: int) -> facs.Expression:
        emotion = self.order[step]
        # Full strength is for a still; people in motion stay below it, and the cascade finds them more often.
        return facs.mix(facs.Expression(), facs.PROTOTYPES[EMOTIONS[emotion]][0], 0.85)


def _actor(rng: np.random.Generator, person: int) -> _Actor:
    identity = people.sample(rng, tone=int(rng.integers(0, 5)) + 4 * (person % 2))
    identity = replace(
        identity, clothes=people.CLOTHES[(person * 3 + int(rng.integers(3))) % len(people.CLOTHES)][::-1]
    )
    return _Actor(identity, tuple(int(e) for e in rng.permutation(len(EMOTIONS))), float(rng.uniform(0, 6)))
