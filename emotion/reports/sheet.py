"""Contact sheets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from emotion.faces.images import resize
from emotion.reports.canvas import BLUE, DPI, FAINT, INK, ORANGE, Picture, figure_of, picture_of

_TILE = 112  # pixels per side that tiles aim at
_GAP = 8


def image_grid(
    images: NDArray[np.uint8], path: Path | None, *, titles: Sequence[str] | None = None, columns: int = 8
) -> Picture:
    """Lay images out on a white sheet, row by row, with a word above each.

    Small images are enlarged by a whole factor without smoothing, so that every pixel can be seen.

    Args:
        images: uint8 ``[N, H, W]`` or ``[N, H, W, 1]`` grey, or ``[N, H, W, 3]`` RGB.
        path: Where to write a PNG; None writes nothing.
        titles: N words; None writes none. Words wider than their image are cut.
        columns: Images in a row, at most.

    Raises:
        ValueError: No images, another shape or dtype, or a number of titles that does not fit.
    """
    shape = list(images.shape)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and shape[3] not in (1, 3)):
        raise ValueError(f"images are {images.dtype} {shape}, must be uint8 [N, H, W] or [N, H, W, 1 or 3]")
    if not images.size or columns < 1:
        raise ValueError(f"nothing to lay out: images have shape {shape}, columns is {columns}")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"{len(titles)} titles for {len(images)} images")
    tiles = [_tile(image) for image in images]
    with _sheet(tiles, columns, above=0 if titles is None else 20, gap=_GAP, top=_GAP) as (figure, write, corners):
        for title, (x, y) in zip(titles or (), corners, strict=False):
            text = write(x, y - 5, title, fontsize=8.5)
            while text.get_window_extent().width > tiles[0].shape[1] and title:
                title = title[:-1]
                text.set_text(f"{title.rstrip()}…")
        return picture_of(figure, path)


@contextmanager
def _sheet(
    tiles: Sequence[Picture], columns: int, *, above: int, gap: int, top: int, narrowest: int = 0
) -> Iterator[tuple[Figure, Callable[..., Text], list[tuple[int, int]]]]:
    """A white sheet with tiles of equal size, row by row.

    Args:
        tiles: RGB ``[h, w, 3]``.
        columns: Tiles in a row, at most.
        above, gap, top: Pixels left white over each tile, between tiles, and at the upper edge.
        narrowest: Width of the sheet, at least.

    Yields:
        The figure; what writes on it, at pixels from its upper left corner; the upper left corner of each tile.
    """
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    step_x, step_y = width + gap, height + above + gap
    size_x, size_y = max(gap + columns * step_x, narrowest), top + math.ceil(len(tiles) / columns) * step_y
    sheet = np.full((size_y, size_x, 3), 255, np.uint8)
    corners = [(gap + i % columns * step_x, top + i // columns * step_y + above) for i in range(len(tiles))]
    for tile, (x, y) in zip(tiles, corners, strict=True):
        sheet[y : y + height, x : x + width] = tile

    def write(x: float, y: float, text: str, **style: Any) -> Text:
        return figure.text(x / size_x, 1 - y / size_y, text, **style)

    with figure_of(size_x / DPI, size_y / DPI) as figure:
        figure.set_layout_engine("none")
        figure.figimage(sheet)
        yield figure, write, corners


def _tile(image: Picture, target: int = _TILE) -> Picture:
    """RGB ``[h, w, 3]`` with its longer side near a target: enlarged by repetition, or shrunk by area."""
    rgb = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
    longer = max(rgb.shape[:2])
    if longer > target:
        height, width = (max(1, round(side * target / longer)) for side in rgb.shape[:2])
        return resize(np.ascontiguousarray(rgb), height, width, "area")
    factor = max(1, round(target / longer))
    return rgb.repeat(factor, axis=0).repeat(factor, axis=1)


_CAPTIONED = 144  # pixels per side that captioned tiles aim at: two lines of words fit above them


def captioned(
    images: Sequence[Picture],
    captions: Sequence[tuple[str, str]],
    path: Path,
    *,
    title: str,
    note: str,
    maps: Sequence[NDArray[np.float32]] | None = None,
    columns: int | None = None,
) -> Picture:
    """Lay images out with two lines of words above each, under a heading; write a PNG.

    Args:
        images: N of equal size, uint8 ``[H, W, 1]`` grey or ``[H, W, 3]`` RGB.
        captions: Of each, two lines.
        maps: Of each, float ``[H, W]``, drawn over it a second time beside it: orange above 0, blue below.
        columns: Images in a row; default 6, or 4 with maps.
    """
    tiles = [_tile(image, _CAPTIONED) for image in images]
    if maps is not None:
        tiles = [np.hstack([tile, _overlaid(tile, heat)]) for tile, heat in zip(tiles, maps, strict=True)]
    columns, top = columns or (6 if maps is None else 4), 48 + 16 * (note.count("\n") + 1)
    with _sheet(tiles, columns, above=40, gap=16, top=top, narrowest=680) as (figure, write, corners):
        write(16, 14, title, fontsize=11, fontweight="bold", va="top")
        write(16, 38, note, fontsize=9, color=FAINT, va="top", linespacing=1.35)
        for (first, second), (x, y) in zip(captions, corners, strict=True):
            write(x, y - 24, first, fontsize=8.5, color=INK)
            write(x, y - 6, second, fontsize=8.5, color=ORANGE)
        return picture_of(figure, path)


def _overlaid(tile: Picture, heat: NDArray[np.float32]) -> Picture:
    """A tile in pale grey under a map that is scaled by its own largest value."""
    grey = tile.astype(np.float64).mean(axis=2, keepdims=True) * 0.55 + 115
    large = cv2.resize(heat, (tile.shape[1], tile.shape[0]), interpolation=cv2.INTER_LINEAR)
    strength = np.clip(large / max(float(np.abs(heat).max()), 1e-6), -1, 1)[..., None]
    colour = np.where(strength > 0, _rgb(ORANGE), _rgb(BLUE))
    share = 0.75 * np.abs(strength)
    return np.asarray((1 - share) * grey + share * colour, np.uint8)


def _rgb(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float64)
