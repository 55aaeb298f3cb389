"""Procedurally drawn people whose faces move by action units.

    figure = Figure(people.sample(rng), facs.sample(rng, emotion, noise=1.0), Pose(x=320, y=200, scale=60))
    image = draw(background(rng, 640, 480), [figure], Light())

``facs`` holds expressions, ``people`` identities; ``portrait`` and ``adornment`` turn both into polygons (``shapes``),
``scene`` draws and lights them, and ``acting`` moves them through time.
"""

from emotion.data.drawing.facs import Expression, mix
from emotion.data.drawing.people import Identity
from emotion.data.drawing.scene import BOX_SIDE, Figure, Light, Pose, background, box, centred, draw

__all__ = [
    "BOX_SIDE",
    "Expression",
    "Figure",
    "Identity",
    "Light",
    "Pose",
    "background",
    "box",
    "centred",
    "draw",
    "mix",
]
