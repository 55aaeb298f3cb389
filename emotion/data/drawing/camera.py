"""What surrounds the drawn people: light, a room out of focus, and what a camera adds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from emotion.faces.images import Image


@dataclass(frozen=True)
class Light:
    """What lights a scene, and what the camera does to it."""

    x: float = -0.3  #: from -1 (from the image's left) to 1 (from its right)
    y: float = -0.4  #: from -1 (from above) to 1 (from below)
    brightness: float = 1.0  #: factor on all values
    gamma: float = 1.0  #: exponent on values from 0 to 1
    warmth: float = 0.0  #: from -1 (blue) to 1 (orange)
    blur: float = 0.0  #: standard deviation of the blur, in pixels
    grain: float = 0.0  #: standard deviation of the sensor's noise, in grey levels


def background(rng: np.random.Generator, width: int, height: int) -> Image:
    """A room out of focus: a wall with a slope of light and some doors, frames and lamps in front of it."""
    hue, tint = rng.uniform(0, 180), rng.uniform(8, 70)
    value = rng.uniform(80, 205)
    corners = [(hue + rng.normal(0, 8), tint, np.clip(value + rng.normal(0, 28), 50, 235)) for _ in range(4)]
    wall: Any = cv2.resize(_bgr(corners).reshape(2, 2, 3), (64, 48), interpolation=cv2.INTER_LINEAR)
    for _ in range(int(rng.integers(2, 7))):
        x, y, w, h = rng.uniform(0, 64), rng.uniform(0, 48), rng.uniform(3, 18), rng.uniform(6, 40)
        level = np.clip(value + rng.normal(0, 42), 30, 245)
        colour = _bgr([(hue + rng.normal(0, 30), tint * rng.uniform(0.4, 1.5), level)])[0, 0].tolist()
        if rng.random() < 0.25:
            cv2.circle(wall, (int(x), int(y)), int(w / 3 + 1), colour, -1, cv2.LINE_AA)
        else:
            corner = int(x - w / 2), int(y - h / 2)
            cv2.rectangle(wall, corner, (int(x + w / 2), int(y + h / 2)), colour, -1)
    wall = cv2.GaussianBlur(wall, (0, 0), float(rng.uniform(0.7, 2.0)))
    image: Image = cv2.resize(wall, (width, height), interpolation=cv2.INTER_CUBIC)
    return image


def _bgr(hsv: list[tuple[float, float, float]]) -> Any:
    """Hue in degrees halved, saturation and value from 0 to 255, as uint8 BGR ``[1, N, 3]``."""
    return cv2.cvtColor(np.array([[(hue % 180, *rest) for hue, *rest in hsv]], np.uint8), cv2.COLOR_HSV2BGR)


@lru_cache(maxsize=1)
def _grain() -> np.ndarray[Any, Any]:
    """One fixed sheet of noise with standard deviation 1: drawing it each time would cost as much as a face does."""
    sheet: np.ndarray[Any, Any] = np.random.default_rng(0).standard_normal((1024, 1024, 3), np.float32)
    brightness = 0.8 * sheet.mean(axis=2, keepdims=True) * 3**0.5  # sensors' noise is mostly in brightness
    return np.asarray(brightness + 0.6 * sheet)


def expose(image: Image, light: Light, grain_seed: int) -> Image:
    """Blur, exposure, white balance and grain, in a camera's order."""
    if light.blur > 0.1:
        image = cv2.GaussianBlur(image, (0, 0), light.blur)  # type: ignore[assignment]
    level = (np.arange(256) / 255) ** light.gamma * 255 * light.brightness
    gains = np.array([1 - 0.08 * light.warmth, 1.0, 1 + 0.08 * light.warmth])
    table = np.clip(level[:, None] * gains, 0, 255).astype(np.uint8)[:, None, :]
    image = cv2.LUT(image, table)  # type: ignore[assignment]
    if light.grain > 0:
        height, width = image.shape[:2]
        sheet = _grain()
        dy, dx = grain_seed % 509, grain_seed // 509 % 509
        if max(height, width) > 512:
            sheet = np.tile(sheet, (height // 1024 + 2, width // 1024 + 2, 1))
        grain = np.ascontiguousarray(sheet[dy : dy + height, dx : dx + width])
        image = cv2.scaleAdd(grain, light.grain, image.astype(np.float32)).round().clip(0, 255).astype(np.uint8)
    return image
