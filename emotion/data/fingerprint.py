"""Which data a run was made of: hashes over decoded pixels, and whether they are FER2013's.

Hashes are taken after decoding, so the same images as CSV rows and as lossless files are the same data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from emotion.data.examples import Examples
from emotion.faces.images import Image
from emotion.faces.labels import EMOTIONS

_SKETCH = Path(__file__).with_name("fer2013_sketch.json")
#: Share of the sampled images that must be there for "as published": 161 images are known in several versions.
_PUBLISHED = 0.98
#: Below this share of the sample, images in common are a coincidence that is not worth a sentence.
_SOME = 0.02


def hash_pixels(image: Image) -> bytes:
    """16 bytes that are equal only for images of equal shape and pixels (SHA-256, cut short).

    Images are uint8 ``[H, W]``, ``[H, W, 1]`` or ``[H, W, 3]``. A BGR image whose three channels are equal counts as
    its grey image, so a grey file hashes the same whether it was decoded to grey or to colour.
    """
    if image.ndim == 3 and (image.shape[2] == 1 or (image == image[:, :, :1]).all()):
        image = image[:, :, 0]
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()[:16]


def fingerprint(
    name: str, splits: Mapping[str, Examples], recognised: str | None = None, labels: Sequence[str] = EMOTIONS
) -> dict[str, Any]:
    """Describe the data of a run; independent of the order of the images.

    ``recognised`` is the answer of :func:`recognise_fer2013`, where it was called before images were left out.

    Returns:
        JSON-ready ``{"dataset", "counts": {split: {emotion: n}}, "pixels", "pixels_by_split", "recognised"}``. The
        ``pixels`` are SHA-256 digests in hex over the sorted pairs of pixel hash and label, and target where there is
        one.
    """
    by_split = {split: _digest(examples) for split, examples in splits.items()}
    together = "\n".join(f"{split} {by_split[split]}" for split in sorted(by_split))
    counts = {split: _counts(examples, len(labels)).tolist() for split, examples in splits.items()}
    return {
        "dataset": name,
        "counts": {split: dict(zip(labels, row, strict=True)) for split, row in counts.items()},
        "pixels": hashlib.sha256(together.encode()).hexdigest(),
        "pixels_by_split": by_split,
        "recognised": recognise_fer2013(splits) if recognised is None else recognised,
    }


def recognise_fer2013(splits: Mapping[str, Examples]) -> str | None:
    """Describe whether all images of a dataset are FER2013, and whether its pixels are the published ones.

    Counts per emotion are compared with the published ones, pixels with a sample: the 256 smallest pixel hashes of
    Training and of PublicTest (a bottom-k sketch, Cohen and Kaplan 2007). PrivateTest is known by its counts alone.

    Returns:
        A sentence without a full stop, or None where the data has nothing to do with FER2013.
    """
    sketch = load_sketch()
    here = {h.hex() for examples in splits.values() for h in _prefixes(examples.hashes)}

    usages, exact = _match_counts(splits)
    n, m = _sampled(here, usages or sketch["counts"])
    if usages:
        missing = [u for u in sketch["counts"] if u not in usages]
        parts = f" ({' and '.join(missing)} missing)" if missing else ""
        if not m:
            return f"FER2013's counts{parts}, pixels not checked: the published sample does not cover this split"
        if n < _PUBLISHED * m:
            return f"a mirror of FER2013 with altered pixels ({n} of {m} sampled images match){parts}"
        if not exact:
            return f"FER2013's pixels, but counts that differ a little from the published ones{parts}"
        divided = "" if _divided_as_published(splits, usages) else ", divided otherwise than its official splits"
        return f"FER2013 as published{parts}{divided}"
    if n >= _SOME * m:
        return f"a part or a relabelled version of FER2013 ({n} of {m} sampled images match; other counts)"
    return None


def bottom_k(hashes: Any, k: int = 256) -> list[str]:
    """The k smallest of the different hashes, first 8 bytes each, as hex: a sample that needs no images."""
    return sorted({h.hex() for h in _prefixes(hashes)})[:k]


@cache
def load_sketch() -> dict[str, Any]:
    """FER2013's published counts (``{usage: {emotion: n}}``) and a sample of its pixel hashes (``{usage: [hex]}``)."""
    sketch: dict[str, Any] = json.loads(_SKETCH.read_text())
    return sketch


def published_counts(usages: Iterable[str]) -> Any:
    """int64 ``[7]``: images per emotion in these official splits together."""
    counts = load_sketch()["counts"]
    return np.array([[counts[u][e] for e in EMOTIONS] for u in usages], np.int64).reshape(-1, len(EMOTIONS)).sum(0)


def _sampled(here: set[str], usages: Iterable[str]) -> tuple[int, int]:
    """How many of the sampled images of these official splits are here, and how many there are."""
    sample = {h for usage in usages for h in load_sketch()["sample"].get(usage, ())}  # a few are in two splits
    return len(sample & here), len(sample)


def _match_counts(splits: Mapping[str, Examples]) -> tuple[tuple[str, ...], bool]:
    """The official splits whose counts add up to these images, and whether they do so exactly."""
    have = sum((_counts(e) for e in splits.values()), np.zeros(len(EMOTIONS), np.int64))
    names = tuple(load_sketch()["counts"])
    subsets = [s for size in (3, 2, 1) for s in combinations(names, size)]
    for tolerance in (0.0, 0.01):
        for subset in subsets:
            want = published_counts(subset)
            if (np.abs(have - want) <= np.ceil(tolerance * want)).all():
                return subset, tolerance == 0
    return (), False


def _divided_as_published(splits: Mapping[str, Examples], usages: tuple[str, ...]) -> bool:
    """Whether Training is what is trained and validated on, or PublicTest is validation and PrivateTest is test."""
    counts = {split: _counts(examples) for split, examples in splits.items()}
    none = np.zeros(len(EMOTIONS), np.int64)
    train, validation = counts.get("train", none), counts.get("validation", none)
    training = published_counts(u for u in usages if u == "Training")
    official = (validation == published_counts(["PublicTest"])).all() and len(usages) == 3
    return bool((train == training).all()) if official else bool((train + validation == training).all())


def _counts(examples: Examples, classes: int = len(EMOTIONS)) -> Any:
    return np.bincount(examples.labels, minlength=classes)


def _bytes(hashes: Any) -> Any:
    """uint8 ``[N, 16]``: NumPy drops a byte string's trailing zeros on the way to Python, this view does not."""
    return np.ascontiguousarray(hashes, "S16").view(np.uint8).reshape(-1, 16)


def _prefixes(hashes: Any) -> list[bytes]:
    return [row.tobytes() for row in _bytes(hashes)[:, :8]]


def _digest(examples: Examples) -> str:
    columns = [_bytes(examples.hashes), examples.labels.astype(np.uint8)[:, None]]
    if examples.targets is not None:
        columns.append(np.ascontiguousarray(examples.targets, np.float32).view(np.uint8).reshape(len(examples), -1))
    records = np.ascontiguousarray(np.concatenate(columns, axis=1))
    return hashlib.sha256(np.sort(records.view(f"S{records.shape[1]}").ravel()).tobytes()).hexdigest()
