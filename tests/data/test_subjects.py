"""Groups of images on one side of every split, folds of groups, and the table that may say what the groups are."""

import csv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from emotion.base.errors import UserError
from emotion.config import schema
from emotion.data import sources
from emotion.data.splits import folds
from emotion.faces.labels import EMOTIONS
from emotion.runs.creating import with_absolute_paths
from tests.helpers.properties import max_examples

PEOPLE = 12
SPLITS = ("train", "validation", "test")


@pytest.fixture
def root(tmp_path) -> Path:
    """Each of 12 people shows each emotion twice."""
    rng = np.random.default_rng(0)
    for e in EMOTIONS:
        folder = tmp_path / "faces" / e
        folder.mkdir(parents=True)
        for person in range(PEOPLE):
            for i in range(2):
                assert cv2.imwrite(str(folder / f"P{person:02d}_{e}_{i}.png"), rng.integers(0, 256, (16, 16), np.uint8))
    return tmp_path / "faces"


@pytest.fixture
def load(root, tmp_path):
    def load(**values):
        base = OmegaConf.load(schema.CONF / "dataset" / "folder.yaml")
        cfg = OmegaConf.merge(base, {"root": str(root), "cache_dir": str(tmp_path / "cache")}, values)
        assert isinstance(cfg, DictConfig)
        return sources.load(cfg)

    return load


def people(examples) -> set[str]:
    return {Path(path).name[:3] for path in examples.paths}


def table(path: Path, rows) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def rows_of(root: Path, bare: bool = False) -> list[list[str]]:
    files = sorted(root.glob("*/*.png"))
    return [[f.name if bare else f"{f.parent.name}/{f.name}", f.name[:3], "lamp"] for f in files]


@pytest.mark.slow
def test_a_person_is_on_one_side(load):
    splits = load(group="^(P[0-9]+)_", validation_fraction=0.2, test_fraction=0.25)
    sides = [people(splits[s]) for s in SPLITS]
    assert sum(map(len, sides)) == PEOPLE
    assert len(set.union(*sides)) == PEOPLE
    assert all(set(splits[s].labels) == set(range(7)) for s in SPLITS)
    assert any("12 groups" in note for note in splits.notes)
    assert any(len(people(load()[s]) & people(load()["train"])) for s in SPLITS[1:]), "else this shows nothing"


@pytest.mark.slow
def test_each_image_is_tested_on_in_one_fold(load):
    tested: list[str] = []
    for fold in range(4):
        splits = load(group="^(P[0-9]+)_", folds=4, fold=fold)
        sides = [people(splits[s]) for s in SPLITS]
        assert sum(map(len, sides)) == PEOPLE
        assert len(sides[2]) == 3
        tested += splits.test.paths.tolist()
    assert len(tested) == len(set(tested)) == PEOPLE * 14


@pytest.mark.slow
def test_folds_do_not_depend_on_groups_being_given(load):
    splits = [load(folds=3, fold=k) for k in range(3)]
    assert sorted(p for s in splits for p in s.test.paths) == sorted(p for s in SPLITS for p in splits[0][s].paths)


@max_examples(40)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=12, max_size=120), st.integers(2, 3))
def test_folds_of_groups_are_whole_and_do_not_depend_on_the_order(pairs, count):
    labels, groups = np.array(pairs + [(i % 4, i) for i in range(10)]).T
    numbers = folds(labels, groups, count, 0)
    assert set(numbers) == set(range(count))
    assert all(len(set(numbers[groups == g])) == 1 for g in set(groups))
    order = np.random.default_rng(1).permutation(len(labels))
    np.testing.assert_array_equal(folds(labels[order], groups[order], count, 0), numbers[order])


@pytest.mark.parametrize("bare", [False, True])
def test_a_column_of_a_table_names_the_groups(load, root, tmp_path, bare):
    path = table(tmp_path / "faces.csv", [["file", "subject", "light"], *rows_of(root, bare)])
    by_column = load(metadata=path, group="subject")
    by_name = load(group="^(P[0-9]+)_")
    assert by_column.test.paths.tolist() == by_name.test.paths.tolist()


def test_a_table_in_the_datas_folder_is_found_by_its_name(load, root):
    table(root / "faces.csv", [["file", "subject", "light"], *rows_of(root)])
    assert any("12 groups" in note for note in load(metadata="faces.csv", group="subject").notes)


def test_a_run_finds_the_table_from_any_folder(load, root, tmp_path, monkeypatch):
    table(root / "faces.csv", [["file", "subject", "light"], *rows_of(root)])
    cfg = OmegaConf.create({"dataset": {"root": str(root), "metadata": "faces.csv"}})
    assert with_absolute_paths(cfg).dataset.metadata == str(root / "faces.csv")
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "here.csv", [["file", "subject", "light"], *rows_of(root)])
    cfg.dataset.metadata = "here.csv"
    assert with_absolute_paths(cfg).dataset.metadata == str(tmp_path / "here.csv")


def test_rows_of_files_that_are_left_out_are_no_mistake(load, root, tmp_path):
    path = table(tmp_path / "faces.csv", [["file", "subject", "light"], *rows_of(root)])
    assert len(load(metadata=path, ignore=["sad"], group="subject").test)


def test_a_dataset_that_brings_its_splits_keeps_them_and_says_who_is_in_two(load, root):
    for split in ("train", "test"):
        (root.parent / "split" / split).mkdir(parents=True)
    for e in EMOTIONS:
        (root / e).rename(root.parent / "split" / "train" / e)
        (root.parent / "split" / "test" / e).mkdir()
        for file in (root.parent / "split" / "train" / e).glob("P0[01]*_1.png"):
            file.rename(root.parent / "split" / "test" / e / file.name)
    splits = load(root=str(root.parent / "split"), group="^(P[0-9]+)_")
    assert any("2 of these groups are in train and in the test split" in note for note in splits.notes)
    assert not people(splits.train) & people(splits.validation)
    with pytest.raises(UserError, match="brings its own test split"):
        load(root=str(root.parent / "split"), folds=2, fold=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"group": "^(S[0-9]+)_"}, r"finds nothing in 168 of 168 file names \(P00_angry_0.png.*'\^\(S"),
        ({"group": "^P0"}, r"finds nothing in 28 of 168 file names \(P10_angry_0"),
        ({"group": "^(P)"}, "gives one group, 'P', for all 168 images"),
        ({"group": "(P"}, r"'\(P' is no regular expression"),
        ({"group": "^(P[0-9]+)_", "folds": 13, "fold": 0}, "13 folds of 12 groups"),
        ({"folds": 200, "fold": 0}, "200 folds of 168 images"),
    ],
)
def test_mistakes_of_a_group(load, values, message):
    with pytest.raises(UserError, match=message):
        load(**values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-2], "has no row for 2 of 168 files: surprised/P11_surprised_0.png, surprised/P11"),
        (lambda rows: [*rows, ["happy/P7.png", "P7", ""]], "1 rows without a file below .*: happy/P7.png. Remove"),
        (lambda rows: [*rows, rows[-1]], "more than one row for surprised/P11_surprised_1.png"),
        (lambda rows: [*rows, ["happy/x.png"]], "row 170 .happy/x.png. has 1 columns, the header 3"),
        (lambda rows: rows[:1], "1 lines of 3 columns"),
        (lambda rows: [["file", "subject", "subject"], *rows[1:]], "must give each column its own name"),
        (lambda rows: [*rows[:-1], [rows[-1][0], "", ""]], "column 'subject' of .* is empty for 1 of 168 images"),
        (lambda rows: [["file", "subjekt", "light"], *rows[1:]], "dataset.metadata: subjekt, light. Did you"),
    ],
)
def test_mistakes_of_a_table(load, root, tmp_path, change, message):
    path = table(tmp_path / "faces.csv", change([["file", "subject", "light"], *rows_of(root)]))
    with pytest.raises(UserError, match=message):
        load(metadata=path, group="subject")


def test_a_name_that_several_files_have_is_refused(load, root, tmp_path):
    (root / "happy" / "P00_happy_0.png").rename(root / "happy" / "P00_sad_0.png")
    path = table(tmp_path / "faces.csv", [["file", "subject", "light"], *rows_of(root, bare=True)[:-1]])
    Path(path).write_text("\n".join(dict.fromkeys(Path(path).read_text().splitlines())))
    with pytest.raises(UserError, match=r"'P00_sad_0\.png' is the name of several files"):
        load(metadata=path, group="subject")


@pytest.mark.slow
def test_ck_plus_is_divided_by_its_people(shared, load, tmp_path):
    with zipfile.ZipFile(shared / "data" / "ckplus48.zip") as archive:
        archive.extractall(tmp_path / "ck")
    tested: list[str] = []
    for fold in range(5):
        splits = load(root=str(tmp_path / "ck"), ignore=["contempt"], group=r"^(S\d+)_", folds=5, fold=fold)
        sides = [{Path(p).name[:4] for p in splits[s].paths} for s in SPLITS]
        assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
        assert set(splits.train.labels) == set(splits.test.labels) == set(range(7)) - {EMOTIONS.index("neutral")}
        assert 0.15 * 927 < len(splits.test) < 0.25 * 927
        tested += splits.test.paths.tolist()
    assert len(set(tested)) == len(tested) == 927
