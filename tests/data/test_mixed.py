"""Several datasets in one: joined labels, nothing that a part holds out in training, weights, margins."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion import metrics
from emotion.base.errors import UserError
from emotion.config import checks
from emotion.data import cache, crop_margin, ferplus, sources
from emotion.data.mixed import _same_image
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS
from tests.conftest import compose


def image(seed: int, side: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)


def folder(root: Path, labels: dict[int, str], split: str = "", side: int = 48) -> Path:
    """Images by seed in the class folders of their labels."""
    for seed, label in labels.items():
        place = root / split / label
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{seed}.png"), image(seed, side))
    return root


def every_emotion(start: int, each: int = 8) -> dict[int, str]:
    return {start + i: EMOTIONS[i % 7] for i in range(7 * each)}


def load(cache_dir: Path, *parts: str, **keys: str):
    keys |= {"parts": f"[{','.join(parts)}]", "cache_dir": str(cache_dir)}
    cfg = compose("train", "dataset=mixed", *(f"dataset.{key}={value}" for key, value in keys.items()))
    return sources.load(cfg.dataset)


def part(root: Path, **keys: object) -> str:
    return "{name: folder, root: " + str(root) + "".join(f", {k}: {v}" for k, v in keys.items()) + "}"


@pytest.fixture
def two(tmp_path):
    """Two folders that share the images 0 to 6, of which the second calls all sad."""
    a = folder(tmp_path / "a", every_emotion(0))
    b = folder(tmp_path / "b", every_emotion(1000) | dict.fromkeys(range(7), "sad"))
    return a, b


@pytest.mark.slow
def test_an_image_of_two_parts_is_one_image_with_the_mean_of_both_labels(two, tmp_path):
    a, b = two
    splits = load(tmp_path, part(a), part(b))
    names = splits.labels
    assert sum(len(splits[s]) for s in ("train", "validation", "test")) == 7 * 8 + 7 * 8
    assert splits.parts == ("folder", "folder-2")
    shared = np.flatnonzero((splits.train.part_labels >= 0).all(axis=1))
    assert len(shared)
    for row in shared:
        own, other = splits.train.part_labels[row]
        assert other == names.index("sad")
        expected = np.zeros(7)
        expected[own] += 0.5
        expected[other] += 0.5
        np.testing.assert_allclose(splits.train.targets[row], expected)
        assert splits.train.labels[row] == own  # of two labels with equal shares the first part's
    alone = np.flatnonzero((splits.train.part_labels >= 0).sum(axis=1) == 1)
    np.testing.assert_array_equal(splits.train.targets[alone].argmax(axis=1), splits.train.labels[alone])
    np.testing.assert_array_equal(splits.train.targets[alone].max(axis=1), 1)


@pytest.mark.slow
def test_fuse_first_keeps_the_first_parts_label(two, tmp_path):
    a, b = two
    splits = load(tmp_path, part(b), part(a), fuse="first")
    shared = np.flatnonzero((splits.train.part_labels >= 0).all(axis=1))
    assert (splits.train.labels[shared] == splits.labels.index("sad")).all()
    assert (splits.train.targets[shared].max(axis=1) == 1).all()


@pytest.mark.slow
def test_nothing_that_a_part_holds_out_is_in_training(tmp_path):
    a = folder(tmp_path / "a", every_emotion(0))
    # The second part trains on what the first holds out, whichever that is, and tests on seven images of the first.
    b = folder(tmp_path / "b", every_emotion(0), "train")
    folder(tmp_path / "b", every_emotion(500, 1) | dict(list(every_emotion(0, 1).items())), "test")
    own = sources.load(compose("train", "dataset=folder", f"dataset.root={a}", f"dataset.cache_dir={tmp_path}").dataset)
    splits = load(tmp_path, part(a), part(b))
    held_out = np.concatenate([own.validation.hashes, own.test.hashes])
    trained = splits.train.hashes
    assert not np.isin(trained, held_out).any()
    assert not np.isin(trained, np.concatenate([splits.validation.hashes, splits.test.hashes])).any()
    assert not np.isin(splits.validation.hashes, splits.test.hashes).any()
    assert len(splits.test) >= 14
    assert any("Left out of train" in note for note in splits.notes)


@pytest.mark.slow
def test_the_test_of_a_part_keeps_its_images_and_labels(tmp_path):
    """Also where an image of it is in its training under another label, as in FER2013."""
    a = folder(tmp_path / "a", every_emotion(0), "train")
    folder(tmp_path / "a", every_emotion(500, 1) | {0: "happy"}, "test")
    b = folder(tmp_path / "b", every_emotion(900))
    splits = load(tmp_path, part(a), part(b))
    first = splits.test.part_labels[:, 0]
    assert (first >= 0).sum() == 8
    assert (first == splits.labels.index("happy")).sum() == 2


def test_copies_are_matched_in_order():
    hashes = np.array([b"a", b"a", b"b", b"a", b"a", b"c"], "S16")
    part_of = np.array([0, 0, 0, 1, 1, 1])
    test = np.array([0, 0, 0, 0, 1, 0], bool)
    same = _same_image(hashes, test, part_of)
    assert same[0] == same[3]
    assert len(set(same.tolist())) == 5  # the second copy, that of a test, b and c are images of their own


@pytest.mark.slow
def test_weights_say_how_often_a_parts_images_are_drawn(two, tmp_path):
    a, b = two
    splits = load(tmp_path, part(a, weight=3), part(b, weight=1))
    both = (splits.train.part_labels >= 0).all(axis=1)
    first = (splits.train.part_labels[:, 0] >= 0) & ~both
    assert set(splits.train.weights[first].tolist()) == {3.0}
    assert set(splits.train.weights[both].tolist()) == {2.0}
    assert splits.validation.weights is None


@pytest.mark.slow
def test_parts_that_were_cut_wider_are_cut_to_the_smallest_margin(tmp_path):
    a = folder(tmp_path / "a", every_emotion(0))
    b = folder(tmp_path / "b", every_emotion(1000), side=60)
    crop_margin.CropMargin(0.0, "emotion.audit", 10).save(a)
    crop_margin.CropMargin(0.125, "emotion.audit", 10).save(b)
    cfg = compose("train", "dataset=mixed", f"dataset.parts=[{part(a)},{part(b)}]", f"dataset.cache_dir={tmp_path}")
    assert crop_margin.for_live(cfg.dataset)[0] == 0.0
    splits = sources.load(cfg.dataset)
    wide = np.flatnonzero(splits.train.part_labels[:, 1] >= 0)[0]
    seed = int(Path(splits.train.name_of(wide)).stem)
    np.testing.assert_array_equal(splits.train.image(wide)[..., 0], image(seed, 60)[6:54, 6:54])
    contract = Contract(48, 48)
    uncut = load(tmp_path, part(a), part(b), crop_margin="0.125")
    first, second = (cache.path_for(s.train, contract, tmp_path, "x") for s in (splits, uncut))
    assert first != second  # the same files, cut otherwise


@pytest.mark.slow
def test_files_and_images_in_memory_are_mixed(tmp_path):
    a = folder(tmp_path / "a", every_emotion(0))
    splits = load(tmp_path, "{name: synthetic, per_emotion: 12, image_size: 32}", part(a))
    shapes = {splits.train.image(i).shape[:2] for i in range(len(splits.train))}
    assert shapes == {(32, 32), (48, 48)}
    names = [splits.train.name_of(i) for i in range(len(splits.train))]
    assert any(n.endswith(".png") for n in names)
    assert any(n.startswith("row ") for n in names)
    store = cache.open_store(splits.train, Contract(48, 48), cache="memory", cache_dir=tmp_path)
    assert store.read(np.arange(len(store))).shape == (len(splits.train), 48, 48, 1)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ("[]", "dataset.parts: no parts given"),
        ("[{name: folders, root: .}]", "dataset.parts.0.name: 'folders' is not one of .* Did you mean 'folder'"),
        ("[{name: folder}]", "dataset.parts.0.root: no value given"),
        ("[{name: folder, root: ., wieght: 2}]", "dataset.parts.0.wieght: no such key. Did you mean 'weight'"),
        ("[{name: folder, root: ., weight: 0}]", "dataset.parts.0.weight: '0' must be a number above 0"),
        ("[{name: folder, root: ., numbering: x}]", "dataset.parts.0.numbering: 'x' is not one of"),
        ("[{name: ferplus, root: ., label_mode: 3}]", "dataset.parts.0.label_mode"),
        ("[3]", "dataset.parts.0.name: '3' is not one of"),
    ],
)
def test_wrong_parts_are_named(parts, message):
    cfg = compose("train", "dataset=mixed", f"dataset.parts={parts}")
    with pytest.raises(UserError, match=message):
        checks.validate(cfg)


@pytest.mark.slow
def test_a_part_without_a_root_takes_the_datasets(tmp_path):
    splits = load(
        tmp_path,
        "{name: folder}",
        "{name: synthetic, per_emotion: 12}",
        root=str(folder(tmp_path / "a", every_emotion(0))),
    )
    assert (splits.train.part_labels >= 0).any(axis=0).all()


def fer_csv(place: Path) -> Path:
    """A small fer2013.csv with FER+ votes of one person in ten for contempt."""
    place.mkdir()
    rows, votes = ["emotion,pixels,Usage"], [f"Usage,Image name,{','.join(ferplus.COLUMNS)}"]
    for i in range(84):
        rows.append(f"{i % 7},{' '.join(map(str, image(2000 + i).ravel()))},Training")
        kind = ferplus.COLUMNS[i % 8]
        votes.append(f"Training,fer{i}.png," + ",".join("10" if c == kind else "0" for c in ferplus.COLUMNS))
    (place / "fer2013.csv").write_text("\n".join(rows))
    (place / "fer2013new.csv").write_text("\n".join(votes))
    return place


@pytest.mark.slow
def test_parts_with_other_labels_are_refused(tmp_path):
    plus = "{name: ferplus, contempt: keep, root: " + str(fer_csv(tmp_path / "fer")) + "}"
    with pytest.raises(UserError, match=r"ferplus has the labels .*contempt.*set contempt=drop"):
        load(tmp_path, "{name: synthetic, per_emotion: 12}", plus)


@pytest.mark.slow
def test_peoples_votes_in_place_of_single_labels(tmp_path):
    root = fer_csv(tmp_path / "fer")
    plus = "{name: ferplus, label_mode: probability, root: " + str(root) + "}"
    splits = load(tmp_path, "{name: fer2013, root: " + str(root) + "}", plus, fuse="votes")
    both = np.flatnonzero((splits.train.part_labels >= 0).all(axis=1))
    assert len(both)
    np.testing.assert_array_equal(splits.train.labels[both], splits.train.part_labels[both, 1])
    only = np.flatnonzero(splits.train.part_labels[:, 1] < 0)  # votes for contempt: FER2013's label alone
    np.testing.assert_array_equal(splits.train.labels[only], splits.train.part_labels[only, 0])


@pytest.mark.slow
def test_each_part_is_scored_by_its_own_labels(two, tmp_path):
    a, b = two
    splits = load(tmp_path, part(a), part(b))
    train = splits.train
    answers = np.eye(7)[train.part_labels[:, 0].clip(0)]  # what the first part says
    scored = metrics.score_parts(answers, dict(zip(splits.parts, train.part_labels.T, strict=True)), bootstrap=0)
    shared = (train.part_labels >= 0).all(axis=1)
    assert scored["folder"]["accuracy"]["value"] == 1
    assert scored["folder"]["n"] == int((train.part_labels[:, 0] >= 0).sum())
    right = (train.part_labels[:, 0].clip(0) == train.part_labels[:, 1])[train.part_labels[:, 1] >= 0].mean()
    assert scored["folder-2"]["accuracy"]["value"] == pytest.approx(right)
    assert shared.any()
