"""Drawn faces: the dataset that comes with the tool, for learning it and for tests. They are not real.

    python -m emotion.train dataset=synthetic dataset.per_emotion=300

Every image is drawn in a frame of its own and cut out where the Haar cascade would frame the face, so that a model
trained on these crops gets the same in video.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emotion.base.errors import UserError
from emotion.data import drawing
from emotion.data.drawing import Figure, Light, Pose, acting, facs, people
from emotion.data.duplicates import drop
from emotion.data.examples import SPLITS, Examples, Splits
from emotion.data.fingerprint import fingerprint, hash_pixels
from emotion.faces import images as faces
from emotion.faces.images import Box, Image
from emotion.faces.labels import EMOTIONS

# Random streams; each is mixed with the seed and a number, so that no image depends on another.
_PERSON, _PICTURE, _FRAME = 1, 2, 3


def load(cfg: Any) -> Splits:
    """Draw the dataset that ``conf/dataset/synthetic.yaml`` describes.

    Person ``k`` shows each of the seven emotions once, in the images ``7 k`` to ``7 k + 6``. A whole person goes into
    one split, so the splits are balanced and no identity is in two of them. An image depends on ``split_seed``,
    ``image_size``, ``noise`` and its number, and on nothing else.

    Returns:
        Pictures as uint8 BGR ``[N, image_size, image_size, 3]``, person by person.

    Raises:
        UserError: Too few images for three splits.
    """
    splits, dropped = drop({name: draw_split(cfg, name) for name in SPLITS}, cfg)
    notes = (
        f"drawn faces of {cfg.per_emotion} people, not real ones; no person is in two splits",
        *([f"limited to {cfg.limit} images per split"] if cfg.limit is not None else []),
        *dropped,
    )
    names = dict.fromkeys(("validation", "test"), f"people of their own, seed {cfg.split_seed}")
    marks = fingerprint("synthetic", splits) | {"splits": names, "official": []}
    return Splits(splits["train"], splits["validation"], splits["test"], fingerprint=marks, notes=notes)


def draw_split(cfg: Any, name: str) -> Examples:
    """One split of :func:`load`, without the cost of the others."""
    persons = _divide(cfg)[name]
    return _draw(cfg, [k * len(EMOTIONS) + e for k in persons for e in range(len(EMOTIONS))][: cfg.limit])


def _divide(cfg: Any) -> dict[str, list[int]]:
    """Which people are in which split; the same whatever ``per_emotion`` is, but for a few at the boundaries."""
    count = int(cfg.per_emotion)
    test, validation = (max(1, round(count * f)) for f in (cfg.test_fraction, cfg.validation_fraction))
    if count - test - validation < 1:
        raise UserError(
            f"dataset.per_emotion: {count} images leave none to train on with dataset.validation_fraction="
            f"{cfg.validation_fraction} and dataset.test_fraction={cfg.test_fraction}. Raise it or lower those"
        )
    # Multiples of the golden ratio spread evenly over [0, 1) however many there are.
    order = sorted(range(count), key=lambda k: (k + 1) * 0.6180339887498949 % 1)
    parts = {"test": order[:test], "validation": order[test : test + validation], "train": order[test + validation :]}
    return {name: sorted(parts[name]) for name in SPLITS}


def _draw(cfg: Any, numbers: list[int]) -> Examples:
    images = np.stack([picture(cfg.split_seed, i, cfg.image_size, cfg.noise) for i in numbers])
    return Examples(
        labels=np.array(numbers, np.int64) % len(EMOTIONS),
        hashes=np.array([hash_pixels(image) for image in images], "S16"),
        images=images,
    )


def picture(seed: int, number: int, size: int, noise: float) -> Image:
    """Draw one face crop, uint8 BGR ``[size, size, 3]``: person ``number // 7`` shows emotion ``number % 7``.

    ``seed`` is the dataset's ``split_seed``; ``noise`` is how far pose, lighting, blur, grain and expression vary.
    """
    person, emotion = divmod(number, len(EMOTIONS))
    rng = np.random.default_rng([_PICTURE, seed, number])
    side = max(80.0, 1.25 * size)
    figure = _figure(rng, _person(seed, person), emotion, side, noise)
    whole = round(1.3 * side)
    figure = drawing.centred(figure, whole / 2, whole / 2)
    light = _light(rng, side, noise)
    image = drawing.draw(drawing.background(rng, whole, whole), [figure], light, int(rng.integers(2**31)))
    return faces.resize(faces.crop(image, _jitter(rng, drawing.box(figure), noise), 0.0), size, size, "area")


@lru_cache(maxsize=64)
def _person(seed: int, number: int) -> people.Identity:
    return people.sample(np.random.default_rng([_PERSON, seed, number]))


def _figure(rng: np.random.Generator, person: people.Identity, emotion: int, side: float, noise: float) -> Figure:
    """A person in the origin whose face is framed by a box of about this side."""
    yaw, pitch, roll = (rng.normal(0, (8, 5, 5)) * noise).clip(-20, 20)
    return Figure(person, facs.sample(rng, emotion, noise), Pose(0, 0, side / drawing.BOX_SIDE, yaw, pitch, roll))


def _light(rng: np.random.Generator, side: float, noise: float) -> Light:
    return Light(
        x=float(np.clip(rng.normal(0, 0.5 * noise), -1.2, 1.2)),
        y=float(np.clip(-0.4 + rng.normal(0, 0.3 * noise), -1, 0.6)),
        brightness=float(np.exp(np.clip(rng.normal(0, 0.13 * noise), -0.4, 0.3))),
        gamma=float(np.exp(np.clip(rng.normal(0, 0.15 * noise), -0.5, 0.5))),
        warmth=float(np.clip(rng.normal(0, 0.4 * noise), -1, 1)),
        blur=float(rng.uniform(0, 0.016 * noise)) * side,
        grain=float(rng.uniform(1, 12)) * noise,
    )


def _jitter(rng: np.random.Generator, box: Box, noise: float) -> Box:
    """The box as a detector would frame it, which is never quite the same."""
    side = box.width * float(np.exp(np.clip(rng.normal(0, 0.045), -0.1, 0.1) * noise))
    dx, dy = rng.normal(0, 0.022, 2).clip(-0.05, 0.05) * noise * box.width
    left, top = box.x + (box.width - side) / 2 + dx, box.y + (box.height - side) / 2 + dy
    return Box(round(left), round(top), round(side), round(side))


def frame(seed: int, emotion: int, size: tuple[int, int] = (640, 480), noise: float = 1.0) -> tuple[Image, Box]:
    """Draw a whole image of one person; ``size`` is width and height in pixels, ``noise`` as in :func:`picture`.

    Returns:
        uint8 BGR ``[H, W, 3]`` and the box that the frontal Haar cascade should find.
    """
    width, height = size
    rng = np.random.default_rng([_FRAME, seed, emotion])
    person = people.sample(np.random.default_rng([_FRAME, seed]))
    side = min(width, height) * float(rng.uniform(0.25, 0.5))
    figure = _figure(rng, person, emotion, side, noise)
    x, y = rng.uniform(0.8 * side, width - 0.8 * side), rng.uniform(0.85 * side, max(0.9 * side, height - 0.75 * side))
    figure = drawing.centred(figure, x, y)
    image = drawing.draw(
        drawing.background(rng, width, height), [figure], _light(rng, side, noise), int(rng.integers(2**31))
    )
    return image, drawing.box(figure)


def video(
    path: Path,
    *,
    seconds: float = 12.0,
    fps: float = 24.0,
    size: tuple[int, int] = (640, 360),
    seed: int = 0,
    persons: int = 2,
) -> list[acting.Moment]:
    """Write a video of people who go through all seven emotions; returns the truth about each frame.

    Args:
        path: The file, ``.mp4``; its folder must exist.
        seconds: Length.
        fps: Frames per second.
        size: Width and height in pixels.
        seed: Determines people, movement and background.
        persons: 1 or 2.

    Raises:
        UserError: The file cannot be written, or this OpenCV has no encoder for it.
    """
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    if not writer.isOpened():
        raise UserError(
            f"{path}: cannot write a video there. Check that the folder is there and the name ends in .mp4, and that "
            f"OpenCV {cv2.__version__} has FFmpeg"
        )
    truth = []
    try:
        for image, moment in acting.moments(seconds=seconds, fps=fps, size=size, seed=seed, persons=persons):
            writer.write(image)
            truth.append(moment)
    finally:
        writer.release()
    return truth
