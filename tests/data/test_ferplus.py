"""FER+: the published rules by hand, the two files row for row, and the same test for every mode."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.data import ferplus, sources
from emotion.data.examples import Splits
from emotion.faces.labels import EMOTIONS
from tests.conftest import compose
from tests.helpers.properties import max_examples

# Columns: neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF
VOTES = {
    "clear": [0, 10, 0, 0, 0, 0, 0, 0, 0, 0],
    "slips": [1, 8, 1, 0, 0, 0, 0, 0, 0, 0],
    "half": [5, 0, 0, 5, 0, 0, 0, 0, 0, 0],
    "leading": [3, 0, 0, 6, 0, 0, 0, 0, 0, 0],
    "third": [4, 0, 0, 0, 3, 0, 3, 0, 0, 0],
    "four": [3, 3, 2, 2, 0, 0, 0, 0, 0, 0],
    "unknown": [2, 0, 0, 0, 0, 0, 0, 0, 7, 0],
    "mostly known": [6, 0, 0, 0, 0, 0, 0, 0, 3, 0],
    "no face": [0, 0, 0, 0, 0, 0, 0, 0, 0, 10],
    "contempt": [2, 0, 0, 0, 0, 0, 0, 7, 0, 0],
    "some contempt": [6, 0, 0, 0, 0, 0, 0, 3, 0, 0],
    "scattered": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
}
TABLE = np.array(list(VOTES.values()), np.uint8)


def answers(mode: str, classes: int = 7) -> dict[str, dict[str, Any]]:
    names = (*EMOTIONS, "contempt")[:classes]
    rows = ferplus.targets(TABLE, mode, classes)
    assert rows.shape == (len(TABLE), classes)
    assert rows.dtype == np.float32
    return {
        case: {name: pytest.approx(value, abs=1e-3) for name, value in zip(names, row.tolist(), strict=True) if value}
        for case, row in zip(VOTES, rows, strict=True)
    }


def test_majority():
    assert answers("majority") == {
        "clear": {"happy": 1},
        "slips": {"happy": 1},
        "half": {},
        "leading": {"sad": 1},
        "third": {},
        "four": {},
        "unknown": {},
        "mostly known": {"neutral": 1},
        "no face": {},
        "contempt": {},
        "some contempt": {"neutral": 1},
        "scattered": {},
    }
    assert answers("majority", 8)["contempt"] == {"contempt": 1}


def test_probability():
    assert answers("probability") == {
        "clear": {"happy": 1},
        "slips": {"happy": 1},
        "half": {"neutral": 0.5, "sad": 0.5},
        "leading": {"neutral": 1 / 3, "sad": 2 / 3},
        "third": {"neutral": 0.4, "angry": 0.3, "fearful": 0.3},
        "four": {},  # two and two more are needed for three quarters: too many emotions
        "unknown": {},
        "mostly known": {"neutral": 1},
        "no face": {},
        "contempt": {},
        "some contempt": {"neutral": 1},
        "scattered": {},
    }
    assert answers("probability", 8)["some contempt"] == {"neutral": 2 / 3, "contempt": 1 / 3}


def test_multi_target():
    found = answers("multi_target")
    assert found["half"] == {"neutral": 1, "sad": 1}
    assert found["leading"] == {"neutral": 1, "sad": 1}
    assert found["third"] == {"neutral": 1, "angry": 1, "fearful": 1}
    assert found["four"] == {"neutral": 1, "happy": 1}
    assert found["unknown"] == found["no face"] == found["scattered"] == {}


@max_examples(100)
@given(
    st.lists(st.lists(st.integers(0, 10), min_size=10, max_size=10), min_size=1, max_size=8),
    st.sampled_from(["majority", "probability", "multi_target"]),
    st.sampled_from([7, 8]),
)
def test_properties(rows, mode, classes):
    votes = np.array(rows, np.uint8)
    found = ferplus.targets(votes, mode, classes)
    total = found.sum(axis=1)
    if mode == "multi_target":
        assert set(np.unique(found)) <= {0, 1}
    else:
        assert np.all(np.isclose(total, 1) | (total == 0))
    # A label that nobody voted for twice is never a target, and a majority is one in every mode.
    ours = votes[:, ferplus._ORDER[:classes]]
    assert not found[ours < 2].any()
    sure = ferplus.targets(votes, "majority", classes)
    assert (found.argmax(axis=1) == sure.argmax(axis=1))[sure.any(axis=1) & (mode != "multi_target")].all()
    assert found[sure.any(axis=1)].any(axis=1).all()


@pytest.fixture(scope="session")
def csv_folder(shared, common) -> Path:
    """The first rows of the real files, as a person has them."""
    import subprocess
    import sys

    folder = common / "ferplus-csv"
    if not (folder / "fer2013new.csv").exists():
        script = shared / "data" / "make_fer2013.py"
        subprocess.run([sys.executable, script, "csv", str(folder), "--limit", "700"], check=True, capture_output=True)
    return folder


def load(root: Path, *overrides: str) -> Splits:
    return sources.load(compose("train", "dataset=ferplus", f"dataset.root={root}", *overrides).dataset)


@pytest.mark.slow
def test_every_mode_is_tested_on_the_same_pictures_and_labels(csv_folder):
    modes = {
        mode: load(csv_folder, f"dataset.label_mode={mode}") for mode in ("majority", "probability", "multi_target")
    }
    for split in ("validation", "test"):
        assert len({s.fingerprint["pixels_by_split"][split] for s in modes.values()}) == 1
        assert all(s[split].targets is None and s[split].votes is not None for s in modes.values())
    held = {h for split in ("validation", "test") for h in modes["majority"][split].hashes.tolist()}
    for mode, splits in modes.items():
        train = splits.train
        assert (train.targets is None) == (mode == "majority")
        assert not set(train.hashes[~np.isin(train.hashes, splits.test.hashes)].tolist()) & held
    assert len(modes["probability"].train) > len(modes["majority"].train)
    assert modes["multi_target"].loss == "any_target"
    eight = load(csv_folder, "dataset.contempt=keep")
    assert eight.labels == (*EMOTIONS, "contempt")
    assert list(eight.fingerprint["counts"]["test"])[-1] == "contempt"
    # FER2013's own labels of the same pictures are another benchmark.
    other = sources.load(compose("train", "dataset=fer2013", f"dataset.root={csv_folder}").dataset)
    assert other.fingerprint["pixels_by_split"]["test"] not in {
        s.fingerprint["pixels_by_split"]["test"] for s in modes.values()
    }


@pytest.mark.slow
def test_rows_that_do_not_belong_together_are_refused(csv_folder, tmp_path):
    lines = (csv_folder / "fer2013new.csv").read_text().splitlines()
    cases = {
        "no such file": None,
        "expected the columns": ["emotion,pixels"],
        "row for row": lines[:-1],
        "Usage is 'PublicTest'": [lines[0], lines[-1], *lines[2:]],
        "line 4: expected 10 numbers": [*lines[:3], lines[3] + ",7", *lines[4:]],
        "a header and no rows": lines[:1],
    }
    path = tmp_path / "votes.csv"
    for message, content in cases.items():
        if content is not None:
            path.write_text("\n".join(content) + "\n")
        with pytest.raises(UserError, match=message):
            load(csv_folder, f"dataset.votes={path}")
    with pytest.raises(UserError, match="no value given"):
        sources.load(compose("train", "dataset=ferplus").dataset)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("number", ["{}", "{}.0"])
@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("separator", [",", ";"])
def test_votes_as_spreadsheets_and_pandas_save_them(tmp_path, end, mark, number, index, separator):
    rows = [["Usage", "Image name", *ferplus.COLUMNS]]
    rows += [["Training", f"fer{i}.png", *(number.format(10 * (j == i)) for j in range(10))] for i in range(3)]
    rows = [(["Unnamed: 0" if i == 0 else str(i)] if index else []) + row for i, row in enumerate(rows)]
    path = tmp_path / "votes.csv"
    path.write_bytes((end.join(separator.join(row) for row in rows) + end).encode(mark))
    votes, usage = ferplus.read_votes(path)
    assert votes.tolist() == [[10 * (j == i) for j in range(10)] for i in range(3)]
    assert usage == ["Training"] * 3
