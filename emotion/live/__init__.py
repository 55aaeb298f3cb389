"""Live video: find faces, label them, show or store the result. TensorFlow is not needed.

>>> from emotion.live import label_frames
>>> for frame, faces in label_frames("latest", "clip.mp4"):
...     print(frame.time, [(face.track, face.label, face.box) for face in faces])
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emotion.config.commands import Detector as DetectorConfig
    from emotion.faces.labelled import Face
    from emotion.video.frame import Frame


def label_frames(
    run: str | Path,
    source: int | str | Path,
    *,
    outputs: str | Path = "outputs",
    max_frames: int | None = None,
    stride: int = 1,
    engine: str = "auto",
    threads: int = 1,
    smoothing: float = 0.25,
    min_confidence: float = 0.4,
    max_gap: float = 0.5,
    detector: DetectorConfig | None = None,
) -> Iterator[tuple[Frame, list[Face]]]:
    """Yield a source's frames with their faces, largest first, as ``python -m emotion.live`` labels them, in threads.

    Of a live source, frames that come while another one is processed are left out, all but the newest.
    The source is closed and the threads end when the generator does: at the source's end, after an error, or by its
    ``close()``. Leaving a ``for`` loop early closes it too, unless it has a name; then close it yourself.

    Args:
        run: Id, unique prefix, path, ``latest``, ``best`` or ``pretrained``; or an export (``latest/exports/litert``).
        source: A camera's number, a video, image, folder or glob of images, or an address.
        outputs: Folder that holds the runs.
        max_frames, stride: Stop after this many frames, None reads to the end; take every n-th frame.
        engine, threads: ``auto``, ``litert`` or ``keras``, an export brings its own; CPU threads for the model.
        smoothing: Seconds over which a track's probabilities are averaged; 0 takes each frame by itself.
        min_confidence: Less probable labels become "uncertain".
        max_gap: Seconds that a face may be out of sight and keep its track.
        detector: How faces are searched for; None uses the defaults of ``conf/live.yaml``.

    Raises:
        UserError: No such run or source, or a model that disagrees with its contract; at the first frame.
    """
    from emotion.base.interrupts import Stop
    from emotion.live import engines
    from emotion.live.labeller import Labeller
    from emotion.video.detector import Detector
    from emotion.video.source import opened

    classifier = engines.load(engines.find(run, outputs), engine, threads)
    stop = Stop()
    with opened(source, max_frames, stride, stopped=stop) as stream:
        labeller = Labeller(
            stream, Detector(detector), classifier, smoothing=smoothing, min_confidence=min_confidence, max_gap=max_gap
        )
        with labeller.labelled(stop.end) as labelled:
            for item in islice(labelled, stream.limit):
                yield item.frame, item.faces
