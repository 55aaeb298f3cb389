"""A model's outputs for drawn faces in hard conditions: an image of its failures that shows no real face."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emotion.data import drawing
from emotion.data.drawing import Expression, Figure, Light, Pose, facs, people
from emotion.faces.images import Box, Image, crop, resize
from emotion.faces.labels import EMOTIONS
from emotion.inference.classifier import Classifier

#: Drawn people whose faces are counted; those of the first are shown.
PEOPLE = 5

_SIDE = 96  # of the box round a face, in pixels
_TILE = 84


@dataclass(frozen=True)
class Scene:
    """A drawn image and the box in which a detector would have framed its face."""

    image: Image
    box: Box


@dataclass(frozen=True)
class Condition:
    """A condition in which faces are hard to read: two or three words, its description in the card, what it changes."""

    name: str
    meaning: str
    pose: Callable[[Pose], Pose] = lambda pose: pose
    light: Callable[[Light], Light] = lambda light: light
    spoil: Callable[[Scene], Scene] = lambda scene: scene


@dataclass(frozen=True)
class Answer:
    """A model's output for one face: the face as a detector frames it, the drawn emotion, the predicted one."""

    face: Image
    drawn: str
    label: str
    confidence: float


@dataclass(frozen=True)
class Outcome:
    """A model's outputs under a condition.

    Attributes:
        condition: The condition.
        right: Number of faces classified as the drawn emotion.
        same: Number of faces classified as the same face in plain view is.
        faces: Number of faces.
        shown: The answers for the person who is shown.
    """

    condition: Condition
    right: int
    same: int
    faces: int
    shown: tuple[Answer, ...]


def _covered(scene: Scene) -> Scene:
    image, box = scene.image.copy(), scene.box
    top = round(box.y + 0.56 * box.height)
    cv2.rectangle(image, (box.x, top), (box.x + box.width, box.y + box.height + 8), (176, 160, 142), -1)
    return Scene(image, box)


def _tiny(scene: Scene) -> Scene:
    """The image at an eighth of its size, so that the face has 12 pixels."""
    height, width = (side // 8 for side in scene.image.shape[:2])
    box = Box(*(round(value / 8) for value in (scene.box.x, scene.box.y, scene.box.width, scene.box.height)))
    return Scene(resize(scene.image, height, width, "area"), box)


def _misframed(scene: Scene) -> Scene:
    box = scene.box
    return Scene(scene.image, replace(box, x=box.x + round(0.25 * box.width), y=box.y + round(0.2 * box.height)))


CONDITIONS = (
    Condition("in plain view", "upright, frontal, evenly lit"),
    Condition("tilted", "the head tilted by 35 degrees", pose=lambda pose: replace(pose, roll=35.0)),
    Condition("turned away", "the head turned by 40 degrees", pose=lambda pose: replace(pose, yaw=40.0)),
    Condition(
        "in the dark",
        "under a third of the light, with the sensor's noise that comes with it",
        light=lambda light: replace(light, brightness=0.3, grain=8.0),
    ),
    Condition("mouth covered", "the lower half of the face behind something", spoil=_covered),
    Condition("tiny", "12 pixels wide", spoil=_tiny),
    Condition("badly framed", "the face's box off by a quarter of its width", spoil=_misframed),
)


def measure(classifier: Classifier, number: int = PEOPLE) -> list[Outcome]:
    """Classify the same drawn faces under each of :data:`CONDITIONS`, prepared as live video does.

    Each of ``number`` people has a face of their own, the same in every condition, and shows those of the seven
    emotions that the model knows, as the first prototype of :mod:`emotion.data.drawing.facs`.
    """
    names = [name for name in classifier.contract.labels if name in EMOTIONS]
    outcomes: list[Outcome] = []
    plain: list[str] = []
    for condition in CONDITIONS:
        predicted, shown = [], []
        for person in range(number):
            for emotion in names:
                scene = _scene(person, facs.PROTOTYPES[emotion][0], condition)
                (face,) = classifier.label(scene.image, [scene.box])
                predicted.append(face.label)
                if person == 0:
                    cut = crop(scene.image, scene.box, 0.0)
                    shown.append(Answer(cut, emotion, face.label, face.confidence))
        plain = plain or predicted
        right = sum(a == b for a, b in zip(predicted, names * number, strict=True))
        same = sum(a == b for a, b in zip(predicted, plain, strict=True))
        outcomes.append(Outcome(condition, right, same, len(predicted), tuple(shown)))
    return outcomes


def _scene(person: int, expression: Expression, condition: Condition) -> Scene:
    rng = np.random.default_rng([41, person])
    appearance, side = people.sample(rng), 2 * _SIDE
    pose = condition.pose(Pose(0, 0, _SIDE / drawing.BOX_SIDE))
    figure = drawing.centred(Figure(appearance, expression, pose), side / 2, side / 2)
    light = condition.light(Light(grain=3.0, blur=0.5))
    image = drawing.draw(drawing.background(rng, side, side), [figure], light, person)
    return condition.spoil(Scene(image, drawing.box(figure)))


def draw(outcomes: Sequence[Outcome], path: Path, title: str) -> None:
    """Write a PNG with a row per condition and a column per emotion, below each face the model's answer."""
    from emotion.reports.canvas import DPI, FAINT, GREEN, INK, ORANGE, figure_of, picture_of

    left, top, step_x, step_y = 124, 74, _TILE + 22, _TILE + 26
    width, height = left + step_x * len(outcomes[0].shown) + 4, top + step_y * len(outcomes) + 4
    sheet = np.full((height, width, 3), 255, np.uint8)
    with figure_of(width / DPI, height / DPI) as figure:
        figure.set_layout_engine("none")

        def write(x: float, y: float, words: str, **style: Any) -> None:
            figure.text(x / width, 1 - y / height, words, va="top", **style)

        write(10, 8, title, fontsize=11, fontweight="bold", color=INK)
        legend = "drawn faces; below each the model's answer: green if it is what was drawn, else orange"
        write(10, 30, legend, fontsize=8.5, color=FAINT)
        for row, outcome in enumerate(outcomes):
            y = top + row * step_y
            write(10, y + 24, outcome.condition.name, fontsize=9, color=INK)
            write(10, y + 42, f"{outcome.right} of {outcome.faces} right", fontsize=8, color=FAINT)
            for column, answer in enumerate(outcome.shown):
                x = left + column * step_x
                sheet[y : y + _TILE, x : x + _TILE] = _tile(answer.face)[..., ::-1]
                colour = GREEN if answer.label == answer.drawn else ORANGE
                write(x, y + _TILE + 2, f"{answer.label} {100 * answer.confidence:.0f} %", fontsize=7.5, color=colour)
                if row == 0:
                    write(x, y - 18, answer.drawn, fontsize=9, color=INK)
        figure.figimage(sheet, zorder=-1)
        picture_of(figure, path)


def _tile(face: Image) -> Image:
    if face.shape[0] < _TILE // 2:  # so small that every pixel is shown
        return cv2.resize(face, (_TILE, _TILE), interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]
    return resize(face, _TILE, _TILE, "area")
