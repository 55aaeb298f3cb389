"""Live video: find faces, label them, show or store the result. TensorFlow is not needed.

>>> from emotion.live import label_frames
>>> for frame, faces in label_frames("latest", "clip.mp4"):
...     print(frame.time, [(face.track, face.label, face.box) for face in faces])
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emotion.inference.results import Picture
    from emotion.video.frame import Frame


def label_frames(
    run: str | Path,
    source: int | str | Path,
    *,
    outputs: str | Path = "outputs",
    engine: str = "auto",
    threads: int = 1,
    **options: Any,
) -> Iterator[tuple[Frame, Picture]]:
    """``emotion.load(run, outputs, engine=..., threads=...).video(source, **options)``, at the first frame.

    Raises:
        UserError: No such run or source, or a model that disagrees with its contract; at the first frame.
    """
    from emotion import load

    yield from load(run, outputs, engine=engine, threads=threads).video(source, **options)
