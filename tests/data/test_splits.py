"""Hold-out splits: duplicates stay together, every emotion is on both sides, the same pictures whatever their order."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig

from emotion.base.errors import UserError
from emotion.data.examples import Examples
from emotion.data.splits import assemble, complete, hold_out, limit
from emotion.faces.labels import EMOTIONS
from emotion.runs import figures
from tests.helpers.properties import max_examples


def examples(labels, groups) -> Examples:
    labels = np.asarray(labels, np.int64)
    hashes = np.array([f"{g:016d}" for g in groups], "S16")
    return Examples(labels=labels, hashes=hashes, paths=np.array([f"{i}.png" for i in range(len(labels))], np.str_))


def fer_like(n: int, seed: int = 0, duplicates: float = 0.08) -> Examples:
    """Unbalanced emotions and duplicates of two to five, as in FER2013; one duplicate in ten has two labels."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(7, n, p=[0.14, 0.02, 0.14, 0.25, 0.17, 0.17, 0.11])
    groups = np.arange(n)
    for i in np.flatnonzero(rng.random(n) < duplicates):
        j = int(rng.integers(n))
        groups[i] = groups[j]
        if rng.random() > 0.1:
            labels[i] = labels[j]
    return examples(labels, groups)


@max_examples(60)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 25)), min_size=1, max_size=80),
    st.floats(0.01, 0.5),
    st.integers(0, 5),
)
def test_properties(pairs, fraction, seed):
    # Any pictures, duplicates under two names among them, and two of its own for each emotion.
    own = [(label, 100 + 2 * label + i) for label in {label for label, _ in pairs} for i in range(2)]
    labels, groups = np.array(pairs + own).T
    rest, held = hold_out(labels, groups, fraction, seed)
    assert rest.dtype == held.dtype == np.int64
    assert np.array_equal(np.sort(np.concatenate([rest, held])), np.arange(len(labels)))
    assert (np.diff(rest) > 0).all()
    assert (np.diff(held) > 0).all()
    assert not set(groups[rest]) & set(groups[held])
    assert set(labels[rest]) == set(labels[held]) == set(labels)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.15, 0.33, 0.5])
@pytest.mark.parametrize("n", [300, 2500])
def test_stratified_within_tolerance(n, fraction):
    data = fer_like(n)
    rest, held = hold_out(data.labels, data.hashes, fraction, 0)
    assert not set(data.hashes[rest].tolist()) & set(data.hashes[held].tolist())
    assert len(held) == pytest.approx(fraction * n, rel=0.15, abs=4)
    for label in range(7):
        count = int((data.labels == label).sum())
        assert int((data.labels[held] == label).sum()) == pytest.approx(fraction * count, rel=0.2, abs=3)


def test_the_same_pictures_in_any_order_and_others_with_another_seed():
    data = fer_like(3000)
    shuffled = np.random.default_rng(5).permutation(len(data))

    def held(d: Examples, seed: int) -> list[tuple[bytes, int]]:
        rows = hold_out(d.labels, d.hashes, 0.1, seed)[1]
        return sorted(zip(d.hashes[rows].tolist(), d.labels[rows].tolist(), strict=True))

    assert held(data, 0) == held(data, 0) == held(data.take(shuffled), 0)
    assert held(data, 0) != held(data, 1)


def test_one_large_group_stays_whole():
    labels = np.repeat([0, 1], 200)
    groups = np.arange(400)
    groups[:150] = 0
    rest, held = hold_out(labels, groups, 0.1, 0)
    assert (0 in groups[rest]) != (0 in groups[held])


def test_two_pictures_of_an_emotion_are_enough_and_one_is_not():
    labels = np.array([0] * 50 + [1, 1])
    rest, held = hold_out(labels, np.arange(52), 0.1, 0)
    assert (labels[rest] == 1).sum() == (labels[held] == 1).sum() == 1
    with pytest.raises(UserError, match=r"'disgusted' has only 1 different image.*dataset\.ignore"):
        hold_out(labels, np.array([*range(50), 50, 50]), 0.1, 0)


def test_two_emotions_that_share_their_only_pictures():
    labels = np.array([0] * 50 + [1, 2, 1, 2])
    groups = np.array([*range(50), 50, 50, 51, 51])
    rest, held = hold_out(labels, groups, 0.1, 0)
    assert set(labels[rest]) == set(labels[held]) == {0, 1, 2}
    chained = np.array([*range(50), 50, 50, 51, 50])  # emotion 2 has one picture, which is emotion 1's as well
    with pytest.raises(UserError, match="'fearful' has only 1 different image"):
        hold_out(labels, chained, 0.1, 0)


def test_pictures_with_two_labels_never_cost_an_emotion():
    """Few pictures, most with two labels: where a division exists it is found nearly always, and never a wrong one."""
    rng = np.random.default_rng(0)
    feasible = found = 0
    for seed in range(300):
        labels, groups = rng.integers(0, 3, 9), rng.integers(0, 6, 9)
        divisions = ({g for g in range(6) if bits >> g & 1} for bits in range(64))
        inside = (np.isin(groups, list(d)) for d in divisions)
        feasible += any(set(labels[i]) == set(labels[~i]) == set(labels) for i in inside)
        with contextlib.suppress(UserError):
            rest, held = hold_out(labels, groups, 0.3, seed)
            assert set(labels[rest]) == set(labels[held]) == set(labels)
            found += 1
    assert 0.95 * feasible < found <= feasible


def test_nothing_to_divide():
    with pytest.raises(UserError, match="no images"):
        hold_out(np.array([], np.int64), np.array([], "S16"), 0.1, 0)


def test_complete_takes_test_first_and_leaves_given_splits_alone():
    data = fer_like(2000, duplicates=0)
    parts, notes = complete({"train": data}, 0.1, 0.2, 0)
    assert [len(parts[s]) for s in ("train", "validation", "test")] == [1440, 160, 400]
    assert "dataset.test_fraction=0.2" in notes[0]
    assert "dataset.validation_fraction=0.1" in notes[1]
    given_test = fer_like(100)
    parts, notes = complete({"train": data, "test": given_test}, 0.1, 0.2, 0)
    assert parts["test"] is given_test
    assert len(parts["validation"]) == 200
    assert len(notes) == 1


def test_pictures_that_look_alike_stay_together_where_that_is_asked():
    labels, groups = np.repeat([0, 1], 40), np.arange(80)
    looks = np.repeat(np.random.default_rng(0).integers(0, 2**63, (20, 2), np.uint64), 4, axis=0)
    data = replace(examples(labels, groups), perceptual=looks)
    for alike in (True, False):
        parts, notes = complete({"train": data}, 0.2, 0.2, 0, alike=alike)
        fours = [{int(p.removesuffix(".png")) // 4 for p in parts[s].paths} for s in ("train", "validation", "test")]
        assert (sum(map(len, fours)) == 20) == alike
        assert all(("images that look alike kept together" in note) == alike for note in notes)
        assert all(("duplicates kept together" in note) != alike for note in notes)


def _tested(testable, fraction: float, labels=None, groups=None) -> tuple[dict[str, Examples], list[int]]:
    labels = np.arange(100) % 2 if labels is None else np.array(labels)
    data = examples(labels, np.arange(len(labels)) if groups is None else groups)
    parts, notes = complete({"train": data}, 0.1, fraction, 0, testable=np.asarray(testable, bool))
    assert sum(len(part) for part in parts.values()) == len(data)
    assert "dataset.validation_fraction" in notes[-1]
    return parts, [int(p.removesuffix(".png")) for p in parts["test"].paths]


def test_only_what_was_reviewed_is_tested_on():
    parts, tested = _tested(np.arange(100) < 50, 0.2)
    assert len(tested) == 20, "a fifth of all, though only half may be"
    assert max(tested) < 50
    assert np.bincount(parts["test"].labels).tolist() == [10, 10]
    _, tested = _tested(np.arange(100) < 50, 0.4)
    assert len(tested) == 25, "half of what may be, so that the rest is trained on"
    _, tested = _tested(np.ones(100), 0.2)
    assert len(tested) == 20


def test_a_copy_of_what_was_not_reviewed_is_not_tested_on():
    groups = [*range(50), *range(50)]
    _, tested = _tested(np.r_[np.ones(50), np.arange(50) < 40], 0.2, groups=groups)
    assert len(tested) == 20
    assert not {i % 50 for i in tested} & set(range(40, 50))


def test_an_emotion_with_one_reviewed_picture_is_left_to_training():
    labels = [0] * 40 + [1] * 40 + [2] * 20
    parts, tested = _tested(np.arange(100) < 81, 0.2, labels)
    assert 80 not in tested
    assert set(parts["test"].labels) == {0, 1}
    assert len(tested) == 20
    # One picture twice is one picture.
    groups = [*range(81), 80, *range(82, 100)]
    _, tested = _tested(np.arange(100) < 82, 0.2, labels, groups)
    assert max(tested) < 80
    _, tested = _tested(np.arange(100) < 82, 0.2, labels)
    assert max(tested) >= 80


def test_where_nothing_was_reviewed_there_is_no_test():
    parts, tested = _tested(np.zeros(100), 0.2)
    assert tested == []
    assert [len(parts[s]) for s in ("train", "validation", "test")] == [90, 10, 0]


@pytest.mark.parametrize(
    ("fraction", "held"),
    [(0.5, 300), (0.33, 200), (0.15, 90), (0.05, 30), (0.03, 18)],
)
def test_the_share_is_met_by_whole_folds(fraction, held):
    """Such as 3 of 20 folds for 0.15, 1 of 3 for 0.33, 1 of 33 for 0.03."""
    labels = np.arange(600) % 2
    found = hold_out(labels, np.arange(600), fraction, 0)[1]
    assert abs(len(found) - held) <= 2
    assert abs(int(np.diff(np.bincount(labels[found]))[0])) <= 2


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 70), st.integers(0, 3))
def test_limit(labels, n, seed):
    data = examples(labels, range(len(labels)))
    few = limit(data, n, seed)
    assert len(few) == min(n, len(data))
    rows = [int(p.removesuffix(".png")) for p in few.paths]
    assert rows == sorted(set(rows))
    if n >= len(set(labels)):
        assert set(few.labels) == set(labels)


def test_limit_keeps_shares():
    data = examples([0] * 600 + [1] * 300 + [2] * 100, range(1000))
    assert np.bincount(limit(data, 100, 0).labels).tolist() == [60, 30, 10]


@pytest.mark.parametrize(
    ("counts", "n", "expected"),
    [
        ([10, 10, 10, 10], 10, [3, 3, 2, 2]),  # 2.5 each: the rest goes round
        ([3, 5, 9], 10, [2, 3, 5]),  # 1.76, 2.94, 5.29: the largest remainders first
        ([1, 5, 5, 5], 9, [1, 3, 3, 2]),  # one of one is all there is
        ([98, 1, 1], 3, [1, 1, 1]),  # none is lost while there are as many as emotions
        ([5, 0, 5], 2, [1, 0, 1]),
        ([1, 1, 1, 1, 6], 5, [1, 1, 1, 1, 1]),  # what keeps the rare is taken from the common
        ([1, 1, 1, 1, 8, 8], 10, [1, 1, 1, 1, 3, 3]),
        ([10] * 7, 3, [1, 1, 1, 0, 0, 0, 0]),  # fewer than emotions
    ],
)
def test_limit_by_hand(counts, n, expected):
    labels = np.repeat(np.arange(len(counts)), counts)
    assert np.bincount(limit(examples(labels, range(len(labels))), n, 0).labels, minlength=len(counts)).tolist() == (
        expected
    )


def test_limit_draws_the_same_pictures_in_any_order_and_others_with_another_seed():
    data = fer_like(400)
    shuffled = np.random.default_rng(5).permutation(len(data))

    def kept(d: Examples, seed: int) -> list[bytes]:
        return sorted(limit(d, 50, seed).hashes.tolist())

    assert kept(data, 1) == kept(data, 1) == kept(data.take(shuffled), 1)
    assert kept(data, 1) != kept(data, 2)


def test_assemble_says_what_is_unusual():
    train = examples([0, 1, 2, 3, 4, 5, 6] * 5, range(35))
    test = examples([0, 1, 2, 3, 4, 5], range(30, 36))
    splits = assemble(
        "folder",
        {"train": train, "validation": train.take(np.arange(7)), "test": test},
        DictConfig({"limit": 14, "split_seed": 0}),
        notes=("From somewhere.",),
        unreadable=(("a.jpg", "truncated"),),
    )
    text = "\n".join(splits.notes)
    assert splits.notes[0] == "From somewhere."
    assert "5 of 6 test images are pixel-identical to a training image" in text
    assert "No images of surprised in test" in text
    assert "a.jpg: truncated" in text
    assert "Limited to 14 images per split" in text
    assert splits.fingerprint["counts"]["train"] == dict.fromkeys(EMOTIONS, 2)
    assert splits.unreadable == (("a.jpg", "truncated"),)


def test_assemble_hands_on_what_the_source_knows(monkeypatch):
    train = examples([0, 1] * 10, range(20))
    parts = {"train": train, "validation": train.take(np.arange(0)), "test": examples([0], [50])}
    cfg = DictConfig({"limit": 6, "split_seed": 3})
    splits = assemble("own", parts, cfg, labels=("a", "b"), loss="any_target", recognised="known")
    assert (splits.labels, splits.loss) == (("a", "b"), "any_target")
    assert splits.train.hashes.tolist() == limit(train, 6, 3).hashes.tolist()
    assert splits.notes == ("Recognised: known.", "No images of b in test.", "Limited to 6 images per split.")
    assert (splits.fingerprint["dataset"], splits.fingerprint["recognised"]) == ("own", "known")
    assert splits.fingerprint["counts"]["train"] == {"a": 3, "b": 3}

    monkeypatch.setattr("emotion.data.splits.recognise_fer2013", lambda found: f"seen in {len(found)} splits")
    splits = assemble("own", parts, DictConfig({"limit": None, "split_seed": 0}))
    assert splits.notes[0] == "Recognised: seen in 3 splits."
    assert splits.fingerprint["recognised"] == "seen in 3 splits"
    assert (splits.labels, splits.loss, len(splits.train)) == (EMOTIONS, "cross_entropy", 20)


def test_counts_of_identical_images_add_up_to_what_leak_free_figures_leave_out() -> None:
    test = examples([0, 1, 2, 3], [0, 1, 20, 90])
    parts = {"train": examples([0, 1], [0, 1]), "validation": examples([2], [20]), "test": test}
    splits = assemble("folder", parts, DictConfig({"limit": None, "split_seed": 0}))
    said = "2 of 4 test images are pixel-identical to a training image and 1 more to a validation image: "
    assert f"{said}leak-free figures leave out all 3." in splits.notes


@pytest.mark.parametrize(
    ("recognised", "limit_", "official"),
    [
        ("FER2013 as published (PrivateTest missing)", None, ["test"]),
        ("FER+ (majority) on FER2013 as published (PrivateTest missing)", None, ["test"]),
        ("FER2013 as published (PrivateTest missing)", 3, []),
        ("a mirror of FER2013 with altered pixels (3 of 9 sampled images match)", None, []),
        ("FER2013 as published, divided otherwise than its official splits", None, []),
    ],
)
def test_official_is_a_whole_published_split(recognised: str, limit_: int | None, official: list[str]) -> None:
    parts = {
        split: examples([0, 1, 2], range(9 * i, 9 * i + 3)) for i, split in enumerate(("train", "validation", "test"))
    }
    cfg = DictConfig({"limit": limit_, "split_seed": 4})
    found = assemble("fer2013", parts, cfg, recognised=recognised, origins={"test": "PublicTest"}).fingerprint
    assert found["official"] == official
    assert found["splits"]["validation"].startswith("random split, seed 4")
    assert figures.test_set(found, "test").startswith("FER2013 PublicTest" if official else "FER2013, PublicTest")


@pytest.mark.parametrize(("mode", "official"), [("none", ["validation", "test"]), ("all", ["test"])])
def test_a_split_from_which_duplicates_were_dropped_is_not_official(mode: str, official: list[str]) -> None:
    given = {"train": ([0, 1], [0, 1]), "validation": ([2, 3], [20, 30]), "test": ([3], [30])}
    looks = np.random.default_rng(0).integers(0, 2**63, (31, 2), np.uint64)
    parts = {s: replace(examples(labels, groups), perceptual=looks[groups]) for s, (labels, groups) in given.items()}
    cfg = DictConfig({"limit": None, "split_seed": 0, "drop_duplicates": mode, "cache_dir": "unused"})
    origins = {"validation": "PublicTest", "test": "PrivateTest"}
    found = assemble("fer2013", parts, cfg, recognised="FER2013 as published", origins=origins).fingerprint
    assert found["official"] == official
    said = "FER2013 PublicTest" if mode == "none" else "FER2013, PublicTest, without duplicates"
    assert figures.test_set(found, "validation") == said


def test_a_random_split_is_named_with_its_seed() -> None:
    parts = {
        split: examples([0, 1, 2], range(9 * i, 9 * i + 3)) for i, split in enumerate(("train", "validation", "test"))
    }
    found = assemble("folder", parts, DictConfig({"limit": None, "split_seed": 0})).fingerprint
    assert figures.test_set(found, "test") == "own images, random split, seed 0"
    assert figures.test_set(found, "all") == "own images, all images"
    assert figures.test_set({"dataset": "fer2013"}, "test") == "FER2013, test split"
    unnamed = {"dataset": "fer2013", "splits": None, "official": ["test"]}
    assert figures.test_set(unnamed, "test") == "FER2013 test split"
