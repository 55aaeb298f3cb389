"""The fingerprint of data, and how FER2013 is recognised by counts and a sample of hashes."""

import json

import numpy as np
import pytest

from emotion.data.examples import Examples
from emotion.data.fingerprint import bottom_k, fingerprint, hash_pixels, load_sketch, recognise_fer2013
from emotion.faces.labels import EMOTIONS

# Goodfellow et al. 2013, in FER2013's order: angry, disgust, fear, happy, sad, surprise, neutral.
PUBLISHED = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
    "PrivateTest": (491, 55, 528, 879, 594, 416, 626),
}
FER_ORDER = ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")


def pictures(seed: int = 0, n: int = 30) -> Examples:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 5, 4), np.uint8)
    hashes = np.array([hash_pixels(i) for i in images], "S16")
    return Examples(labels=rng.integers(0, 7, n), hashes=hashes, images=images)


def official(usage: str, altered: float = 0.0) -> Examples:
    """As many rows as published, with the sample's hashes among them; the share ``altered`` of those is another."""
    sketch = load_sketch()
    labels = np.repeat(np.arange(7), [sketch["counts"][usage][e] for e in EMOTIONS])
    rng = np.random.default_rng(len(usage))
    hashes = rng.integers(0, 256, (len(labels), 16), np.uint8)
    sample = sketch["sample"].get(usage, [])
    for i, h in enumerate(sample[round(altered * len(sample)) :]):
        hashes[i, :8] = list(bytes.fromhex(h))
    return Examples(labels=labels, hashes=hashes.view("S16").ravel(), paths=np.full(len(labels), "x.png"))


def test_hashes_tell_pixels_and_shape_apart_but_not_grey_from_grey_in_three_channels():
    grey = np.arange(48 * 32, dtype=np.uint8).reshape(48, 32)
    bgr = np.repeat(grey[:, :, None], 3, axis=2)
    assert hash_pixels(grey) == hash_pixels(bgr) == hash_pixels(grey[:, :, None])
    assert hash_pixels(grey) != hash_pixels(grey.reshape(32, 48))
    assert hash_pixels(np.asfortranarray(grey)) == hash_pixels(grey)
    colour = bgr.copy()
    colour[7, 7, 2] ^= 1
    assert len({hash_pixels(grey), hash_pixels(colour), hash_pixels(colour[:, :, ::-1])}) == 3


def test_fingerprint_is_json_counts_and_independent_of_order():
    a, b = pictures(0), pictures(1)
    print_ = fingerprint("folder", {"train": a, "validation": b, "test": b})
    assert json.loads(json.dumps(print_)) == print_
    assert print_["dataset"] == "folder"
    assert print_["recognised"] is None
    assert sum(print_["counts"]["train"].values()) == len(a)
    assert print_["counts"]["train"]["sad"] == int((a.labels == 5).sum())
    assert print_["pixels_by_split"]["validation"] == print_["pixels_by_split"]["test"]
    mixed = a.take(np.random.default_rng(0).permutation(len(a)))
    assert fingerprint("folder", {"test": b, "train": mixed, "validation": b}) == print_


def test_fingerprint_changes_with_a_pixel_a_label_a_split_and_a_copy():
    a, b = pictures(0), pictures(1)
    other_label = Examples(labels=(a.labels + (np.arange(len(a)) == 3)) % 7, hashes=a.hashes, images=a.images)
    other_pixel = Examples(labels=a.labels, hashes=np.concatenate([a.hashes[:-1], b.hashes[:1]]), images=a.images)
    variants = [{"train": x, "test": b} for x in (a, other_label, other_pixel, a.take(np.r_[0, 0 : len(a)]))]
    variants.append({"train": b, "test": a})
    assert len({fingerprint("folder", v)["pixels"] for v in variants}) == 5


def test_hashes_that_end_in_zeros_count_in_full():
    # NumPy hands such byte strings to Python without their trailing zeros.
    hashes = np.frombuffer(b"\x01" * 15 + b"\x00" + b"\x00" * 16, "S16")
    data = Examples(labels=np.array([0, 1]), hashes=hashes, paths=np.array(["a", "b"]))
    swapped = Examples(labels=np.array([1, 0]), hashes=hashes, paths=np.array(["a", "b"]))
    assert bottom_k(hashes) == ["00" * 8, "01" * 8]
    assert fingerprint("x", {"train": data})["pixels"] != fingerprint("x", {"train": swapped})["pixels"]


def test_the_shipped_counts_are_the_published_ones():
    for usage, counts in PUBLISHED.items():
        assert load_sketch()["counts"][usage] == dict(zip(FER_ORDER, counts, strict=True))
    assert sum(map(sum, PUBLISHED.values())) == 35887
    assert {u: len(set(s)) for u, s in load_sketch()["sample"].items()} == {"Training": 256, "PublicTest": 256}


def test_recognised_whole_and_in_part():
    train, public, private = official("Training"), official("PublicTest"), official("PrivateTest")
    whole = {"train": train, "validation": public, "test": private}
    assert recognise_fer2013(whole) == "FER2013 as published"
    held, rest = np.arange(0, len(train), 10), np.delete(np.arange(len(train)), np.s_[::10])
    dev = {"train": train.take(rest), "validation": train.take(held), "test": public}
    assert recognise_fer2013(dev) == "FER2013 as published (PrivateTest missing)"
    swapped = {"train": public, "validation": train, "test": private}
    assert recognise_fer2013(swapped) == "FER2013 as published, divided otherwise than its official splits"
    assert recognise_fer2013({"train": train}) == "FER2013 as published (PublicTest and PrivateTest missing)"


@pytest.mark.parametrize(
    ("altered", "sentence"),
    [
        (0.0, "FER2013 as published (PrivateTest missing)"),
        (0.01, "FER2013 as published (PrivateTest missing)"),
        # 2 of 2 x 256 are in Training and in PublicTest: they count once, and are found where either has them.
        (0.25, "a mirror of FER2013 with altered pixels (384 of 510 sampled images match) (PrivateTest missing)"),
        (1.0, "a mirror of FER2013 with altered pixels (0 of 510 sampled images match) (PrivateTest missing)"),
    ],
)
def test_altered_pixels_are_said(altered, sentence):
    assert (
        recognise_fer2013({"train": official("Training", altered), "test": official("PublicTest", altered)}) == sentence
    )


def test_other_counts_are_said():
    train = official("Training")
    some_lost = train.take(np.arange(len(train) - 5))
    assert "counts that differ a little" in str(recognise_fer2013({"train": some_lost}))
    relabelled = Examples(labels=(train.labels + 1) % 7, hashes=train.hashes, paths=train.paths)
    said = recognise_fer2013({"train": relabelled})
    assert said == "a part or a relabelled version of FER2013 (256 of 510 sampled images match; other counts)"


def test_other_data_is_not_recognised():
    assert recognise_fer2013({"train": pictures(), "validation": pictures(1), "test": pictures(2)}) is None
    private = recognise_fer2013({"test": official("PrivateTest")})
    assert private is not None
    assert "pixels not checked" in private
