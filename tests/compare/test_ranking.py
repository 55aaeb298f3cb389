"""Ranking, and only of what was scored on the same data; verdicts, and only those that the data bear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion import metrics
from emotion.compare import board as verdict
from emotion.compare import ranking
from emotion.compare.board import Board, Difference, Entry, Figure
from emotion.runs.folder import Run
from tests.compare import folders

LABELS = folders.truth(700)


def untimed(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    return list(entries), []


def _build(*made: Run, rank_by: str = "accuracy", split: str = "test") -> list[Board]:
    return ranking.build(folders.read(*made, split=split), split, rank_by, 300, 0, untimed)


def _make(root: Path, name: str, right: float, labels: Any = LABELS, **options: Any) -> Run:
    seed = sum(name.encode())
    return folders.make(root, name, labels=labels, probabilities=folders.answers(labels, right, seed), **options)


def test_entries_are_ranked_and_carry_the_figures_of_their_reports(tmp_path: Path) -> None:
    leaked = np.arange(len(LABELS)) % 4 == 0
    made = [
        _make(tmp_path, f"run{i}", 0.5 + i / 10, settings={"model.dropout": i / 10}, leaked=leaked) for i in (1, 3, 2)
    ]
    (board,) = _build(*made)
    assert [entry.runs[0].id for entry in board.entries] == ["run3", "run2", "run1"]
    assert board.n == 700
    best = board.entries[0]
    with np.load(made[1].path / "predictions.npz") as data:
        wanted = metrics.score_with_leak_free(
            data["test_probabilities"], data["test_labels"], data["test_leaked"], bootstrap=300
        )
    for name in ("accuracy", "macro_f1"):
        figure = getattr(best, name)
        for part in ("value", "low", "high"):
            assert getattr(figure, part) == pytest.approx(wanted[name][part])
    assert best.leak_free_accuracy is not None
    assert best.leak_free_accuracy.value == pytest.approx(wanted["leak_free"]["accuracy"]["value"])
    assert best.calibration_error is not None
    assert best.calibration_error.value == pytest.approx(wanted["expected_calibration_error"]["value"])
    assert best.rarest_recall is not None
    assert best.rarest_recall.value == pytest.approx(wanted["per_class"][board.rarest]["recall"]["value"])


def test_seeds_collapse_into_mean_and_deviation(tmp_path: Path) -> None:
    made = [_make(tmp_path, f"run{i}", 0.6 + i / 50, seed=i, training_seconds=60.0 + i) for i in range(3)]
    (board,) = _build(*made)
    (entry,) = board.entries
    singles = [_build(run)[0].entries[0].accuracy.value for run in made]
    assert entry.seeds == (0, 1, 2)
    assert entry.accuracy.value == pytest.approx(np.mean(singles))
    assert entry.accuracy.deviation == pytest.approx(np.std(singles, ddof=1))
    assert entry.training_seconds == 61
    assert board.verdict == ()
    assert any("differ in the seed alone" in note for note in board.notes)


def test_different_data_is_never_ranked_together(tmp_path: Path) -> None:
    relabelled = LABELS.copy()
    relabelled[:50] = (relabelled[:50] + 1) % 7
    made = [
        _make(tmp_path, "a", 0.7),
        _make(tmp_path, "b", 0.6, settings={"model.dropout": 0.9}),
        _make(tmp_path, "other pictures", 0.9, pictures=1),
        _make(tmp_path, "other labels", 0.9, labels=relabelled),
    ]
    found = _build(*made)
    assert [[e.runs[0].id for e in board.entries] for board in found] == [
        ["a", "b"],
        ["other pictures"],
        ["other labels"],
    ]
    assert len({board.pixels for board in found}) == 3
    for board in found:
        assert "no ranking across them" in board.notes[0]
        ranked = {entry.name for entry in board.entries}
        assert {name for d in board.differences for name in (d.better, d.worse)} <= ranked
    assert "without a verdict" in " ".join(found[1].notes)


def test_a_board_of_few_compares_all_pairs_and_one_of_many_the_best(tmp_path: Path) -> None:
    made = [_make(tmp_path, f"run{i}", 0.6, settings={"model.dropout": i / 10}) for i in range(7)]
    (few,), (many,) = _build(*made[:3]), _build(*made)
    assert len(few.differences) == 2 * 3
    assert len(many.differences) == 2 * 6
    assert {d.better for d in many.differences} == {many.entries[0].name}


def test_the_best_of_many_equals_is_not_called_better(tmp_path: Path) -> None:
    """The best was chosen by the figures that are tested, so all pairs count."""
    (one,) = folders.read(_make(tmp_path, "run", 0.6))
    called, trials = 0, 20
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        equals = []
        for i in range(20):
            said = np.where(rng.random(len(one.labels)) < 0.6, one.labels, (one.labels + 1) % 7).astype(np.uint8)
            config = {**one.config, "model": {**one.config["model"], "dropout": i / 30}}
            equals.append(replace(one, config=config, predicted=said))
        (board,) = ranking.build(equals, "test", "accuracy", 100, trial, untimed)
        called += any(d.significant for d in board.differences if d.metric == "accuracy")
    assert called / trials <= 0.15


def test_macro_f1_ranks_where_it_is_asked_to(tmp_path: Path) -> None:
    many = np.array([0] * 600 + list(range(1, 7)) * 5)
    common = np.eye(7, dtype=np.float32)[np.zeros(len(many), int)] * 0.9 + 0.1 / 7
    fair = np.eye(7, dtype=np.float32)[np.where(np.arange(len(many)) < 120, 1, many)] * 0.9 + 0.1 / 7
    made = [
        folders.make(tmp_path, "common", labels=many, probabilities=common),
        folders.make(tmp_path, "fair", labels=many, probabilities=fair, settings={"model.dropout": 0.9}),
    ]
    (by_accuracy,), (by_f1,) = _build(*made), _build(*made, rank_by="macro_f1")
    assert by_accuracy.entries[0].runs[0].id == "common"
    assert by_f1.entries[0].runs[0].id == "fair"
    assert "points of macro-F1" in by_f1.verdict[0]
    assert [d.metric for d in by_f1.differences] == ["macro_f1", "accuracy"]


def test_what_must_be_known_is_noted(tmp_path: Path) -> None:
    stale, again = _make(tmp_path, "stale", 0.7), _make(tmp_path, "stale2", 0.7)
    (stale.path / "checkpoints" / "best.keras").write_bytes(b"another")
    other = _make(tmp_path, "other", 0.6, model="mobilenet_v2", data={"pixels": "elsewhere"})
    (board,) = _build(stale, other, split="validation")
    text = "\n".join(board.notes)
    for said in ("Stale figures", "stale. Score such a run again", "not trained on the same", "validation split chose"):
        assert said in text
    assert all(entry.leak_free_accuracy is None for entry in board.entries)
    (board,) = _build(stale, again)
    assert any("left out stale." in note for note in board.notes)


def test_older_runs_did_not_record_what_they_cost(tmp_path: Path) -> None:
    costs = {"multiply_adds": 10**7, "latency_ms": 2.0, "peak_memory_bytes": 10**9}
    old, new = _make(tmp_path, "old", 0.6), _make(tmp_path, "new", 0.6, seed=1, efficiency=costs)
    entry = _build(old, new)[0].entries[0]
    assert (entry.multiply_adds, entry.latency_ms, entry.peak_memory_bytes) == (10**7, 2.0, 10**9)
    entry = _build(old)[0].entries[0]
    assert (entry.multiply_adds, entry.latency_ms, entry.peak_memory_bytes) == (None, None, None)
    assert entry.file_bytes == 1000


# ----------------------------------------------------------------------------------------------------------- in words


def _entry(name: str, accuracy: float, cost: int | None, seeds: int = 1) -> Entry:
    figure = Figure(accuracy)
    return Entry(name, (), tuple(range(seeds)), figure, figure, None, None, None, 1, cost, 1, 1.0, 1, 1.0, {})


def _difference(better: str, worse: str, gain: tuple[float, float, float], p: float) -> Difference:
    return Difference(better, worse, "accuracy", Figure(*gain), p, p, significant=p < 0.05)


def _said(entries: list[Entry], differences: list[Difference], split: str = "test") -> list[str]:
    board = Board("d", "p", split, ("a", "b"), "a", 9, tuple(entries), tuple(differences), (), ())
    return list(verdict.sentences(board, "accuracy"))


MOBILENET, CNN = _entry("mobilenet_v2", 0.65, 4), _entry("cnn", 0.63, 10)


def test_a_shown_difference_is_said_in_the_words_of_the_issue() -> None:
    found = _said([MOBILENET, CNN], [_difference("mobilenet_v2", "cnn", (0.019, 0.006, 0.032), 0.004)])
    assert found == [
        "mobilenet_v2 beats cnn by 1.9 points (95 % interval 0.6 to 3.2, p = 0.004) at 0.4 times the multiply-adds."
    ]


def test_seeds_are_counted() -> None:
    three = [replace(entry, seeds=(0, 1, 2)) for entry in (MOBILENET, CNN)]
    found = _said(three, [_difference("mobilenet_v2", "cnn", (0.019, 0.006, 0.032), 0.0001)])
    assert "p < 0.001; 3 seeds each) at 0.4 times" in found[0]
    found = _said([three[0], CNN], [_difference("mobilenet_v2", "cnn", (0.019, 0.006, 0.032), 0.004)])
    assert "3 seeds against 1" in found[0]


def test_a_difference_that_is_not_shown_claims_nothing() -> None:
    (found,) = _said([MOBILENET, CNN], [_difference("mobilenet_v2", "cnn", (0.004, -0.005, 0.013), 0.37)])
    assert "beats" not in found
    assert "no difference that this test set can show" in found
    assert "95 % interval −0.5 to 1.3, p = 0.37" in found
    assert "0.4 times the multiply-adds" in found


def test_costs_that_are_not_known_are_not_spoken_of() -> None:
    unknown = replace(CNN, multiply_adds=None)
    (found,) = _said([MOBILENET, unknown], [_difference("mobilenet_v2", "cnn", (0.019, 0.006, 0.032), 0.004)])
    assert "multiply-adds" not in found


def test_of_several_it_says_which_are_beaten_and_which_is_cheapest() -> None:
    entries = [MOBILENET, CNN, _entry("small", 0.64, 1), _entry("bad", 0.5, 4)]
    found = _said(entries, [
        _difference("mobilenet_v2", "cnn", (0.01, -0.01, 0.03), 0.3),
        _difference("mobilenet_v2", "small", (0.01, -0.01, 0.03), 0.3),
        _difference("mobilenet_v2", "bad", (0.15, 0.1, 0.2), 0.0),
    ])  # fmt: skip
    assert "after Holm's correction for 6 comparisons" in found[0]
    assert found[1] == "mobilenet_v2 beats 1 of the 3 others; not shown to be worse by this test set: cnn, small."
    assert found[2] == (
        "Of those that this test set cannot tell apart, small is the cheapest, at 0.25 times the multiply-adds."
    )


@pytest.mark.parametrize(
    ("mine", "other", "text"),
    [
        (40, 100, "0.4 times the multiply-adds"),
        (100, 40, "2.5 times the multiply-adds"),
        (2500, 100, "25 times the multiply-adds"),
        (98, 100, "0.98 times the multiply-adds"),
        (1000, 1001, "the same multiply-adds"),
        (None, 3, ""),
    ],
)
def test_ratios(mine: int | None, other: int, text: str) -> None:
    assert verdict.ratio(mine, other) == text
