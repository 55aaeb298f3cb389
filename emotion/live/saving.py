"""Which sink ``save=`` asks for."""

from __future__ import annotations

import itertools
import logging
import os
from pathlib import Path

from emotion.base.errors import UserError
from emotion.live import film
from emotion.live.sinks import CODECS, PICTURES, Pictures, Sink, Video, check_target
from emotion.video.capture import shortest_interval
from emotion.video.frame import Stream
from emotion.video.image_files import is_glob

log = logging.getLogger(__name__)


def save_sink(path: str | Path, stream: Stream, stride: int = 1) -> Sink:
    """What ``save=`` asks for: a video (``x.mp4``, ``x.webm``, ``x.avi``); of images also a folder or one image.

    A file of which every third frame is read (``stride``) is saved at a third of its rate.

    Raises:
        UserError: An ending that doesn't suit the source, the source's own place, or a place that cannot be written.
    """
    target = Path(path).expanduser()
    suffix = target.suffix.lower()
    folder = str(path).endswith(("/", os.sep)) or os.path.isdir(target)  # noqa: PTH112 - False for too long a name
    if not stream.independent or (suffix in CODECS and not folder):
        return _film(target, stream, stride)
    source = Path(stream.name).expanduser()
    if suffix in PICTURES and not folder:
        if stream.total != 1:
            raise UserError(f"save: '{path}' is one image, but the source has several; give a folder: save=labelled/")
        check_target("save", target)
        if target.exists() and source.exists() and target.samefile(source):
            raise UserError(f"save: '{path}' is the source itself; choose another name")
        return Pictures(target.parent, target.name)
    if suffix and not folder:
        allowed = ", ".join((*PICTURES, *CODECS))
        raise UserError(f"save: '{path}' must be a folder (save=labelled/) or end in one of {allowed}")
    home = _home(source)
    if target.exists() and home.exists() and target.samefile(home):
        raise UserError(f"save: '{path}' holds the source, which would be overwritten; choose another folder")
    return Pictures(target, source.name)


def _film(path: Path, stream: Stream, stride: int) -> Sink:
    """A video by PyAV where it is installed, else by OpenCV."""
    total, length, suffix = stream.total or 0, 0.0, path.suffix.lower()
    if suffix in CODECS:
        check_target("save", path)
    if stream.kind == "video" and stream.limit is None:
        length = total * stride / stream.rate
    if film.can_write(suffix):
        return film.Film(path, stream, _rate(stream, stride), length)
    if suffix == ".mp4":
        log.info(
            "save: '%s' will be MPEG-4 part 2 without sound, which browsers and phones do not play. For H.264 with "
            "sound: pip install 'emotion[video]'; or save a .webm", path,
        )  # fmt: skip
    steady = stream.kind != "pictures"
    return Video(path, _rate(stream, stride), steady, None if stream.live else length, total)


def _rate(stream: Stream, stride: int) -> float:
    """Frames per second to save at: of a video whose rate varies, that of its densest part."""
    if stream.live:
        return stream.rate
    path = Path(stream.name)
    shortest = shortest_interval(path) if path.is_file() and stream.kind == "video" else None
    # Containers round their times to milliseconds.
    varies = shortest is not None and 1 / shortest > 1.2 * stream.rate
    return (min(120.0, 1 / shortest) if varies and shortest else stream.rate) / stride


def _home(source: Path) -> Path:
    """The folder that the names of a source's images are relative to."""
    if source.exists():
        return source if source.is_dir() else source.parent
    return Path(*itertools.takewhile(lambda part: not is_glob(part), source.parts))
