"""Drawing people into images with OpenCV: pose, light, skin, hair and clothes, a room behind, and a camera."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from emotion.data.drawing import adornment, portrait, shapes
from emotion.data.drawing.facs import Expression
from emotion.data.drawing.people import Colour, Identity
from emotion.faces.images import Box, Image

_SHIFT = 4  # OpenCV's fixed point: polygons land on sixteenths of a pixel
_DEPTH = 1.0  # the head's half depth, in half face widths

#: Side of the box that the frontal Haar cascade puts round these faces, in half face widths.
BOX_SIDE = 2.6


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


@dataclass(frozen=True)
class Pose:
    """Where a head is and how it is turned."""

    x: float  #: column of the point between the eyes, in pixels
    y: float  #: row of it
    scale: float  #: half the face's width, in pixels
    yaw: float = 0.0  #: turn to the image's right, in degrees
    pitch: float = 0.0  #: nod down, in degrees
    roll: float = 0.0  #: tilt clockwise, in degrees


@dataclass(frozen=True)
class Figure:
    """One person in an image."""

    person: Identity
    expression: Expression
    pose: Pose


def box(figure: Figure) -> Box:
    """The square in which the frontal Haar cascade frames this face."""
    side = BOX_SIDE * figure.pose.scale
    centre = _project(figure.pose, np.array([[0.0, 0.26]]), np.array([0.75]))[0]
    return Box(round(centre[0] - side / 2), round(centre[1] - side / 2), round(side), round(side))


def centred(figure: Figure, x: float, y: float) -> Figure:
    """The same person, moved so that the middle of the box is at this point."""
    now = box(figure)
    dx, dy = x - now.x - now.width / 2, y - now.y - now.height / 2
    return replace(figure, pose=replace(figure.pose, x=figure.pose.x + dx, y=figure.pose.y + dy))


def draw(background: Image, figures: list[Figure], light: Light, grain_seed: int = 0) -> Image:
    """Draw people, the farthest first, over a copy of a background, uint8 BGR ``[H, W, 3]``, then what a camera adds.

    ``grain_seed`` selects the piece of the sensor's noise.
    """
    image = background.copy()
    for figure in figures:
        _head(image, figure, light)
    return expose(image, light, grain_seed)


def _project(pose: Pose, points: np.ndarray[Any, Any], z: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Turn face coordinates into pixels: yaw, pitch, roll, scale, shift (no perspective)."""
    yaw, pitch, roll = np.deg2rad((pose.yaw, pose.pitch, pose.roll))
    x, y = points[:, 0], points[:, 1] - 0.25  # the head turns about its middle, not about the eyes
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y = y * np.cos(pitch) + z * np.sin(pitch) * 0.8 + 0.25
    rotated = np.stack([x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)], axis=1)
    return rotated * pose.scale + (pose.x, pose.y)


def _pixels(figure: Figure, parts: list[shapes.Shape], left: int, top: int) -> list[np.ndarray[Any, Any]]:
    """Each shape's polygon in OpenCV's fixed-point pixels from a corner of the image."""
    polygons = shapes.outlines(parts)
    counts = [len(p) for p in polygons]
    points = np.concatenate(polygons)
    bulge = 1 - (points[:, 0] / 1.08) ** 2 - ((points[:, 1] - 0.2) / 1.6) ** 2
    surface, lift = np.repeat([[0.0 if s.flat else _DEPTH for s in parts], [s.lift for s in parts]], counts, axis=1)
    z = surface * np.sqrt(np.maximum(bulge, 0)) + lift
    at = np.round((_project(figure.pose, points, z) - (left, top)) * 2**_SHIFT).astype(np.int32)
    ends = np.cumsum(counts).tolist()
    return [at[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _fill(canvas: Image, points: np.ndarray[Any, Any], paint: Any) -> None:
    cv2.fillPoly(canvas, [points], paint, cv2.LINE_AA, _SHIFT)


@lru_cache(maxsize=256)
def _ramp(colour: Colour, contrast: float, warmth: float) -> Image:
    """A colour for each level of shading, from shadow to highlight; warm shadows are what makes skin look like skin."""
    level = np.maximum(0, 1 + (np.arange(256)[:, None] / 128 - 1) * contrast)
    base = np.array(colour)
    shadow = base * np.minimum(level, 1) ** (1 + warmth * np.array([0.2, 0.08, -0.15]))
    shine = np.array([0.4, 0.42, 0.44])
    highlight = np.maximum(level - 1, 0) * (255 - base) * shine
    return np.asarray(np.clip(shadow + highlight, 0, 255), np.uint8)[:, None, :]


def _skin(person: Identity) -> Image:
    return _ramp(person.skin, 1 + 0.08 * max(person.tone - 4, 0), 1.0)  # dark skin shows its form by sheen


def _blend(below: Any, above: Any, mask: Any) -> Any:
    alpha: Any = cv2.merge([mask, mask, mask])
    over = cv2.multiply(above, alpha, scale=1 / 255)
    return cv2.add(cv2.multiply(below, cv2.bitwise_not(alpha), scale=1 / 255), over)


#: Masks and levels of shading before anything is drawn into them.
_LEVELS = {"back": 0, "skin": 0, "soft": 128, "fine": 128, "beard": 0, "hair": 0, "strand": 128}


def _head(image: Image, figure: Figure, light: Light) -> None:
    pose, person = figure.pose, figure.person
    reach = 2.8 * pose.scale
    left, top = max(0, int(pose.x - reach)), max(0, int(pose.y - reach))
    right, bottom = min(image.shape[1], int(pose.x + reach)), image.shape[0]
    if right - left < 2 or bottom - top < 2:
        return
    front = (portrait.head, portrait.folds, portrait.nose, portrait.mouth, portrait.eyes, portrait.brows)
    parts = adornment.hair_behind(person)[:]
    for part in (*front, adornment.beard):
        parts += part(person, figure.expression)
    parts += [*adornment.freckles(person), *adornment.hair(person), *adornment.glasses(person)]
    polygons = list(zip(parts, _pixels(figure, parts, left, top), strict=True))

    canvas: Any = np.ascontiguousarray(image[top:bottom, left:right])
    size = canvas.shape[:2]
    layers = {name: np.full(size, level, np.uint8) for name, level in _LEVELS.items()}
    small = max(1, round(0.045 * pose.scale))  # soft shading is blurred anyway, so it needs few pixels
    layers["soft"] = np.full((size[0] // small + 1, size[1] // small + 1), 128, np.uint8)
    for shape, at in polygons:
        if shape.layer == "soft":
            _fill(layers["soft"], (at - 8 * (small - 1)) // small, shape.paint)
        elif shape.layer in layers:
            _fill(layers[shape.layer], at, shape.paint)
    soft = cv2.resize(_soften(layers["soft"], 0.09 * pose.scale / small), None, fx=small, fy=small)
    soft = soft[: size[0], : size[1]]
    slope = _directional(pose, light, size, left, top)
    shade = cv2.addWeighted(soft, 1, _soften(layers["fine"], 0.022 * pose.scale), 1, -128)
    shade = cv2.add(shade, slope, dtype=cv2.CV_8U)
    strands = cv2.add(_soften(layers["strand"], 0.03 * pose.scale - 0.6), 0.45 * slope, dtype=cv2.CV_8U)
    hair = _ramp(person.hair_colour, 1.0, 0.2)

    canvas = _blend(canvas, cv2.applyColorMap(cv2.convertScaleAbs(strands, alpha=0.77), hair), layers["back"])
    _body(canvas, figure, left, top)
    canvas = _blend(canvas, cv2.applyColorMap(shade, _skin(person)), layers["skin"])
    if person.beard != "none":
        cover = cv2.min(_soften(layers["beard"], 0.035 * pose.scale), layers["skin"])
        canvas = _blend(canvas, cv2.applyColorMap(shade, _ramp(person.brow_colour, 1.0, 0.2)), cover)
    for shape, at in polygons:
        if shape.layer == "front":
            _fill(canvas, at, shape.paint)
    canvas = _blend(canvas, cv2.applyColorMap(strands, hair), layers["hair"])
    for shape, at in polygons:
        if shape.layer == "top":
            _fill(canvas, at, shape.paint)
    image[top:bottom, left:right] = canvas


def _soften(layer: Image, sigma: float) -> Image:
    return layer if sigma < 0.3 else cv2.GaussianBlur(layer, (0, 0), sigma)  # type: ignore[return-value]


def _directional(pose: Pose, light: Light, size: tuple[int, int], left: int, top: int) -> np.ndarray[Any, Any]:
    """Lambert's light on an ellipsoid, near enough: a slope towards the light and a fall-off at the edges."""
    u = (np.arange(size[1], dtype=np.float32) + left - pose.x) / pose.scale
    v = (np.arange(size[0], dtype=np.float32) + top - pose.y) / pose.scale - 0.25
    across = 30 * light.x * u - 26 * np.minimum(u * u, 1.44) ** 2
    down = 18 * light.y * v - 7 * np.minimum(v * v, 2) + 4
    return np.asarray(across[None, :] + down[:, None], np.float32)


def _body(canvas: Image, figure: Figure, left: int, top: int) -> None:
    """Neck, shoulders and collar; they stay upright while the head moves."""
    pose, person = figure.pose, figure.person
    skin = _skin(person)
    lit, shaded = skin[86, 0].tolist(), skin[62, 0].tolist()
    cloth = [_ramp(person.clothes, 1.0, 0.2)[level, 0].tolist() for level in (122, 100, 146)]
    paints = (cloth[0], cloth[1], cloth[1], lit, lit, shaded, cloth[2])
    for points, paint in zip(_torso(person.jaw * 0.72, person.length), paints, strict=True):
        at = (points * pose.scale + (pose.x - left, pose.y - top)) * 2**_SHIFT
        _fill(canvas, np.round(at).astype(np.int32), paint)


@lru_cache(maxsize=64)
def _torso(wide: float, low: float) -> list[np.ndarray[Any, Any]]:
    """Shoulders, two sleeves' creases, the neckline's opening, the neck, the chin's shadow on it and the collar."""
    slope = [(wide + 0.1, low + 0.22), (1.05, low + 0.48), (1.8, low + 0.7)]
    arm = [(2.35, low + 1.05), (2.55, low + 1.7)]
    neck = [(wide, 0.7), (wide, low + 0.1), (wide + 0.12, low + 0.5)]
    rim = shapes.mirrored([(-wide - 0.13, low + 0.2), (-0.3, low + 0.57)])
    creases = [shapes.tapered([(s * 1.5, low + 1.2), (s * 1.62, low + 1.9), (s * 1.6, low + 3)], 0.09) for s in (-1, 1)]
    collar = shapes.Line(shapes.smooth(rim, closed=False), np.full(19, 0.075))
    left, right, edge = shapes.outlines([shapes.Shape("top", line, 0) for line in (*creases, collar)])
    opening, shadow = shapes.smooth([*rim, (0, low + 0.3)]), shapes.ellipse(0, low - 0.2, wide * 1.02, 0.42)
    shoulders = np.array(shapes.mirrored([*slope, *arm, (2.6, low + 40)]))
    return [shoulders, left, right, opening, shapes.smooth(shapes.mirrored(neck)), shadow, edge]


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
