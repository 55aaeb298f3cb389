"""Runs across datasets: means that scikit-learn agrees with, one board per label set, and mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.compare import across, compare
from emotion.faces.labels import EMOTIONS
from emotion.runs import predictions
from emotion.runs.predictions import Predictions
from tests.conftest import compose

EIGHT = [*EMOTIONS, "contempt"]


def _answers(rng: np.random.Generator, labels: np.ndarray, classes: int, right: float) -> np.ndarray:
    answered = np.where(rng.random(len(labels)) < right, labels, rng.integers(0, classes, len(labels)))
    return np.asarray(0.9 * np.eye(classes)[answered] + 0.1 / classes, np.float32)


def _evaluated(root: Path, table: dict[tuple[str, str], dict[str, Any]]) -> Path:
    """What ``emotion.evaluate`` leaves: predictions of each run on each dataset, and the list of them."""
    entries = []
    for (run, dataset), one in table.items():
        folder = root / f"{run}-{dataset}"
        folder.mkdir(parents=True)
        columns = {"labels": one["labels"].astype(np.int8), "hashes": one["hashes"], "leaked": one.get("leaked")}
        predictions.write(folder, {"all": Predictions(one["probabilities"], **columns)})
        names = list(EMOTIONS) if one["probabilities"].shape[1] == 7 else EIGHT
        entries.append({"run": run, "dataset": dataset, "split": "all", "labels": names, "folder": folder.name})
    files.write_json(root / runs.ACROSS, {"evaluations": entries})
    return root


def _table(rights: dict[str, float], seed: int = 0, classes: int = 7) -> dict[tuple[str, str], dict[str, Any]]:
    rng = np.random.default_rng(seed)
    table: dict[tuple[str, str], dict[str, Any]] = {}
    for dataset, count in (("web", 350), ("lab", 140)):
        labels, hashes = rng.integers(0, classes, count), np.frombuffer(rng.bytes(16 * count), "S16")
        for run, right in rights.items():
            order = rng.permutation(count)  # each run stores the images in its own order
            table[run, dataset] = {
                "labels": labels[order],
                "hashes": hashes[order],
                "probabilities": _answers(rng, labels[order], classes, right),
                "leaked": np.zeros(count, np.bool_),
            }
    return table


def test_runs_are_ranked_by_the_mean_of_their_macro_f1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = _table({"weak": 0.3, "strong": 0.7, "twin": 0.7})
    source = _evaluated(tmp_path / "in", table)
    (board,) = across.compare(source, tmp_path / "out", 500, 0)
    assert [row.run for row in board.rows][-1] == "weak"
    for row in board.rows:
        for value, dataset in zip(row.macro_f1, board.datasets, strict=True):
            one = table[row.run, dataset]
            expected = f1_score(one["labels"], one["probabilities"].argmax(axis=1), average="macro")
            assert value == pytest.approx(expected)
        assert row.mean == pytest.approx(np.mean(row.macro_f1))
        assert row.low < row.mean < row.high
    assert {(g.better, g.worse) for g in board.gaps if g.p < 0.05} == {("strong", "weak"), ("twin", "weak")}
    assert len(board.gaps) == 3
    assert "leads, but it is not shown to be better" in across.verdict(board)
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert page.count('class="heat"') == 3 * 3
    assert across.verdict(board) in capsys.readouterr().out
    assert compare(compose("compare", f"runs={source}", f"folder={tmp_path / 'again'}", "resamples=200")) == []
    assert files.read_json(tmp_path / "again" / "comparison.json")["boards"][0]["images"] == [350, 140]


def test_images_that_one_run_was_trained_on_count_for_none(tmp_path: Path) -> None:
    table = _table({"a": 0.5, "b": 0.6})
    hashes = table["a", "web"]["hashes"]
    table["b", "web"]["leaked"] = np.isin(table["b", "web"]["hashes"], hashes[:50])
    table["a", "lab"]["leaked"] = None
    (board,) = across.compare(_evaluated(tmp_path / "in", table), tmp_path / "out", 200, 0)
    assert (board.images, board.left_out) == ((300, 140), (50, 0))
    assert board.notes == ("lab: not known what a was trained on.",)
    assert "web: 50" in (tmp_path / "out" / "comparison.md").read_text()


def test_runs_with_other_labels_get_a_board_of_their_own(tmp_path: Path) -> None:
    table = _table({"seven": 0.5, "also": 0.4}) | _table({"eight": 0.5}, seed=1, classes=8)
    boards = across.compare(_evaluated(tmp_path / "in", table), tmp_path / "out", 200, 0)
    assert [len(board.rows) for board in boards] == [2, 1]
    assert "ranked apart" in (tmp_path / "out" / "comparison.md").read_text()


def test_what_does_not_compare_is_refused(tmp_path: Path) -> None:
    table = _table({"a": 0.5, "b": 0.6})
    others = dict(table)
    others["b", "lab"] = _table({"b": 0.5}, seed=9)["b", "lab"]
    with pytest.raises(UserError, match="scored on other images of lab"):
        across.compare(_evaluated(tmp_path / "other", others), tmp_path / "out", 200, 0)
    fewer = {key: one for key, one in table.items() if key != ("b", "lab")}
    with pytest.raises(UserError, match="b was not scored on lab"):
        across.compare(_evaluated(tmp_path / "fewer", fewer), tmp_path / "out", 200, 0)
    source = _evaluated(tmp_path / "gone", table)
    (source / "a-web" / predictions.NAME).write_bytes(b"")
    with pytest.raises(UserError, match=r"a on web: .*damaged"):
        across.compare(source, tmp_path / "out", 200, 0)
    files.write_json(source / runs.ACROSS, {"evaluations": 3})
    with pytest.raises(UserError, match="lists no evaluations"):
        across.compare(source, tmp_path / "out", 200, 0)
    assert not (tmp_path / "out").exists()
