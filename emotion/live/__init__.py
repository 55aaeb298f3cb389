"""Live video: find faces, label them, show or store the result. Nothing here imports TensorFlow.

>>> from emotion.live import label_frames
>>> for frame, faces in label_frames("latest", "clip.mp4"):
...     print(frame.time, [(face.label, face.box) for face in faces])
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emotion.live.classifier import Face
    from emotion.live.source import Frame


def label_frames(
    run: str | Path,
    source: int | str | Path,
    *,
    outputs: str | Path = "outputs",
    max_frames: int | None = None,
    threads: int = 2,
    **detector: float,
) -> Iterator[tuple[Frame, list[Face]]]:
    """Label a source's frames, one after the other. The source is closed when the generator is.

    Args:
        run: Id, unique prefix, path, ``latest`` or ``best``.
        source: A camera's number, the path of a video or picture file, or the URL of a video.
        outputs: Folder that holds the runs.
        max_frames: End after this many frames; None reads to the end.
        threads: CPU threads for the model.
        **detector: Other values than ``conf/live.yaml``'s for :func:`emotion.faces.detect`: ``scale_factor``,
            ``min_neighbors``, ``min_size``.

    Yields:
        Each frame with its faces, largest first.

    Raises:
        UserError: No such run or source, or a model that disagrees with its contract; at the first frame.
    """
    from dataclasses import asdict

    from emotion import config, faces, runs
    from emotion.live.classifier import Classifier
    from emotion.live.source import frames

    chosen = runs.resolve(str(run), outputs)
    classifier = Classifier(chosen.tflite(), chosen.contract(), threads)
    cascade = faces.load_cascade()
    settings = asdict(config.Detector()) | detector
    for frame in frames(source, max_frames):
        yield frame, classifier.label(frame.image, faces.detect(cascade, frame.image, **settings))
