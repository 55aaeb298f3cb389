"""Hold-out splits: duplicates stay together, every emotion is on both sides, the same pictures whatever their order."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from emotion.base.errors import UserError
from emotion.data.examples import Examples
from emotion.data.splits import assemble, complete, hold_out, limit
from emotion.faces.labels import EMOTIONS


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


@settings(max_examples=60)
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
