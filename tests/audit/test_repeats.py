"""Counting repeated pictures, held against counting them one by one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.audit import repeats
from emotion.audit.pictures import Pictures
from emotion.data import duplicates
from emotion.data.examples import SPLITS, Examples, Splits
from emotion.faces.labels import EMOTIONS, NUMBERINGS

_PICTURE = st.tuples(st.sampled_from(SPLITS), st.integers(0, 5), st.integers(0, 2))  # split, pixels, label


def built(content: list[tuple[str, int, int]]) -> tuple[Pictures, duplicates.Duplicates]:
    parts = {}
    for split in SPLITS:
        mine = [(pixels, label) for where, pixels, label in content if where == split]
        images = np.array([p for p, _ in mine], np.uint8).reshape(-1, 1, 1)
        hashes = np.array([b"%d" % p for p, _ in mine], "S16").reshape(-1)
        parts[split] = Examples(np.array([label for _, label in mine], np.int64), hashes, images)
    splits = Splits(parts["train"], parts["validation"], parts["test"], fingerprint={})
    return Pictures.of(splits), duplicates.find(parts)


@given(st.lists(_PICTURE, max_size=40))
def test_counts_equal_those_made_one_by_one(content: list[tuple[str, int, int]]) -> None:
    pictures, found = built(content)
    judged = {f.name: f for f in repeats.judge(pictures, found)}
    times = Counter(pixels for _, pixels, _ in content)
    of = {split: {p for where, p, _ in content if where == split} for split in SPLITS}
    labels = {p: {label for _, pixels, label in content if pixels == p} for p in times}

    leak = judged["leakage"].details
    tested = [p for where, p, _ in content if where == "test"]
    assert leak["test_in_train"] == sum(p in of["train"] for p in tested)
    assert leak["test_in_train_or_validation"] == sum(p in of["train"] | of["validation"] for p in tested)
    validated = [p for where, p, _ in content if where == "validation"]
    assert leak["validation_in_train"] == sum(p in of["train"] for p in validated)
    assert judged["leakage"].count == leak["test_in_train_or_validation"] + leak["validation_in_train"]
    assert len(judged["leakage"].groups) == judged["leakage"].count

    several = [p for p, n in times.items() if n > 1]
    assert judged["duplicates"].details["groups"] == len(several)
    assert judged["duplicates"].count == sum(times[p] for p in several)
    assert judged["duplicates"].details["surplus"] == sum(times[p] - 1 for p in several)
    contradicting = [p for p in times if len(labels[p]) > 1]
    assert judged["conflicts"].details["groups"] == len(contradicting)
    assert judged["conflicts"].count == sum(times[p] for p in contradicting)
    assert judged["near_duplicates"].count == judged["near_leakage"].count == 0
    for finding in judged.values():
        assert finding.met == (finding.count > 0)


def test_each_leak_is_shown_beside_its_like_in_an_earlier_split() -> None:
    pictures, found = built([("train", 1, 0), ("train", 1, 0), ("validation", 1, 0), ("test", 1, 0), ("test", 2, 0)])
    [tested, validated] = repeats.judge(pictures, found)[0].groups
    assert [pictures.split_of(i) for i in tested.pictures] == ["test", "train", "train", "validation"]
    assert [pictures.split_of(i) for i in validated.pictures] == ["validation", "train", "train"]


@pytest.mark.slow
def test_real_fer2013_holds_what_is_known_of_it(shared: Path) -> None:
    from emotion.data.fingerprint import hash_pixels

    with np.load(shared / "data" / "fer2013_dev.npz") as z:
        images, usage = z["images"], z["usage"]
        ours = np.array([EMOTIONS.index(NUMBERINGS["fer2013"][int(n)]) for n in z["labels"]], np.int64)
    hashes = np.array([hash_pixels(i) for i in images], "S16")
    whole = Examples(ours, hashes, images)
    parts = {
        "train": whole.take(np.flatnonzero(usage == "Training")),
        "validation": whole.take(np.arange(0)),
        "test": whole.take(np.flatnonzero(usage == "PublicTest")),
    }
    pictures = Pictures.of(Splits(parts["train"], parts["validation"], parts["test"], fingerprint={}))
    judged = {f.name: f for f in repeats.judge(pictures, duplicates.find(parts))}
    assert judged["leakage"].details["test_in_train"] == 280
    assert (judged["duplicates"].details["groups"], judged["duplicates"].count) == (1271, 2801)
    assert judged["conflicts"].details["groups"] == 47
