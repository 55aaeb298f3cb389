"""What is in another dataset's test split stays out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emotion.base.errors import UserError
from emotion.collect import held_out
from emotion.data.fingerprint import hash_pixels
from emotion.faces import decoding
from tests.helpers.collected import drawn, from_folder, lines, own, write


@pytest.mark.slow
def test_what_is_in_another_datasets_test_split_stays_out(tmp_path: Path) -> None:
    """The same face, scaled and compressed anew; whole there, a crop here."""
    other = own(tmp_path / "other" / "train", happy=range(10, 12)).parent
    write(other / "test" / "happy" / "x.jpg", cv2.resize(drawn(0), (300, 300)))
    path = own(tmp_path / "own", happy=range(2))
    outcome = from_folder(tmp_path / "data", path, f"against={other}")
    assert (outcome["happy"].kept, outcome["happy"].rejected) == (1, {"in the test split": 1})
    assert lines(tmp_path / "data")[0]["reason"] == f"in the test split of {other}"


@pytest.mark.slow
def test_only_the_test_split_of_another_dataset_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not its empty folders, other classes, tables, or training pictures."""
    other = own(tmp_path / "other" / "test", Happiness=range(1), contempt=range(2, 3)).parent
    path = own(tmp_path / "own", happy=range(2))
    for number, add in enumerate((other / "test" / "sad", other / "train" / "happy", other / "train.csv")):
        add.write_text("a,b\n") if add.suffix else add.mkdir(parents=True)
        outcome = from_folder(tmp_path / str(number), path, f"against={other}")
        assert (outcome["happy"].kept, outcome["happy"].rejected) == (1, {"in the test split": 1})
    assert "no emotion is called contempt; left out" in caplog.text


@pytest.mark.slow
def test_without_a_test_folder_what_training_would_hold_out_is_read(tmp_path: Path) -> None:
    other = own(tmp_path / "other", happy=range(12), contempt=range(20, 21))
    (other / "sad").mkdir()
    split = held_out.load(str(other), tmp_path / "data")
    refused = [p for p in range(12) if split.why_not(hash_pixels(drawn(p)), ())]
    assert 1 <= len(refused) <= 6


def test_a_dataset_that_cannot_be_read_is_against(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "train.csv").write_text("a,b\n1,2\n")
    for place in ("empty", "train.csv"):
        with pytest.raises(UserError, match=r"^against: ") as caught:
            from_folder(tmp_path / "data", own(tmp_path / "own", happy=range(1)), f"against={tmp_path / place}")
        assert "dataset." not in str(caught.value)


@pytest.mark.slow
def test_what_is_in_fer2013s_test_split_stays_out(tmp_path: Path) -> None:
    path = own(tmp_path / "own", happy=range(2))
    from_folder(tmp_path / "first", path, "colour=gray", "size=48")
    (mine,) = (r["file"] for r in lines(tmp_path / "first") if r["key"].endswith("0.png"))
    rng = np.random.default_rng(0)
    rows: list[tuple[int, Any, str]] = [(3, rng.integers(0, 256, 48 * 48), "Training") for _ in range(30)]
    rows += [(3, rng.integers(0, 256, 48 * 48), "PublicTest"), (4, rng.integers(0, 256, 48 * 48), "PrivateTest")]
    rows.append((3, decoding.read(tmp_path / "first" / mine)[:, :, 0].ravel(), "PrivateTest"))
    csv = tmp_path / "fer2013.csv"
    csv.write_text("emotion,pixels,Usage\n" + "".join(f"{e},{' '.join(map(str, p))},{u}\n" for e, p, u in rows))
    outcome = from_folder(tmp_path / "data", path, f"against={csv}")
    assert (outcome["happy"].kept, outcome["happy"].rejected) == (1, {"in the test split": 1})
