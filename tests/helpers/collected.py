"""Own pictures for the tests, and collecting from them in this process."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emotion.collect import collect
from emotion.collect.counts import Outcome
from emotion.collect.screening import Criteria
from emotion.data import synthetic
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS
from tests.conftest import compose

SCREEN = Criteria(contract=Contract(96, 96, "rgb", 0.1))


@lru_cache(maxsize=256)
def drawn(person: int, emotion: int = 3, size: tuple[int, int] = (400, 400)) -> np.ndarray:
    """A drawn picture of one smiling face, uint8 BGR; every person another. Not to be changed."""
    return synthetic.frame(person, emotion, size, noise=0.3)[0]


def jpeg(person: int, scale: float = 1.0) -> bytes:
    """A file of a drawn person's picture."""
    image = drawn(person) if scale == 1 else cv2.resize(drawn(person), None, fx=scale, fy=scale)
    return cv2.imencode(".jpg", image)[1].tobytes()


def write(path: Path, image: np.ndarray, *parameters: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image, list(parameters))
    return path


def own(root: Path, **people: range) -> Path:
    """A folder of pictures: ``own(root, happy=range(3))`` is three people in ``<root>/happy``."""
    for emotion, numbers in people.items():
        for person in numbers:
            write(root / emotion / f"{person}.png", drawn(person))
    return root


def collected(root: Path, *overrides: str) -> Outcome:
    return collect(compose("collect", f"root={root}", *overrides))


def from_folder(root: Path, path: Path, *overrides: str) -> Outcome:
    return collected(root, "source=folder", f"path={path}", *overrides)


def lines(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]


def pictures(root: Path) -> set[str]:
    """The dataset's files, ``<emotion>/<name>``."""
    return {str(p.relative_to(root)) for e in EMOTIONS for p in (root / e).glob("*")}


def quarantined(root: Path) -> set[str]:
    return pictures(root / ".quarantine")
