"""Duplicates across splits and labels, and what leaving them out leaves."""

from dataclasses import replace

import numpy as np
import pytest
from omegaconf import DictConfig

from emotion.base.errors import UserError
from emotion.data import duplicates
from emotion.data.examples import Examples
from emotion.data.similar import perceptual_hash
from emotion.data.synthetic import picture

#: Looks that are far from each other; an upper case letter is its lower case one with a few bits changed.
_CENTRES = {name: int(np.random.default_rng(i).integers(0, 2**63)) for i, name in enumerate("abcdeghi")}
LOOKS = _CENTRES | {name.upper(): look ^ 0b1011 for name, look in _CENTRES.items()}


def examples(labels: list[int], names: str, looks: str) -> Examples:
    """One picture a letter: equal letters have equal pixels; looks of one letter in either case are alike."""
    return Examples(
        labels=np.array(labels, np.int64),
        hashes=np.array([name * 16 for name in names], "S16"),
        paths=np.array([f"{i}{name}.png" for i, name in enumerate(names)], np.str_),
        perceptual=np.array([[LOOKS[look]] * 2 for look in looks], np.uint64).reshape(-1, 2),
    )


PARTS = {
    # a is in the test too, b looks like a test picture; c twice; d under two labels; e and f look alike, labels differ.
    "train": examples([0, 1, 2, 2, 3, 4, 5, 6, 0], "abccddefg", "abccddeEg"),
    "validation": examples([1, 1], "hi", "hB"),
    "test": examples([0, 1], "aj", "aB"),
}


def found() -> duplicates.Duplicates:
    return duplicates.find(PARTS, {s: e.perceptual for s, e in PARTS.items()})


def test_groups_over_all_splits():
    d = found()
    assert d.exact.tolist() == [0, 1, 2, 2, 4, 4, 6, 7, 8, 9, 10, 0, 12]
    assert d.near[6] == d.near[7] == 6
    assert d.near[1] == d.near[10] == d.near[12]
    assert d.repeated(d.exact).tolist() == [True, False, True, True, True, True] + [False] * 5 + [True, False]
    assert d.conflicting(d.exact).nonzero()[0].tolist() == [4, 5]
    assert d.conflicting(d.near).nonzero()[0].tolist() == [4, 5, 6, 7]
    assert (d.within("train") & d.shared_with(d.exact, "test")).nonzero()[0].tolist() == [0]


def test_without_looks_only_equal_pixels_count():
    d = duplicates.find(PARTS)
    assert d.near.tolist() == d.exact.tolist() == found().exact.tolist()


def kept(mode: str) -> dict[str, list[str]]:
    parts, said = duplicates.drop(PARTS, DictConfig({"drop_duplicates": mode, "cache_dir": "unused"}))
    assert bool(said) == (mode != "none")
    return {split: [str(p)[1] for p in e.paths] for split, e in parts.items()}


def test_what_each_mode_leaves_out():
    assert kept("none") == {"train": list("abccddefg"), "validation": ["h", "i"], "test": ["a", "j"]}
    assert kept("train_vs_test") == {"train": list("ccddefg"), "validation": ["h"], "test": ["a", "j"]}
    assert kept("all") == {"train": ["c", "g"], "validation": ["h"], "test": ["a", "j"]}


@pytest.mark.parametrize("mode", ["train_vs_test", "all"])
def test_validation_is_held_out_from_training_as_the_test_is_from_both(mode):
    parts = {
        "train": examples([0, 1, 2], "abc", "abc"),
        "validation": examples([0, 1], "Ad", "Ad"),  # A looks like a
        "test": examples([1, 2], "eD", "eD"),
    }
    left, said = duplicates.drop(parts, DictConfig({"drop_duplicates": mode, "cache_dir": "unused"}))
    assert [str(p) for p in left["train"].paths] == ["1b.png", "2c.png"]
    assert [str(p) for p in left["validation"].paths] == ["0A.png"]
    assert left["test"].hashes.tolist() == parts["test"].hashes.tolist()
    assert ["repeat or contradict" in sentence for sentence in said] == [mode == "all"] * 2


def test_the_log_says_how_many(capsys):
    _, said = duplicates.drop(PARTS, DictConfig({"drop_duplicates": "all", "cache_dir": "unused"}))
    assert "Left out of training: 2 images" in said[0]
    assert "5 that repeat or contradict" in said[0]
    assert "Left out of validation: 1 images" in said[1]


def test_a_split_that_would_be_empty_is_refused():
    parts = {**PARTS, "validation": PARTS["test"]}
    with pytest.raises(UserError, match="no image in validation"):
        duplicates.drop(parts, DictConfig({"drop_duplicates": "train_vs_test", "cache_dir": "unused"}))


def test_groups_do_not_depend_on_the_order():
    train = PARTS["train"]
    groups = duplicates.group_hashes(train)
    order = np.random.default_rng(0).permutation(len(train))
    assert duplicates.group_hashes(train.take(order)).tolist() == groups[order].tolist()
    assert groups[6] == groups[7] != groups[8]


def test_pictures_of_one_origin_are_one_group_with_all_that_looks_like_them():
    origin = np.array(["film", "", "film", "clip", "clip", "", "", "", ""])
    #          look:    a      b     c       c       d      d     E    E    g
    train = replace(PARTS["train"], origin=origin)
    groups = duplicates.group_hashes(train)
    ids = np.unique(groups, return_inverse=True)[1]
    joined = [0, 2, 3, 4, 5]  # a film, whose second picture is in a clip too, whose second has a copy
    assert len(set(ids[joined])) == 1
    assert ids[6] == ids[7]
    assert len(set(ids.tolist())) == 4, "no origin is no common origin"
    assert set(groups[joined]) == {min(train.hashes[joined])}
    order = np.random.default_rng(1).permutation(len(train))
    assert duplicates.group_hashes(train.take(order)).tolist() == groups[order].tolist()


def test_an_origin_counts_without_looks_and_looks_without_an_origin():
    train = replace(PARTS["train"], perceptual=None)
    assert duplicates.group_hashes(train) is train.hashes
    origin = np.array(["", "film", "", "", "", "", "film", "", ""])
    ids = np.unique(duplicates.group_hashes(replace(train, origin=origin)), return_inverse=True)[1].tolist()
    assert ids[1] == ids[6]
    assert ids[2] == ids[3]
    assert ids[6] != ids[7], "these only look alike"
    assert len(set(ids)) == 6


@pytest.fixture
def drawn() -> Examples:
    images = np.stack([picture(0, n, 48, 0.5) for n in range(8)])
    hashes = np.array([bytes([n + 1]) * 16 for n in range(8)], "S16")
    return Examples(labels=np.arange(8), hashes=hashes, images=images)


def test_perceptual_hashes_are_kept(drawn, tmp_path):
    first = duplicates.perceptual_hashes(drawn, tmp_path)
    (file,) = tmp_path.iterdir()
    np.save(file, first + 1)
    assert (duplicates.perceptual_hashes(drawn, tmp_path) == first + 1).all()  # read, not computed
    file.write_bytes(b"damaged")
    assert (duplicates.perceptual_hashes(drawn, tmp_path) == first).all()
    assert (np.load(file) == first).all()
    assert (duplicates.perceptual_hashes(drawn, None) == first).all()


@pytest.mark.parametrize("content", [np.zeros((7, 2), np.uint64), np.zeros((8, 2), np.int64), np.zeros(16, np.uint64)])
def test_other_hashes_in_the_cache_are_not_taken(drawn, tmp_path, content):
    first = duplicates.perceptual_hashes(drawn, tmp_path)
    (file,) = tmp_path.iterdir()
    np.save(file, content)
    np.testing.assert_array_equal(duplicates.perceptual_hashes(drawn, tmp_path), first)


def test_each_set_of_pictures_has_its_own_hashes_in_the_cache(drawn, tmp_path):
    first = duplicates.perceptual_hashes(drawn, tmp_path)
    for i in range(8):
        assert tuple(first[i].tolist()) == perceptual_hash(drawn.images[i])
    rows = np.array([5, 2])
    np.testing.assert_array_equal(duplicates.perceptual_hashes(drawn.take(rows), tmp_path), first[rows])
    assert len(list(tmp_path.iterdir())) == 2


def test_dropping_keeps_the_hashes_in_the_cache(drawn, tmp_path):
    parts = {split: drawn.take(rows) for split, rows in
             {"train": np.arange(4), "validation": np.array([4, 5]), "test": np.array([6, 7, 0])}.items()}  # fmt: skip
    left, _ = duplicates.drop(parts, DictConfig({"drop_duplicates": "train_vs_test", "cache_dir": str(tmp_path)}))
    assert left["train"].labels.tolist() == [1, 2, 3]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_cache_that_cannot_be_written_is_none(drawn, tmp_path):
    (tmp_path / "file").touch()
    found = duplicates.perceptual_hashes(drawn, tmp_path / "file" / "cache")
    np.testing.assert_array_equal(found, duplicates.perceptual_hashes(drawn, None))
