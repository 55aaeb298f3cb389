"""Several runs on several datasets: one table, each evaluation in its own folder, and mistakes named at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import pytest

from emotion import evaluate, runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.compare import compare
from emotion.config import cli
from emotion.data import synthetic
from emotion.faces.labels import EMOTIONS
from tests.conftest import compose


def _folder(root: Path, numbers: range) -> Path:
    for number in numbers:
        path = root / EMOTIONS[number % 7] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), synthetic.picture(0, number, 48, 0.3))
    return root


@pytest.mark.slow
def test_two_runs_on_two_datasets_are_one_table_that_compare_ranks(
    trained: runs.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    faces = _folder(tmp_path / "faces", range(7000, 7021))
    run = Path(shutil.copytree(trained.path, tmp_path / "runs" / "mine"))
    drawn = "{name: synthetic, per_emotion: 10, image_size: 48, split_seed: 9, title: drawn}"
    table = evaluate.evaluate(
        compose(
            "evaluate", f"run=[pretrained,{run}]", f"datasets=[{faces},{drawn}]", "bootstrap=0", "faces=whole",
            "folder=table", f"outputs={tmp_path / 'outputs'}", "slices=false",
        )
    )  # fmt: skip
    assert {run: {d: s["n"] for d, s in row.items()} for run, row in table.items()} == {
        "pretrained/live": {"faces": 21, "drawn": 70},
        "runs/mine": {"faces": 21, "drawn": 70},
    }
    text = (tmp_path / "table" / "datasets.md").read_text()
    assert "faces (21 images)" in text
    assert "## Macro-F1" in text
    assert "so do not read meaning into small differences. Figures count every image" in text
    assert "rank the runs: python -m emotion.compare runs=table" in capsys.readouterr().out
    compare(compose("compare", "runs=table", "folder=ranked", "resamples=100"))
    (board,) = files.read_json(tmp_path / "ranked" / "comparison.json")["boards"]
    assert (board["datasets"], board["images"]) == (["faces", "drawn"], [21, 70])
    for row in board["rows"]:
        expected = [table[row["run"]][d]["macro_f1"]["value"] for d in ("faces", "drawn")]
        assert row["macro_f1"] == pytest.approx(expected)


@pytest.mark.slow
def test_all_runs_are_scored_on_the_test_split_of_the_one_that_was_made_with_the_data(
    trained: runs.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path(shutil.copytree(trained.path, tmp_path / "runs" / "mine"))
    data = "{name: synthetic, per_emotion: 24, image_size: 48, noise: 0.3, title: drawn}"
    table = evaluate.evaluate(
        compose(
            "evaluate", f"run=[pretrained,{run}]", f"datasets=[{data}]", "bootstrap=0", "faces=whole", "folder=table",
            f"outputs={tmp_path / 'outputs'}", "slices=false",
        )
    )  # fmt: skip
    images = sum(trained.record().data["counts"]["test"].values())
    assert {name: row["drawn"]["n"] for name, row in table.items()} == {"pretrained/live": images, "runs/mine": images}
    text = (tmp_path / "table" / "datasets.md").read_text()
    assert "drawn: its test split alone, for all runs, as runs/mine was made with the rest of it." in text
    compare(compose("compare", "runs=table", "folder=ranked", "resamples=100"))
    (board,) = files.read_json(tmp_path / "ranked" / "comparison.json")["boards"]
    assert board["images"] == [images]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ("datasets=faces", "datasets: 'faces' must be a list"),
        ("datasets=[nowhere/faces]", r"datasets\.0\.root: no such file or folder 'nowhere/faces'"),
        ("datasets=[{name: ferpls, root: .}]", r"datasets\.0\.name: 'ferpls' is not one of .* Did you mean 'ferplus'"),
        ("datasets=[{root: ., numbring: rafdb}]", r"datasets\.0\.numbring: no such key. Did you mean 'numbering'"),
    ],
)
def test_a_wrong_list_is_named(datasets: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        cli.request("evaluate", ["run=pretrained", datasets])
