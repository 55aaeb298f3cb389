"""What is measured of a picture, and that nothing is measured twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emotion.audit import distributions
from emotion.audit.pictures import Pictures
from emotion.data import measuring, seeing
from emotion.data.examples import Examples, Splits
from emotion.data.fingerprint import hash_pixels
from emotion.faces.formats import UnreadableImageError
from tests.audit.conftest import drawn
from tests.helpers.pictures import read_picture


def pictures(images: Any = None, paths: Any = None) -> Pictures:
    read = images if images is not None else [read_picture(p) for p in paths]
    hashes = np.array([hash_pixels(i) for i in read], "S16")
    everything = Examples(np.zeros(len(read), np.int64), hashes, images, None if paths is None else np.array(paths))
    nothing = everything.take(np.arange(0))
    return Pictures.of(Splits(everything, nothing, nothing, fingerprint={}))


@pytest.fixture(scope="module")
def some() -> Any:
    return np.stack([drawn(person, "happy") for person in range(12)])


def test_brightness_contrast_and_flatness() -> None:
    half = np.zeros((40, 60), np.uint8)
    half[:, 30:] = 200
    flat = np.full((40, 60), 77, np.uint8)
    records = measuring.measure(pictures(np.stack([half, flat])), None, "").records
    assert records["width"].tolist() == [60, 60]
    assert records["height"].tolist() == [40, 40]
    assert records["brightness"] == pytest.approx([100, 77])
    assert records["contrast"] == pytest.approx([100, 0])
    assert records["flat"] == pytest.approx([0.5, 1])
    assert records["face"].tolist() == [False, False]


def test_flat_pictures_have_one_bin_of_sharpness() -> None:
    flat = pictures(np.stack([np.full((40, 60), 20 * i, np.uint8) for i in range(3)]))
    found = {d.name: d for d in distributions.of(flat, measuring.measure(flat, None, ""))}
    assert found["sharpness"].edges == (-0.5, 0.5)
    assert found["sharpness"].shares == {"train": (1.0,)}


def test_blur_lowers_sharpness_at_every_size() -> None:
    for size in (48, 96, 240):
        image = np.asarray(cv2.cvtColor(drawn(0, "happy", size), cv2.COLOR_BGR2GRAY), np.uint8)
        blurred = cv2.GaussianBlur(image, (0, 0), size / 30)
        assert measuring.sharpness(np.asarray(blurred, np.uint8)) < 0.5 * measuring.sharpness(image)


@pytest.mark.slow
def test_a_second_audit_measures_only_what_is_new(some: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = measuring.measure(pictures(some[:10]), tmp_path, "mine")
    assert first.remembered == 0
    looked: list[Any] = []
    look = seeing.Looker.look
    monkeypatch.setattr(seeing.Looker, "look", lambda self, *given: looked.append(1) or look(self, *given))
    again = measuring.measure(pictures(some[:10]), tmp_path, "mine")
    assert again.remembered == 10
    assert not looked
    np.testing.assert_array_equal(again.records, first.records)
    assert measuring.measure(pictures(some[2:]), tmp_path, "mine").remembered == 8
    assert measuring.measure(pictures(some[:10]), tmp_path, "other").remembered == 0


def test_identical_pictures_are_measured_once(some: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []
    look = seeing.Looker.look
    monkeypatch.setattr(seeing.Looker, "look", lambda self, *given: looked.append(1) or look(self, *given))
    found = measuring.measure(pictures(np.stack([some[0]] * 9)), None, "")
    assert len(looked) == 2  # once in the sample, once for good
    assert len(set(found.records["sharpness"].tolist())) == 1


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", b"no array"])
def test_a_damaged_cache_is_made_anew(some: Any, tmp_path: Path, damage: bytes) -> None:
    first = measuring.measure(pictures(some), tmp_path, "mine")
    caches = list(tmp_path.iterdir())
    assert len(caches) == 2
    for cache in caches:
        cache.write_bytes(damage)
    again = measuring.measure(pictures(some), tmp_path, "mine")
    assert again.remembered == 0
    np.testing.assert_array_equal(again.records, first.records)
    assert measuring.measure(pictures(some), tmp_path, "mine").remembered == len(some)


@pytest.mark.slow
def test_what_was_done_before_an_interruption_is_kept(
    some: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pictures(some)
    image, asked = Pictures.image, []

    def stopping(self: Pictures, i: int) -> Any:
        asked.append(i)
        if len(asked) == len(some) + 7:  # the sample is all of them here, and then they are measured
            raise KeyboardInterrupt
        return image(self, i)

    with monkeypatch.context() as patch:
        patch.setattr(Pictures, "image", stopping)
        patch.setattr(measuring, "_BATCH", 1)
        with pytest.raises(KeyboardInterrupt):
            measuring.measure(whole, tmp_path, "mine")
    assert measuring.measure(whole, tmp_path, "mine").remembered == 6


def test_a_file_that_went_away_is_a_fault_of_its_own(some: Any, tmp_path: Path) -> None:
    paths = []
    for number, image in enumerate(some[:3]):
        paths.append(str(tmp_path / f"{number}.png"))
        cv2.imwrite(paths[-1], image)
    there = pictures(paths=paths)
    Path(paths[1]).unlink()
    found = measuring.measure(there, tmp_path / "cache", "mine")
    assert list(found.faults) == [1]
    assert found.readable.tolist() == [True, False, True]
    with pytest.raises(UnreadableImageError):
        there.image(1)


@pytest.mark.slow
def test_large_pictures_with_small_faces_are_searched_where_the_faces_are() -> None:
    from emotion.data import synthetic

    frames = [synthetic.frame(seed, seed % 7, (320, 240))[0] for seed in range(10)]
    found = measuring.measure(pictures(np.stack(frames)), None, "")
    assert found.scale is not None
    assert found.scale.smallest <= 0.3
    assert found.records["face"].mean() > 0.8


def test_a_tilted_face_is_one_though_it_has_no_box() -> None:
    looker, scale = seeing.Looker(), seeing.Scale(96, 0.6)
    seen = []
    for person in range(12):
        gray = cv2.cvtColor(drawn(person, "neutral", 96), cv2.COLOR_BGR2GRAY)
        turn = cv2.getRotationMatrix2D((48, 48), 25, 1.0)
        tilted = cv2.warpAffine(gray, turn, (96, 96), borderMode=cv2.BORDER_REPLICATE)
        seen.append(looker.look(tilted, scale))  # type: ignore[arg-type]
    boxes = sum(s.box is not None for s in seen)
    assert all(s.face for s in seen if s.box is not None)
    assert sum(s.face for s in seen) > boxes + 2
