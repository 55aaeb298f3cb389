"""Near-duplicates: what the hashes take for one picture, and an index that finds what comparing all pairs finds."""

import cv2
import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from emotion.data import similar
from emotion.data.synthetic import picture
from tests.helpers.properties import max_examples


def all_pairs(hashes: np.ndarray, distance: int) -> set[tuple[int, int]]:
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None])
    near = (bits <= distance).all(axis=2)
    return {(int(i), int(j)) for i, j in np.argwhere(near) if i < j}


def linked(count: int, pairs: set[tuple[int, int]]) -> list[int]:
    return similar.groups(count, np.array(sorted(pairs), np.int64).reshape(-1, 2)).tolist()


@st.composite
def clouds(draw):
    """Hashes round a few centres, so that there are pairs at every small distance."""
    centres = draw(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), min_size=1, max_size=4))
    flips = st.lists(st.integers(0, 63), max_size=9)
    hashes = []
    for _ in range(draw(st.integers(1, 25))):
        p, d = draw(st.sampled_from(centres))
        for bit in draw(flips):
            p ^= 1 << bit
        for bit in draw(flips):
            d ^= 1 << bit
        hashes.append((p, d))
    return np.array(hashes, np.uint64)


@max_examples(40)
@given(clouds(), st.integers(0, 7))
def test_the_index_finds_what_comparing_all_pairs_finds(hashes, distance):
    found = similar.near_duplicates(hashes, distance)
    expected = all_pairs(hashes, distance)
    assert {(int(i), int(j)) for i, j in found} <= expected
    assert linked(len(hashes), {(int(i), int(j)) for i, j in found}) == linked(len(hashes), expected)
    distinct = {tuple(h) for h in hashes.tolist()}
    if len(distinct) == len(hashes):  # each copy of an equal pair is named once only
        assert {(int(i), int(j)) for i, j in found} == expected


def test_many_equal_pictures_are_not_a_million_pairs():
    hashes = np.zeros((2000, 2), np.uint64)
    pairs = similar.near_duplicates(hashes)
    assert len(pairs) == 1999
    assert set(similar.groups(2000, pairs)) == {0}


@pytest.mark.parametrize("distance", [-1, 8])
def test_distances_that_the_index_does_not_cover(distance):
    with pytest.raises(ValueError, match="0 to 7"):
        similar.near_duplicates(np.zeros((2, 2), np.uint64), distance)


def test_pairs_by_hand():
    a, far = (5, 9), (2**63 + 2**40 + 2**20 + 255, 9)
    six, seven = (5 ^ 0b111111 << 20, 9 ^ 0b111111 << 58), (5 ^ 0b1111111 << 20, 9)
    also_seven = (5, 9 ^ 0b1111111)
    hashes = np.array([far, a, six, a, seven, also_seven, six, far], np.uint64)
    pairs = similar.near_duplicates(hashes)
    assert pairs.dtype == np.int64
    # Six bits in each hash are near, seven in one are not; a copy is paired with the first of its kind alone.
    assert pairs.tolist() == [[0, 7], [1, 2], [1, 3], [2, 4], [2, 6]]
    assert similar.near_duplicates(hashes, 0).tolist() == [[0, 7], [1, 3], [2, 6]]
    assert [1, 5] in similar.near_duplicates(hashes, 7).tolist()
    assert similar.near_duplicates(hashes[:0]).shape == (0, 2)


@pytest.mark.parametrize("flipped", [range(7), range(57, 64), range(0, 63, 10), (0, 1, 16, 17, 32, 33, 48)])
def test_seven_bits_are_found_wherever_they_are(flipped):
    other = sum(1 << bit for bit in flipped)
    hashes = np.array([(0, 0), (other, other)], np.uint64)
    assert similar.near_duplicates(hashes, 7).tolist() == [[0, 1]]
    assert similar.near_duplicates(hashes, 6).tolist() == []


@pytest.mark.parametrize("candidates", [1, 3, 50])
def test_comparing_few_at_a_time_finds_the_same(monkeypatch, candidates):
    rng = np.random.default_rng(0)
    hashes = np.array([(1 << int(a), 1 << int(b)) for a, b in rng.integers(0, 64, (40, 2))], np.uint64)
    whole = similar.near_duplicates(hashes)
    assert len(whole) > 500
    monkeypatch.setattr(similar, "_CANDIDATES", candidates)
    np.testing.assert_array_equal(similar.near_duplicates(hashes), whole)


def test_groups_by_hand():
    assert similar.groups(6, np.array([[4, 2], [2, 5]])).tolist() == [0, 1, 2, 3, 2, 2]
    assert similar.groups(4, np.array([[0, 3], [3, 1]])).tolist() == [0, 0, 2, 0]
    assert similar.groups(3, np.zeros((0, 2), np.int64)).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("height", "width", "smaller"),
    [(40, 60, None), (128, 500, None), (200, 300, (128, 192)), (300, 200, (192, 128)), (1000, 129, (992, 128))],
)
@pytest.mark.parametrize("code", [None, cv2.COLOR_GRAY2BGR, cv2.COLOR_GRAY2BGRA])
def test_the_hashes_are_those_of_imagehash_on_a_small_grey_picture(height, width, smaller, code):
    rng = np.random.default_rng(0)
    grey = cv2.resize(rng.integers(0, 256, (9, 9), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.asarray(grey if code is None else cv2.cvtColor(grey, code), np.uint8)
    if smaller is not None:
        grey = cv2.resize(grey, smaller[::-1], interpolation=cv2.INTER_AREA)
    pillow = Pillow.fromarray(grey)
    expected = int(str(imagehash.phash(pillow)), 16), int(str(imagehash.dhash(pillow)), 16)
    assert similar.perceptual_hash(image) == expected


def test_colours_count_as_people_see_them():
    blue, green = np.zeros((2, 64, 64, 3), np.uint8)
    blue[:, 32:, 0] = green[:, 32:, 1] = 255  # much brighter in green
    blue[:, :32, 2] = green[:, :32, 2] = 100
    assert similar.perceptual_hash(blue) != similar.perceptual_hash(green)
    opaque = np.dstack([green, np.full((64, 64), 255, np.uint8)])
    assert similar.perceptual_hash(opaque) == similar.perceptual_hash(green)


def variants(face: np.ndarray) -> dict[str, np.ndarray]:
    height, width = face.shape[:2]
    jpeg = cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    marked = face.copy()
    cv2.putText(marked, "stock", (width // 8, height // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (200, 200, 200), 1)
    return {
        "smaller": cv2.resize(face, (width // 2, height // 2), interpolation=cv2.INTER_AREA),
        "larger": cv2.resize(face, (3 * width, 3 * height), interpolation=cv2.INTER_CUBIC),
        "compressed": jpeg,
        "brighter": cv2.convertScaleAbs(face, alpha=1.0, beta=20),
        "grey": cv2.cvtColor(face, cv2.COLOR_BGR2GRAY),
        "marked": marked,
    }


@pytest.mark.slow
def test_versions_of_a_picture_are_near_and_other_pictures_are_not():
    faces = [picture(0, n, 96, 0.5) for n in range(12)]
    hashes = [similar.perceptual_hash(face) for face in faces]
    versions = {name: [similar.perceptual_hash(variants(f)[name]) for f in faces] for name in variants(faces[0])}
    missed = []
    for name, others in versions.items():
        for i, other in enumerate(others):
            near = similar.near_duplicates(np.array([*hashes, other], np.uint64))
            partners = {int(a) for a, b in near if b == len(hashes)}
            assert partners <= {i}, f"{name}: face {i} is taken for {partners}"
            if partners != {i}:
                missed.append((name, i))
    assert len(missed) <= 0.1 * len(faces) * len(versions), missed


def test_four_channels_and_flat_pictures_have_hashes():
    flat = np.full((5, 400, 4), 7, np.uint8)
    assert similar.perceptual_hash(flat) == similar.perceptual_hash(flat[:, :, 0])
