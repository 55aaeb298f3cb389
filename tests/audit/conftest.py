"""A small dataset of drawn faces with one of each fault, and what the audit says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emotion.data import synthetic
from emotion.faces.images import Image
from emotion.faces.labels import EMOTIONS
from tests.conftest import compose
from tests.helpers.once import made_once

#: People in each split; each shows every emotion once.
PEOPLE = {"train": range(5), "val": (5,), "test": (6,)}


def drawn(person: int, emotion: str, size: int = 64) -> Image:
    return synthetic.picture(0, person * len(EMOTIONS) + EMOTIONS.index(emotion), size, 0.3)


def save(path: Path, image: Image) -> None:
    assert cv2.imwrite(str(path), image)


def resized(image: Image, size: int) -> Image:
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="session")
def faulty(common: Path) -> Path:
    """Class folders in train, val and test with planted faults; do not change it."""
    with made_once(common / "faulty") as folder:
        if folder:
            _make_faulty(folder)
    return common / "faulty"


def _make_faulty(root: Path) -> None:
    for split, people in PEOPLE.items():
        for emotion in EMOTIONS:
            folder = root / split / emotion
            folder.mkdir(parents=True)
            for person in people:
                save(folder / f"{person}.png", drawn(person, emotion))
    train, test = root / "train", root / "test"
    save(test / "happy" / "copy.png", drawn(0, "happy"))
    save(train / "sad" / "copy-of-angry.png", drawn(1, "angry"))
    brighter = cv2.convertScaleAbs(drawn(2, "neutral"), alpha=0.92, beta=8)
    cv2.imwrite(str(test / "neutral" / "near.jpg"), brighter, [cv2.IMWRITE_JPEG_QUALITY, 80])
    save(train / "angry" / "black.png", np.zeros((64, 64, 3), np.uint8))
    message = np.full((64, 64, 3), 255, np.uint8)
    cv2.putText(message, "removed", (4, 36), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0))
    save(train / "fearful" / "message.png", message)
    save(train / "surprised" / "tiny.png", resized(drawn(3, "surprised"), 20))
    whole = cv2.imencode(".png", drawn(4, "disgusted"))[1].tobytes()
    (train / "disgusted" / "broken.png").write_bytes(whole[: len(whole) // 2])


def config(root: Path, *overrides: str) -> Any:
    """The audit's config for a folder."""
    return compose("audit", "dataset=folder", f"dataset.root={root}", "dataset.max_unreadable=0.1", *overrides)
