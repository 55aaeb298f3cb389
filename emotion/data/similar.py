"""Near-duplicates: images that look the same though their pixels differ, such as one photo in two sizes.

Two images are near-duplicates if both their pHash and their dHash (ImageHash; Krawetz 2011 and 2013) differ in at
most :data:`DISTANCE` of 64 bits; ``docs/decisions/near-duplicates.md`` says why.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from emotion.faces.images import Image, resize

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Pairs = np.ndarray[Any, np.dtype[np.int64]]

#: Bits of 64 that each of the two hashes may differ in.
DISTANCE = 6

_BITS = 64
_BANDS = 4  # 16 bits each
_BUCKETS = 1 << (_BITS // _BANDS)
_CANDIDATES = 1 << 22  # how many are compared at once: some 200 MB
_SIDE = 128  # pixels; both hashes look at 32x32 or less


def perceptual_hash(image: Image) -> tuple[int, int]:
    """The pHash and dHash, 64 bits each, of uint8 ``[H, W]`` grey, ``[H, W, 3]`` BGR or ``[H, W, 4]`` BGRA."""
    import imagehash  # imports SciPy, which takes half a second, so only where hashes are needed
    from PIL import Image as Pillow

    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if image.shape[2] == 3 else cv2.COLOR_BGRA2GRAY)  # type: ignore[assignment]
    height, width = image.shape
    scale = _SIDE / min(height, width)
    if scale < 1:
        image = resize(image, max(1, round(height * scale)), max(1, round(width * scale)), "area")
    pillow = Pillow.fromarray(image)
    p, d = (
        int.from_bytes(np.packbits(h.hash.ravel()).tobytes(), "big")
        for h in (imagehash.phash(pillow), imagehash.dhash(pillow))
    )
    return p, d


def near_duplicates(hashes: Hashes, distance: int = DISTANCE) -> Pairs:
    """All pairs of images whose two hashes both differ in at most ``distance`` bits.

    The index is multi-index hashing (Norouzi, Punjani and Fleet 2012): pHashes that differ in at most 7 of 64 bits
    differ in at most one bit in one of four bands of 16. Candidates come from tables of these bands.

    Args:
        hashes: uint64 ``[N, 2]``, from :func:`perceptual_hash`.
        distance: 0 to 7.

    Returns:
        int64 ``[P, 2]``, rows ``i < j`` in ascending order. Of images with equal hashes each is paired with the first
        alone, and only the first with others: that links the same images with far fewer pairs.

    Raises:
        ValueError: A distance that the index does not cover.
    """
    if not 0 <= distance < 2 * _BANDS:
        raise ValueError(f"distance is {distance}, must be 0 to {2 * _BANDS - 1}")
    hashes = np.asarray(hashes, np.uint64).reshape(-1, 2)
    distinct, first, which = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    which = which.reshape(-1)
    copies = np.flatnonzero(first[which] != np.arange(len(hashes)))
    same = np.stack([first[which[copies]], copies], axis=1)
    pairs_by_band = [same.astype(np.int64)]
    for table in range(_BANDS):
        pairs_by_band += [np.sort(first[pairs], axis=1) for pairs in _in_band(distinct, table, distance)]
    return np.unique(np.concatenate(pairs_by_band), axis=0)


def groups(count: int, pairs: Pairs) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The smallest row of the group that pairs, int64 ``[P, 2]``, link each image to, directly or through others.

    Returns:
        int64 ``[count]``; an image's own row where it is linked to none.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    number, component = connected_components(links, directed=False)
    smallest = np.full(number, count, np.int64)
    np.minimum.at(smallest, component, np.arange(count))
    return np.asarray(smallest[component])


def _in_band(hashes: Hashes, band: int, distance: int) -> list[Pairs]:
    """Pairs of different hashes whose pHashes differ in at most one bit of this band."""
    width = _BITS // _BANDS
    p, d = np.ascontiguousarray(hashes[:, 0]), np.ascontiguousarray(hashes[:, 1])
    key = ((p >> np.uint64(band * width)) & np.uint64(_BUCKETS - 1)).astype(np.int64)
    order = np.argsort(key, kind="stable")
    starts = np.searchsorted(key[order], np.arange(_BUCKETS + 1))
    flips = [0] + ([1 << bit for bit in range(width)] if distance >= _BANDS else [])
    pairs = []
    for flip in flips:
        low, high = starts[key ^ flip], starts[(key ^ flip) + 1]
        ends = np.cumsum(high - low)
        begin = 0
        while begin < len(p):
            done = ends[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, done + _CANDIDATES, side="right")))
            sizes = (high - low)[begin:end]
            first = np.repeat(np.arange(begin, end), sizes)
            within = np.arange(len(first)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            second = order[np.repeat(low[begin:end], sizes) + within]
            near = first < second
            first, second = first[near], second[near]
            near = np.bitwise_count(p[first] ^ p[second]) <= distance
            first, second = first[near], second[near]
            near = np.bitwise_count(d[first] ^ d[second]) <= distance
            pairs.append(np.stack([first[near], second[near]], axis=1))
            begin = end
    return pairs
