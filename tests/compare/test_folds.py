"""Folds of one config as one entry: mean, spread, pooled confusion, and comparisons of such entries."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from emotion import compare, runs
from emotion.compare import folds
from emotion.runs import Run
from emotion.train import sweep
from tests.conftest import TINY, compose, emotion
from tests.helpers import folders

SIZES = (70, 84, 91)
LABELS = [folders.truth(n, seed=i) for i, n in enumerate(SIZES)]


def made(root: Path, model: str = "cnn", right: float = 0.6, seeds: int = 1, without: int | None = None) -> list[Run]:
    """A cross-validation of three folds, seed by seed."""
    return [
        folders.make(
            root,
            f"{model}{seed}-{fold}",
            labels=LABELS[fold],
            probabilities=folders.answers(LABELS[fold], right + 0.05 * fold, seed),
            model=model,
            seed=seed,
            pictures=fold,
            settings={"dataset.folds": 3, "dataset.fold": fold},
        )
        for seed in range(seeds)
        for fold in range(3)
        if fold != without
    ]


@pytest.mark.slow
def test_a_set_of_folds_is_one_candidate_with_the_figures_that_papers_report(tmp_path: Path) -> None:
    candidates = folders.read(*made(tmp_path))
    (pooled,), notes = folds.pool(candidates[::-1])
    assert not notes
    result = folds.of(pooled)
    accuracies = [np.mean(c.predicted == c.labels) for c in candidates]
    np.testing.assert_allclose(result.accuracy, accuracies)
    expected = [f1_score(c.labels, c.predicted, average="macro") for c in candidates]
    np.testing.assert_allclose(result.macro_f1, expected)
    assert result.n == sum(SIZES) == np.sum(result.confusion)
    assert result.pooled_accuracy == pytest.approx(np.trace(result.confusion) / sum(SIZES))
    labels, predicted = (np.concatenate([getattr(c, k) for c in candidates]) for k in ("labels", "predicted"))
    assert result.pooled_macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    mean, spread = 100 * np.mean(accuracies), 100 * np.std(accuracies, ddof=1)
    assert result.cells()[:3] == ("3", "245", f"{mean:.1f} ± {spread:.1f}")


def test_incomplete_sets_are_named_and_not_pooled(tmp_path: Path) -> None:
    candidates = folders.read(*made(tmp_path, without=1))
    kept, (note,) = folds.pool(candidates)
    assert kept == candidates
    assert "of 3 folds there is no result of fold 1, only cnn0-0, cnn0-2." in note


def test_folds_of_several_commits_are_one_set_with_a_note(tmp_path: Path) -> None:
    trained = made(tmp_path)
    runs.update(trained[1], commit="7654321")
    (pooled,), (note,) = folds.pool(folders.read(*trained))
    assert len(pooled.folds) == 3
    assert note == "These folds were trained by 2 commits of the code: cnn0-0, cnn0-1, cnn0-2."


def test_a_fold_that_was_trained_again_does_not_part_a_whole_set(tmp_path: Path) -> None:
    first = made(tmp_path / "a")
    again = made(tmp_path / "b", right=0.9)[:1]
    runs.update(again[0], commit="7654321")
    (pooled,), notes = folds.pool(folders.read(*first, *again))
    assert [fold.run.path for fold in pooled.folds] == [run.path for run in first]
    assert not notes


@pytest.mark.slow
def test_boards_rank_cross_validations_of_the_same_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for model, right in {"cnn": 0.4, "mobilenet_v2": 0.8}.items():
        made(tmp_path / "outputs", model, right, seeds=2)
    (board,) = compare.compare(
        compose("compare", "runs=all", "folder=report", "latency=recorded", "resamples=200", "pictures=0")
    )
    best, other = board.entries
    assert (best.name, other.name, board.n) == ("mobilenet_v2", "cnn", sum(SIZES))
    assert (best.seeds, len(best.runs), best.folds) == ((0, 1), 6, 3)
    assert board.test_set == "3 folds of drawn faces together"
    assert board.verdict[-1].startswith("mobilenet_v2 beats cnn: accuracy on 3 folds of drawn faces together (")
    assert any(note.startswith("cnn: 3 folds, accuracy ") and "±" in note for note in board.notes)
    page = (tmp_path / "report" / "comparison.html").read_text()
    assert "scored on other images" not in page
    assert "mean and standard deviation over folds" in page
    command = json.loads((tmp_path / "report" / "comparison.json").read_text())["tensorboard"]
    assert "tensorboard --logdir" in command


@pytest.mark.slow
def test_a_sweep_ends_in_a_row_and_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, right=0.6)
    assert sweep.summarise(tmp_path) == 0
    printed = capsys.readouterr().out
    assert "folds together" in printed
    (row,) = json.loads((tmp_path / "cross_validation.json").read_text())["rows"]
    assert len(row["accuracy"]) == 3
    assert f"{100 * np.mean(row['accuracy']):.1f} ±" in printed
    text = (tmp_path / "cross_validation.md").read_text()
    assert f"{100 * row['pooled_macro_f1']:.1f}" in text
    assert (tmp_path / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweep_without_a_fold_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, without=2)
    sweep.summarise(tmp_path)
    assert "there is no result of fold 2" in " ".join(capsys.readouterr().out.split())
    assert not (tmp_path / "cross_validation.md").exists()


@pytest.mark.nightly
@pytest.mark.slow
def test_ck_plus_in_one_command(shared: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared / "data" / "ckplus48.zip") as archive:
        archive.extractall(tmp_path / "ck")
    data = "dataset=folder", "dataset.root=ck", "dataset.group='^(S\\d+)_'", "dataset.ignore=[contempt]"
    small = [option for option in TINY if not option.startswith("dataset.")]
    done = emotion(
        "train", "-m", *data, *small, "dataset.folds=2", "dataset.fold=range(2)", "dataset.cache_dir=cache",
        "hydra.sweep.dir=cv", cwd=tmp_path,
    )  # fmt: skip
    (row,) = json.loads((tmp_path / "cv" / "cross_validation.json").read_text())["rows"]
    assert row["n"] == np.sum(row["confusion"]) == 927
    assert f"{100 * np.mean(row['accuracy']):.1f} ±" in done.stdout
