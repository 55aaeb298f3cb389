"""Contact sheets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotion.faces.images import resize
from emotion.reports.canvas import DPI, Picture, figure_of, picture_of

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
    height, width = tiles[0].shape[:2]
    band = 0 if titles is None else 20
    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    step_y, step_x = height + band + _GAP, width + _GAP
    sheet = np.full((rows * step_y + _GAP, columns * step_x + _GAP, 3), 255, np.uint8)
    corners = [(_GAP + i // columns * step_y + band, _GAP + i % columns * step_x) for i in range(len(tiles))]
    for tile, (top, left) in zip(tiles, corners, strict=True):
        sheet[top : top + height, left : left + width] = tile
    with figure_of(sheet.shape[1] / DPI, sheet.shape[0] / DPI) as figure:
        figure.set_layout_engine("none")
        figure.figimage(sheet)
        for title, (top, left) in zip(titles or (), corners, strict=False):
            text = figure.text(left / sheet.shape[1], 1 - (top - 5) / sheet.shape[0], title, fontsize=8.5)
            while text.get_window_extent().width > width and title:
                title = title[:-1]
                text.set_text(f"{title.rstrip()}…")
        return picture_of(figure, path)


def _tile(image: Picture) -> Picture:
    """RGB ``[h, w, 3]`` with its longer side near :data:`_TILE`: enlarged by repetition, or shrunk by area."""
    rgb = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
    longer = max(rgb.shape[:2])
    if longer > _TILE:
        height, width = (max(1, round(side * _TILE / longer)) for side in rgb.shape[:2])
        return resize(np.ascontiguousarray(rgb), height, width, "area")
    factor = max(1, round(_TILE / longer))
    return rgb.repeat(factor, axis=0).repeat(factor, axis=1)
