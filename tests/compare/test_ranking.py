"""Ranking, and only of what was scored on the same data; verdicts, and only those that the data bear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion import metrics
from emotion.compare import ranking, verdict
from emotion.compare.board import Board, Difference, Entry, Figure
from emotion.compare.candidates import Candidate
from emotion.compare.ranking import How
from emotion.metrics.proportions import wilson
from emotion.runs.folder import Run
from tests.helpers import folders
from tests.helpers.candidates import candidate

LABELS = folders.truth(700)


def untimed(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    return list(entries), []


def _build(*made: Run, rank_by: str = "accuracy", split: str = "test") -> list[Board]:
    return ranking.build(folders.read(*made, split=split), How(split, rank_by, "test", 300), untimed)


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


def test_an_interval_does_not_depend_on_the_order_in_which_images_are_stored(tmp_path: Path) -> None:
    order = np.random.default_rng(3).permutation(len(LABELS))
    p = folders.answers(LABELS, 0.6)
    one = folders.make(tmp_path, "one", labels=LABELS, probabilities=p)
    other = folders.make(tmp_path, "other", labels=LABELS, probabilities=p, order=order)
    first, second = (_build(run)[0].entries[0] for run in (one, other))
    assert (first.accuracy, first.macro_f1) == (second.accuracy, second.macro_f1)
    low, high = wilson(round(first.accuracy.value * 700), 700)
    assert (first.accuracy.low, first.accuracy.high) == pytest.approx((float(low), float(high)))


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


@pytest.mark.slow
def test_a_board_of_few_compares_all_pairs_and_one_of_many_the_best(tmp_path: Path) -> None:
    made = [_make(tmp_path, f"run{i}", 0.6, settings={"model.dropout": i / 10}) for i in range(7)]
    (few,), (many,) = _build(*made[:3]), _build(*made)
    assert len(few.differences) == 2 * 3
    assert len(many.differences) == 2 * 6
    assert {d.better for d in many.differences} == {many.entries[0].name}


@pytest.mark.slow
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
        (board,) = ranking.build(equals, How("test", "accuracy", "test", 100, trial), untimed)
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
    assert "macro-F1 on drawn faces, test split (630 images)" in by_f1.verdict[0]
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


# ------------------------------------------------------------------------------------------------------------ by hand

#: Twenty, fifteen and five pictures of three classes.
THREE = np.repeat([0, 1, 2], [20, 15, 5])


def _answered(number: int, wrong: Sequence[int], **columns: Any) -> Candidate:
    """A run that is right but for these of the pictures, which it takes for the class before or, of 0, for 1."""
    predicted = THREE.copy()
    rows = np.array(wrong, np.int64)
    predicted[rows] = np.where(THREE[rows] == 0, 1, THREE[rows] - 1)
    named: dict[str, Any] = {"names": ("a", "b", "c"), "labels": THREE, "predicted": predicted.astype(np.uint8)}
    return replace(
        candidate(number, model__dropout=number / 10),
        **(named | columns),
    )


def _ranked(*made: Candidate, rank_by: str = "accuracy", split: str = "test") -> Board:
    (board,) = ranking.build(made, How(split, rank_by, "test", 400), untimed)
    return board


def test_two_runs_by_hand() -> None:
    """One is wrong where the other is right in 1 picture, and the other way round in 9."""
    board = _ranked(_answered(1, range(1, 10)), _answered(2, [0]))
    assert [entry.runs[0].id for entry in board.entries] == ["sweep/2", "sweep/1"]
    better, worse = board.entries
    assert (better.accuracy.value, worse.accuracy.value) == pytest.approx((39 / 40, 31 / 40))
    # Per class 2 hits / (images + answers): of a, b and c.
    assert better.macro_f1.value == pytest.approx((38 / 39 + 30 / 31 + 1) / 3)
    assert worse.macro_f1.value == pytest.approx((22 / 31 + 30 / 39 + 1) / 3)
    accuracy, f1 = board.differences
    assert (accuracy.metric, f1.metric) == ("accuracy", "macro_f1")
    for difference in board.differences:
        assert (difference.better, difference.worse) == (better.name, worse.name)
        assert difference.gain.low is not None
        assert difference.gain.low > 0
        assert difference.significant
    # McNemar's mid-p: 2 * (1 + 10) / 1024 - 10 / 1024.
    assert accuracy.p == accuracy.p_holm == pytest.approx(12 / 1024)
    assert accuracy.gain.value == pytest.approx(0.2)
    assert f1.gain.value == pytest.approx(better.macro_f1.value - worse.macro_f1.value)
    assert f1.p != pytest.approx(accuracy.p, rel=0.01), "it is no mean over images, so McNemar's test is not its test"


def test_three_runs_are_corrected_for_three_comparisons() -> None:
    board = _ranked(_answered(1, range(1, 10)), _answered(2, [0]), _answered(3, range(1, 10)))
    one = 12 / 1024
    assert [d.p for d in board.differences if d.metric == "accuracy"] == pytest.approx([one, one, 1])
    assert [d.p_holm for d in board.differences if d.metric == "accuracy"] == pytest.approx([3 * one, 3 * one, 1])
    assert [d.significant for d in board.differences if d.metric == "accuracy"] == [True, True, False]


def test_seven_runs_are_corrected_for_all_their_pairs_though_few_are_tested() -> None:
    board = _ranked(_answered(0, [0]), *(_answered(i, range(1, 10)) for i in range(1, 7)))
    found = [d for d in board.differences if d.metric == "accuracy"]
    assert [d.p_holm for d in found] == pytest.approx([21 * 12 / 1024] * 6)
    assert not any(d.significant for d in found), "a quarter"


def test_a_gain_in_the_other_metric_may_be_a_loss() -> None:
    # Ten wrong of a cost accuracy; five wrong of c cost macro-F1 all that c gives.
    board = _ranked(_answered(1, range(35, 40)), _answered(2, range(10)))
    accuracy, f1 = board.differences
    assert accuracy.better == f1.worse == board.entries[0].name
    assert board.entries[0].runs[0].id == "sweep/1"
    assert accuracy.gain.value == pytest.approx(5 / 40)
    assert f1.gain.low is not None
    assert f1.gain.low > 0
    assert f1.significant
    assert not accuracy.significant
    (found, _) = _ranked(_answered(1, range(35, 40)), _answered(2, range(10)), rank_by="macro_f1").differences
    assert (found.metric, found.gain.value) == ("macro_f1", pytest.approx(f1.gain.value))


def test_equal_runs_are_ranked_by_name() -> None:
    board = _ranked(*(_answered(number, [0, 20]) for number in (3, 1, 2)))
    assert [entry.name for entry in board.entries] == [f"cnn dropout=0.{number}" for number in (1, 2, 3)]


def test_the_rarest_class_is_one_that_occurs() -> None:
    answers = {"names": ("a", "b", "c", "d")}
    board = _ranked(_answered(1, [36, 37], **answers), _answered(2, [], **answers))
    assert board.rarest == "c"
    recalls = [entry.rarest_recall.value for entry in board.entries if entry.rarest_recall]
    assert recalls == pytest.approx([1, 3 / 5])
    assert (board.n, board.labels, board.split, board.pixels) == (40, ("a", "b", "c", "d"), "test", "same")


def test_leak_free_accuracy_is_over_the_others_and_only_where_leaks_are_known() -> None:
    leaked = np.arange(40) < 10
    known, unknown = _answered(1, [0, 39], leaked=leaked), _answered(2, [0])
    found = {entry.runs[0].id: entry.leak_free_accuracy for entry in _ranked(known, unknown).entries}
    figure = found["sweep/1"]
    assert figure is not None
    assert figure.value == pytest.approx(29 / 30)
    assert found["sweep/2"] is None
    assert [e.leak_free_accuracy for e in _ranked(known, unknown, split="validation").entries] == [None, None]
    everything = _answered(1, [0], leaked=np.ones(40, bool))
    assert _ranked(everything).entries[0].leak_free_accuracy is None


def test_seeds_by_hand() -> None:
    """Two seeds against one: mean and deviation over the seeds, and what a run recorded of its cost."""
    costs = [
        {"multiply_adds": 10, "latency_ms": 2.0, "peak_memory_bytes": 5},
        {"latency_ms": 5.0, "peak_memory_bytes": 7},
    ]
    made = [
        replace(
            _answered(1, wrong, calibration_error=error),
            run=Run(Path(f"out/{seed}"), f"seed{seed}"),
            config=candidate(1, model__dropout=0.1, seed=seed).config,
            record=replace(candidate(1).record, efficiency=cost, training_seconds=10.0 * (1 + seed), parameters=9),
        )
        for seed, wrong, error, cost in zip((0, 1), ([0], [0, 1, 2]), (0.1, 0.4), costs, strict=True)
    ]
    board = _ranked(*made, _answered(2, range(20)))
    entry = board.entries[0]
    assert entry.seeds == (0, 1)
    assert [run.id for run in entry.runs] == ["seed0", "seed1"]
    assert (entry.accuracy.value, entry.accuracy.deviation) == pytest.approx((38 / 40, np.sqrt(0.5) * 2 / 40))
    assert entry.calibration_error is not None
    assert (entry.calibration_error.value, entry.calibration_error.deviation) == pytest.approx((0.25, 0.3 / np.sqrt(2)))
    assert (entry.parameters, entry.multiply_adds) == (9, 10)
    assert (entry.latency_ms, entry.peak_memory_bytes, entry.training_seconds) == (3.5, 7, 15)
    assert board.entries[1].accuracy.deviation is None


def test_boards_of_other_images_or_names_are_apart_the_largest_first() -> None:
    made = [
        _answered(1, [0], pictures="other"), _answered(2, [1]), _answered(3, [2]),
        _answered(4, [3], names=("a", "b", "d")),
    ]  # fmt: skip
    boards = ranking.build(made, How(resamples=10), untimed)
    assert [[entry.runs[0].id for entry in board.entries] for board in boards] == [
        ["sweep/2", "sweep/3"], ["sweep/1"], ["sweep/4"],
    ]  # fmt: skip
    assert all("3 different sets" in board.notes[0] for board in boards)
    two = ranking.build(made[:2], How(resamples=10), untimed)
    assert ["no ranking across them" in board.notes[0] for board in two] == [True, True]


# ----------------------------------------------------------------------------------------------------------- in words


def _entry(name: str, accuracy: float, cost: int | None, seeds: int = 1) -> Entry:
    figure = Figure(accuracy)
    return Entry(name, (), tuple(range(seeds)), figure, figure, None, None, None, 1, cost, 1, 1.0, 1, 1.0, {})


def _difference(
    better: str, worse: str, gain: tuple[float, float, float], p: float, comparisons: int = 1
) -> Difference:
    return Difference(better, worse, "accuracy", Figure(*gain), p, p, significant=p < 0.05, comparisons=comparisons)


def _said(entries: list[Entry], differences: list[Difference], split: str = "test") -> list[str]:
    board = Board(
        "d", "p", split, ("a", "b"), "a", 3589, tuple(entries), tuple(differences), (), (), "FER2013 PublicTest",
        resamples=10_000,
    )  # fmt: skip
    return list(verdict.sentences(board))


MOBILENET, CNN = _entry("mobilenet_v2", 0.65, 4), _entry("cnn", 0.63, 10)


def test_a_shown_difference_is_said_in_the_words_of_the_issue() -> None:
    found = _said([MOBILENET, CNN], [_difference("mobilenet_v2", "cnn", (0.019, 0.006, 0.032), 0.004)])
    assert found == [
        "mobilenet_v2 beats cnn: accuracy on FER2013 PublicTest (3,589 images): 1.9 points (95 % paired bootstrap "
        "interval 0.6 to 3.2, 10,000 resamples; McNemar, mid-p = 0.004), at 0.4 times the multiply-adds."
    ]


def test_seeds_are_counted() -> None:
    three = [replace(entry, seeds=(0, 1, 2)) for entry in (MOBILENET, CNN)]
    found = _said(three, [_difference("mobilenet_v2", "cnn", (0.019, 0.006, 0.032), 0.0001)])
    assert "mid-p < 0.001; 3 seeds each), at 0.4 times" in found[0]
    found = _said([three[0], CNN], [_difference("mobilenet_v2", "cnn", (0.019, 0.006, 0.032), 0.004)])
    assert "3 seeds against 1" in found[0]


def test_a_difference_that_is_not_shown_claims_nothing() -> None:
    (found,) = _said([MOBILENET, CNN], [_difference("mobilenet_v2", "cnn", (0.004, -0.005, 0.013), 0.37)])
    assert "beats" not in found
    assert "no difference that this test set can show" in found
    assert "interval −0.5 to 1.3, 10,000 resamples; McNemar, mid-p = 0.37" in found
    assert "0.4 times the multiply-adds" in found


def test_costs_that_are_not_known_are_not_spoken_of() -> None:
    unknown = replace(CNN, multiply_adds=None)
    (found,) = _said([MOBILENET, unknown], [_difference("mobilenet_v2", "cnn", (0.019, 0.006, 0.032), 0.004)])
    assert "multiply-adds" not in found


def test_of_several_it_says_which_are_beaten_and_which_is_cheapest() -> None:
    entries = [MOBILENET, CNN, _entry("small", 0.64, 1), _entry("bad", 0.5, 4)]
    found = _said(entries, [
        _difference("mobilenet_v2", "cnn", (0.01, -0.01, 0.03), 0.3, 6),
        _difference("mobilenet_v2", "small", (0.01, -0.01, 0.03), 0.3),
        _difference("mobilenet_v2", "bad", (0.15, 0.1, 0.2), 0.0),
    ])  # fmt: skip
    assert "Holm over 6 comparisons" in found[0]
    assert found[1] == "mobilenet_v2 beats 1 of the 3 others; not shown to be different by this test set: cnn, small."
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
