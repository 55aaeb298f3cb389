"""Faces that were cut with known margins: the audit gives these margins back."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.audit.pictures import Pictures
from emotion.data import framing, measuring, seeing, synthetic
from emotion.data.examples import Examples, Splits
from emotion.data.fingerprint import hash_pixels
from emotion.data.measuring import Measured
from emotion.faces import images as faces
from emotion.faces.contract import CROP_MARGINS

_PEOPLE = 30


@cache
def frames() -> list[tuple[Any, faces.Box]]:
    """Whole pictures of people, and where the cascade's box is."""
    return [synthetic.frame(seed, seed % 7, noise=0.6) for seed in range(_PEOPLE)]


def derived(images: Any) -> framing.Framing:
    everything = Examples(np.zeros(len(images), np.int64), np.array([hash_pixels(i) for i in images], "S16"), images)
    nothing = everything.take(np.arange(0))
    pictures = Pictures.of(Splits(everything, nothing, nothing, fingerprint={}))
    return framing.of(measuring.measure(pictures, None, ""))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("margin", "size"),
    [
        (-0.08, 48),
        (0.0, 112),
        (0.3, 112),
        *(pytest.param(margin, 48, marks=pytest.mark.slow) for margin in (0.0, 0.15, 0.6, 1.0)),
    ],
)
def test_gives_the_margin_back(margin: float, size: int) -> None:
    crops = np.stack([faces.resize(faces.crop(f, box, margin), size, size, "area") for f, box in frames()])
    found = derived(crops)
    assert found.margin == pytest.approx(margin, abs=0.05)
    assert found.pictures >= 0.7 * _PEOPLE
    assert abs(found.right or 0) < 0.03
    assert abs(found.down or 0) < 0.03


@pytest.mark.slow
def test_sees_that_faces_are_off_the_middle() -> None:
    crops = []
    for frame, box in frames():
        moved = faces.Box(box.x, box.y - round(0.15 * box.height), box.width, box.height)
        crops.append(faces.resize(faces.crop(frame, moved, 0.3), 64, 64, "area"))
    found = derived(np.stack(crops))
    assert found.down == pytest.approx(0.15 / 1.6, abs=0.03)


@pytest.mark.slow
def test_too_few_boxes_derive_nothing() -> None:
    crops = np.stack([faces.resize(faces.crop(f, b, 0.1), 48, 48, "area") for f, b in frames()[:15]])
    found = derived(crops)
    assert found.margin is None
    assert "too few" in found.sentence()
    noise = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)
    assert derived(noise).pictures == 0


@given(st.floats(0.2, 1.6))
def test_a_crop_with_the_margin_has_the_share_that_it_was_derived_from(share: float) -> None:
    assert 1 / (1 + 2 * framing.margin_of(share)) == pytest.approx(share)


@given(st.lists(st.floats(0.15, 1.4), min_size=20, max_size=60), st.floats(0.0, 0.4))
def test_a_wider_crop_means_a_larger_margin(shares: list[float], wider: float) -> None:
    def of(values: list[float]) -> float:
        records = np.zeros(len(values), measuring._RECORD)
        records["box"] = np.array([(0.5 - v / 2, 0.5 - v / 2, v, v) for v in values])
        records["neighbors"], records["width"], records["height"] = framing.NEIGHBORS, 48, 48
        margin = framing.of(Measured(records)).margin
        assert margin is not None
        assert CROP_MARGINS[0] <= margin <= CROP_MARGINS[1]
        return margin

    assert of([s / (1 + wider) for s in shares]) >= of(shares) - 1e-3


@given(st.lists(st.floats(0.01, 2.0), max_size=40))
def test_the_smallest_face_that_is_looked_for_is_large_enough_for_the_cascade(shares: list[float]) -> None:
    scale = seeing.scale_for(shares)
    assert 96 <= scale.side <= 480
    assert 0.05 <= scale.smallest <= 0.6
    assert scale.side * scale.smallest >= 24
    if len(shares) >= 10:
        assert scale.smallest <= max(0.05, 0.86 * np.percentile(shares, 5))
