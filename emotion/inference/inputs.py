"""What Python code hands over as pictures: paths, bytes, arrays, Pillow images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion.faces import decoding
from emotion.faces.formats import UnreadableImageError
from emotion.faces.images import Image
from emotion.faces.pixels import on_white

if TYPE_CHECKING:
    import PIL.Image


def several(pictures: Any) -> Iterable[Any]:
    """One input or any number of them, as any number."""
    is_one = isinstance(pictures, str | Path | bytes | bytearray) or hasattr(pictures, "getexif")
    is_one = is_one or hasattr(pictures, "read")  # an open file, whose parts are no pictures
    if isinstance(pictures, np.ndarray):
        is_one = pictures.ndim < 4
    return [pictures] if is_one or not isinstance(pictures, Iterable) else pictures


def image(item: Any, channels: str) -> Image:
    """An input as uint8 grey ``[H, W]`` or BGR ``[H, W, 3]``.

    Raises:
        UnreadableImageError: It is none.
    """
    if isinstance(item, str | Path):
        return _from_file(item)
    if isinstance(item, bytes | bytearray):
        return decoding.decode(bytes(item))
    if hasattr(item, "getexif"):
        return _from_pillow(item)
    if hasattr(item, "read"):
        raise UnreadableImageError("is an open file; give its path, or its bytes (file.read())")
    if not isinstance(item, np.ndarray):
        raise UnreadableImageError(f"is a {type(item).__name__}, not a path, bytes, an array or a Pillow image")
    if item.dtype != np.uint8:
        raise UnreadableImageError(f"is an array of {item.dtype}; convert it to uint8, 0 to 255")
    if item.ndim not in (2, 3) or (item.ndim == 3 and item.shape[2] not in (1, 3, 4)) or not item.size:
        raise UnreadableImageError(f"has the shape {item.shape}, must be [H, W] or [H, W, 1, 3 or 4]")
    if item.ndim == 3 and item.shape[2] == 1:
        return item[:, :, 0]
    if item.ndim == 3 and item.shape[2] == 4:
        return on_white(item[:, :, [2, 1, 0, 3]] if channels == "rgb" else item)
    return np.ascontiguousarray(item[:, :, ::-1]) if item.ndim == 3 and channels == "rgb" else item


def _from_file(name: str | Path) -> Image:
    try:
        path = Path(name).expanduser()
        is_folder = path.is_dir()
    except (OSError, ValueError, RuntimeError) as error:  # too long, or of a user who is not known
        raise UnreadableImageError(getattr(error, "strerror", None) or str(error)) from None
    if is_folder:
        raise UnreadableImageError("is a folder; for all images in it use model.video, or list its files")
    return decoding.read(path)


def _from_pillow(item: PIL.Image.Image) -> Image:
    try:
        return decoding.from_pillow(item)
    except UnreadableImageError:
        raise
    except Exception as error:  # Pillow decodes when the pixels are first asked for, and says not what it may raise
        raise UnreadableImageError(str(error)) from None
