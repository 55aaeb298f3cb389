"""Stored values as uint8 BGR pixels to look at: bit depth, transparency, orientation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from emotion.faces.images import Image

#: EXIF's orientations (2 to 8) -> what turns the pixels upright.
_TURNS: dict[int, Callable[[Any], Any]] = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: x[::-1].transpose(1, 0, 2),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: x[:, ::-1].transpose(1, 0, 2),
}


def to_8_bits(values: np.ndarray[Any, Any], announced: int) -> np.ndarray[Any, Any]:
    """Scale by the announced range, else by the smallest of 8, 10, 12, 14, 16 or 32 bits that holds all values.

    Cameras of 10 to 14 bits write their values unscaled into 16; by the container's range they would be black.
    """
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
        most = float(values.max(initial=0))
        top = 1.0 if most <= 1 else 255.0 if most <= 255 else most
        return np.clip(np.rint(values * (255 / top)), 0, 255).astype(np.uint8)
    most = int(values.max(initial=0))
    top = (
        announced
        if announced >= max(most, 1)
        else next(n for n in (255, 1023, 4095, 16383, 65535, 2**32 - 1) if n >= most)
    )
    values = np.maximum(values, 0)
    if top & (top + 1):  # not all bits set, such as a PGM of 0 to 1000
        return np.rint(values * (255 / top)).astype(np.uint8)
    shift = top.bit_length() - 8  # as libpng does
    return (values >> shift if shift >= 0 else np.rint(values * (255 / top))).astype(np.uint8)


def on_white(image: Image) -> Image:
    """Lay uint8 BGRA ``[H, W, 4]`` on white: BGR."""
    alpha = image[:, :, 3:].astype(np.float32) / 255
    return np.rint(image[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def turned(pixels: Image, orientation: int) -> Image:
    """Pixels as they are to be seen, by EXIF's orientation (1 to 8)."""
    return np.ascontiguousarray(_TURNS.get(orientation, lambda x: x)(pixels))
