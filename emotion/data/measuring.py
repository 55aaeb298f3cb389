"""Measuring every image once: size, brightness, contrast, sharpness, flatness, and the face in it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from emotion.base import files
from emotion.base.progress import progress
from emotion.data import seeing
from emotion.faces.formats import UnreadableImageError
from emotion.faces.images import Image, resize

#: Part of the cache's key: raise it when a measure changes.
VERSION = 1
#: Longer side in pixels at which sharpness is measured, so that images of different sizes compare.
SHARPNESS_SIDE = 96
#: Grey levels round the commonest one that count as the same, for what JPEG does to a flat area.
_SAME_GREY = 1
_BATCH = 256
#: Images of the sample that says how large faces are, and overlapping windows that make one of these clear.
_SAMPLE, _CLEAR = 200, 5
_RECORD = np.dtype(
    [
        ("hash", "S16"),
        ("width", np.int32),
        ("height", np.int32),
        ("brightness", np.float32),
        ("contrast", np.float32),
        ("sharpness", np.float32),
        ("flat", np.float32),
        ("box", np.float32, (4,)),
        ("neighbors", np.int32),
        ("face", np.bool_),
    ]
)

Records = np.ndarray[Any, Any]
Faults = dict[int, str]


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured, a row for each image.

    Attributes:
        records: ``[N]``, with the fields ``width``, ``height`` (pixels), ``brightness`` and ``contrast`` (mean and
            standard deviation of the grey levels, 0 to 255), ``sharpness`` (variance of the Laplacian at 96 pixels),
            ``flat`` (share of the pixels within one grey level of the commonest), ``box``, ``neighbors`` and ``face``
            (see :class:`emotion.data.seeing.Seen`; NaN where there is no box).
        faults: Why an image could not be measured, by its number; its row holds zeros.
        remembered: How many different images were in the cache.
        scale: At which size faces were looked for.
    """

    records: Records
    faults: Faults = field(default_factory=dict)
    remembered: int = 0
    scale: seeing.Scale | None = None

    @property
    def readable(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """bool ``[N]``."""
        return np.asarray(self.records["width"] > 0)


class Pictures(Protocol):
    """What is measured: one dataset's images, or some of them."""

    @property
    def hashes(self) -> np.ndarray[Any, Any]: ...

    def image(self, i: int) -> Image: ...


def measure(pictures: Pictures, cache_dir: Path | None, key: str) -> Measured:
    """Measure all images, those with the same pixels once, in threads; what was measured before is remembered.

    Args:
        pictures: The images.
        cache_dir: Where measurements are cached, by the pixels' hashes; None caches none.
        key: The dataset's name and place: each has files of its own.

    Raises:
        UserError: This OpenCV has no cascades.
    """
    distinct, first, which = np.unique(pictures.hashes, return_index=True, return_inverse=True)
    records = np.zeros(len(distinct), _RECORD)
    records["hash"] = distinct
    sample = np.unique(np.linspace(0, len(distinct) - 1, min(_SAMPLE, len(distinct))).round().astype(np.int64))
    found = records[sample]
    _remembering(found, pictures, first[sample], None, _path(cache_dir, f"sample {key}"), {})
    boxes = found[found["neighbors"] >= _CLEAR]
    shares = boxes["box"][:, 2] * boxes["width"] / np.minimum(boxes["width"], boxes["height"])
    scale = seeing.scale_for(shares.tolist())
    faults: dict[int, str] = {}
    had = _remembering(records, pictures, first, scale, _path(cache_dir, f"{scale} {key}"), faults)
    return Measured(records[which], {int(i): faults[w] for i, w in enumerate(which) if w in faults}, had, scale)


def _remembering(
    records: Records, pictures: Pictures, first: Any, scale: seeing.Scale | None, path: Path | None, faults: Faults
) -> int:
    """Fill records from the cache or by measuring; return how many were in the cache."""
    known = _read(path)
    have = np.isin(records["hash"], known["hash"])
    records[have] = known[np.searchsorted(known["hash"], records["hash"][have])]
    todo = np.flatnonzero(~have)
    try:
        _fill(records, todo, pictures, first, scale, faults)
    finally:  # a restart after an interrupt does not measure again
        if path is not None and len(todo):
            done = records[records["width"] > 0]
            others = known[~np.isin(known["hash"], done["hash"])]
            _write(path, np.concatenate([done, others]))
    return int(have.sum())


def _fill(
    records: Records, todo: Any, pictures: Pictures, first: Any, scale: seeing.Scale | None, faults: Faults
) -> None:
    looker = seeing.Looker()

    def one(number: int) -> Any:
        try:
            image = pictures.image(int(first[number]))
        except UnreadableImageError as error:
            return str(error)
        return _measured(image, looker, scale or seeing.first_scale(max(image.shape[:2])))

    workers = min(8, os.cpu_count() or 1)
    doing = "Measuring a sample" if scale is None else "Measuring images"
    with progress(len(todo), doing) as advance, one_thread_each(), ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(todo), _BATCH):  # in batches, so that pending results stay few
            batch = todo[start : start + _BATCH].tolist()
            for number, result in zip(batch, pool.map(one, batch), strict=True):
                if isinstance(result, str):
                    faults[number] = result
                else:
                    for name, value in result.items():
                        records[name][number] = value
                advance(1)


def _measured(image: Image, looker: seeing.Looker, scale: seeing.Scale) -> dict[str, Any]:
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    counts = cv2.calcHist([gray], [0], None, [256], [0, 256]).ravel()
    mean, spread = (float(v.item()) for v in cv2.meanStdDev(gray))
    near = np.convolve(counts, np.ones(2 * _SAME_GREY + 1), "same")
    seen = looker.look(gray, scale)  # type: ignore[arg-type]
    return {
        "width": gray.shape[1],
        "height": gray.shape[0],
        "brightness": mean,
        "contrast": spread,
        "sharpness": sharpness(gray),  # type: ignore[arg-type]
        "flat": float(near.max() / gray.size),
        "box": seen.box if seen.box is not None else (np.nan,) * 4,
        "neighbors": seen.neighbors,
        "face": seen.face,
    }


def sharpness(gray: Image) -> float:
    """The variance of the Laplacian (Pech-Pacheco et al. 2000) of a grey image, scaled to a longer side of 96."""
    scale = SHARPNESS_SIDE / max(gray.shape)
    height, width = (max(1, round(s * scale)) for s in gray.shape)
    return float(cv2.Laplacian(resize(gray, height, width, "area"), cv2.CV_32F).var())


@contextmanager
def one_thread_each() -> Iterator[None]:
    """OpenCV's own threads would take turns with ours."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


# ------------------------------------------------------------------------------------------------------- the cache


def _path(cache_dir: Path | None, key: str) -> Path | None:
    if cache_dir is None:
        return None
    version = f"{VERSION} {seeing.VERSION} opencv {cv2.__version__} {key}"
    return cache_dir / f"audit-{hashlib.sha256(version.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.npy"


def _read(path: Path | None) -> Records:
    """What is remembered, sorted by hash; nothing where the file is missing or damaged."""
    nothing = np.zeros(0, _RECORD)
    if path is None or not path.is_file():
        return nothing
    try:
        with path.open("rb") as file:
            records = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return nothing
    if records.dtype != _RECORD or records.ndim != 1:
        return nothing
    return np.asarray(records[np.argsort(records["hash"], kind="stable")])


def _write(path: Path, records: Records) -> None:
    with suppress(OSError), files.replacing_in_cache(path) as temporary, temporary.open("wb") as file:
        np.save(file, records)
