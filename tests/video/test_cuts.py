"""A jolt, a pan and a change of the light are no cuts; another scene is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion.faces.images import Image
from emotion.video.cuts import is_moved
from emotion.video.detector import Detector

NAMES = ("obama_small.jpg", "multi_face.jpg", "grace_hopper.bmp")


@pytest.fixture(scope="module")
def scenes(shared: Path) -> list[Image]:
    return [cv2.resize(cv2.imread(str(shared / "media" / name), 0), (640, 480)) for name in NAMES]  # type: ignore[misc]


@pytest.mark.parametrize("pixels", [3, 6, 20, 40])
@pytest.mark.parametrize("number", range(len(NAMES)))
def test_a_scene_that_moved(scenes: list[Image], number: int, pixels: int) -> None:
    scene = scenes[number]
    assert is_moved(scene[:, 100:500], scene[:, 100 + pixels : 500 + pixels])
    assert is_moved(scene[60:, :], scene[60 - pixels : 480 - pixels, :])
    darker = (scene * 0.5 + 20).astype(np.uint8)
    assert is_moved(scene[:, 100:500], darker[:, 100 + pixels : 500 + pixels])


def test_another_scene(scenes: list[Image]) -> None:
    assert not any(is_moved(a, b) for a in scenes for b in scenes if a is not b)
    flat = np.full((480, 640), 90, np.uint8)
    assert not is_moved(flat, scenes[0])


@pytest.mark.slow
@pytest.mark.parametrize("pixels", [3, 6, 9])
def test_a_jolt_before_a_striped_curtain_keeps_the_tracks_and_a_cut_does_not(scenes: list[Image], pixels: int) -> None:
    """Stripes turn a small jolt into a great change of the thumbnail."""
    room = np.where(np.arange(700) // 6 % 2, 60, 200).astype(np.uint8)[None].repeat(480, axis=0)
    mask = np.zeros((480, 640), np.uint8)
    cv2.ellipse(mask, (320, 240), (150, 200), 0, 0, 360, 255, -1)

    def shown(scene: Image, shift: int) -> Image:
        moved = np.roll(np.where(mask > 0, scene, room[:, :640]), shift, axis=1)
        moved[:, :shift] = room[:, 640 - shift : 640] if shift else moved[:, :shift]
        return moved.astype(np.uint8)

    detector = Detector()
    assert detector.scan(shown(scenes[0], 0)).is_cut, "the first frame"
    assert not detector.scan(shown(scenes[0], pixels)).is_cut
    assert detector.scan(scenes[1]).is_cut
