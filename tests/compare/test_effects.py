"""The verdict of a sweep: what each swept key does, what two do together, and which entry is best."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion.compare import documents, effects, ranking
from emotion.compare.board import Board, Entry
from emotion.compare.candidates import Candidate, Validation
from emotion.compare.ranking import How
from emotion.runs.folder import Run
from tests.helpers.candidates import candidate

N = 1400
TRUTH = np.arange(N) % 7


def untimed(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    return list(entries), []


def _run(number: int, right: float, seed: int, validation: float | None = None, **settings: Any) -> Candidate:
    rng = np.random.default_rng([number, seed])
    said = np.where(rng.random(N) < right, TRUTH, (TRUTH + 1) % 7).astype(np.uint8)
    made = candidate(number, seed=seed, **settings)
    data = {"dataset": "fer2013", "pixels": "p", "splits": {"test": "PublicTest"}, "official": ["test"]}
    return replace(
        made,
        record=replace(made.record, data=data),
        run=Run(Path(f"out/sweep/{number}-{seed}"), f"sweep/{number}-{seed}"),
        labels=TRUTH, predicted=said, resamples=300,
        validation=None if validation is None else Validation("v", validation, validation),
    )  # fmt: skip


def _sweep(rates: dict[tuple[str, float], float], seeds: int = 3) -> list[Candidate]:
    """Runs of each model and mix-up, right so often."""
    return [
        _run(number, right, seed, validation=right, model__name=model, augmentation__mixup=mixup)
        for number, ((model, mixup), right) in enumerate(rates.items())
        for seed in range(seeds)
    ]


def _board(made: list[Candidate], **how: Any) -> Board:
    (board,) = ranking.build(made, How(**({"resamples": 300} | how)), untimed)
    return board


def test_the_main_effect_that_the_two_best_rows_hide_is_the_verdict() -> None:
    """The best two entries are of one model, and do not differ; both models do, by 9 points."""
    board = _board(
        _sweep({("cnn", 0.0): 0.70, ("cnn", 0.4): 0.70, ("mobilenet_v2", 0.0): 0.61, ("mobilenet_v2", 0.4): 0.61})
    )
    model, mixup = board.effects
    assert (model.key, model.better, model.worse, model.contexts, model.seeds) == ("model", "cnn", "mobilenet_v2", 2, 3)
    by_model = {
        name: np.mean([e.accuracy.value for e in board.entries if e.name.startswith(name)]) for name in ("cnn", "mob")
    }
    assert model.gain.value == pytest.approx(by_model["cnn"] - by_model["mob"])
    assert model.significant
    assert (mixup.key, mixup.significant) == ("augmentation.mixup", False)
    first, second, third, best = board.verdict[:4]
    points = f"{100 * model.gain.value:.1f} points"
    assert first.startswith(
        f"model: cnn beats mobilenet_v2: accuracy on FER2013 PublicTest (1,400 images): {points} (95 % paired "
    )
    assert "300 resamples; paired t test over images and seeds, p < 0.001, Holm over 2 main effects)" in first
    assert first.endswith("; mean over 2 settings of augmentation.mixup and 3 seeds each.")
    assert second.startswith("augmentation.mixup: ")
    assert "is not shown to differ from" in second
    assert third.startswith("No interaction is shown: the largest, of model and augmentation.mixup, is accuracy on ")
    assert best.startswith("Best by validation: cnn ")


def test_an_effect_is_over_the_combinations_that_have_both_values() -> None:
    made = _sweep({("a", 0.0): 0.9, ("b", 0.0): 0.5, ("a", 0.4): 0.9, ("b", 0.4): 0.5, ("a", 0.8): 0.1}, seeds=1)
    board = _board(made)
    model = next(e for e in board.effects if e.key == "model")
    assert (model.better, model.contexts) == ("a", 2), "b was not tried with 0.8, where a is bad"
    assert model.gain.value == pytest.approx(0.4, abs=0.05)


def test_the_best_two_values_may_never_have_met() -> None:
    """One model was trained with 0 and 0.4, the other with 0.4 and 0.8: 0 and 0.8 are best, and are not compared."""
    board = _board(_sweep({("x", 0.0): 0.9, ("x", 0.4): 0.5, ("y", 0.4): 0.5, ("y", 0.8): 0.8}, seeds=1))
    said = next(s for s in board.verdict if s.startswith("augmentation.mixup: "))
    assert said.startswith(("augmentation.mixup: 0 beats 0.4: ", "augmentation.mixup: 0.8 beats 0.4: "))


def test_an_interaction_is_worth_a_word() -> None:
    """Mix-up helps one model by ten points and costs the other ten: its main effect is none."""
    board = _board(_sweep({("a", 0.0): 0.6, ("a", 0.4): 0.7, ("b", 0.0): 0.7, ("b", 0.4): 0.6}))
    assert not any(e.significant for e in board.effects)
    (crossed,) = board.interactions
    assert crossed.significant
    assert crossed.gain.value == pytest.approx(0.2, abs=0.06)
    said = next(s for s in board.verdict if "depend on each other" in s)
    assert said.startswith(
        "model and augmentation.mixup depend on each other: what model=a gains over b is larger with "
    )
    assert "augmentation.mixup=0.4 than with 0:" in said


@pytest.mark.slow
def test_a_false_effect_is_rare() -> None:
    found = 0
    for trial in range(30):
        rng = np.random.default_rng(trial)
        made = [
            replace(run, predicted=np.where(rng.random(N) < 0.6, TRUTH, (TRUTH + 1) % 7).astype(np.uint8))
            for run in _sweep(dict.fromkeys(product("ab", (0.0, 0.4)), 0.6), seeds=2)
        ]
        found += any(e.significant for e in (*_board(made, resamples=100).effects,))
    assert found <= 5


def test_one_swept_key_has_no_effects_apart_from_its_pairs() -> None:
    board = _board([_run(i, 0.6, 0, model__dropout=i / 10) for i in range(4)])
    assert (board.effects, board.interactions) == ((), ())


def test_keys_are_named_as_they_were_swept(tmp_path: Path) -> None:
    made = []
    for number, (model, augmentation) in enumerate(product(("cnn", "mobilenet_v2"), ("light", "standard"))):
        run = _run(number, 0.6, 0, model__name=model, augmentation__mixup=0.1 * (augmentation == "light"))
        folder = tmp_path / str(number)
        (folder / ".hydra").mkdir(parents=True)
        listed = [f"model={model}", f"augmentation={augmentation}", "seed=0", "trainer.epochs=3"]
        (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {o}\n" for o in listed))
        made.append(replace(run, run=Run(folder, str(number))))
    assert [e.key for e in _board(made).effects] == ["model", "augmentation"]
    assert effects.varied([]) == {}
    (made[0].run.path / ".hydra" / "overrides.yaml").write_text("[model=cnn, ")
    assert _board(made).effects, "what was typed is damaged; the configs tell what differs"


def test_validation_chooses_and_test_reports() -> None:
    made = [_run(0, 0.7, 0, validation=0.60, model__dropout=0.1), _run(1, 0.6, 0, validation=0.65, model__dropout=0.3)]
    board = _board(made)
    assert [e.runs[0].id for e in board.entries] == ["sweep/1-0", "sweep/0-0"]
    assert board.ranked_on == "validation"
    assert board.verdict[0].startswith(
        "Best by validation: cnn dropout=0.3 (validation accuracy 65.0 %); its accuracy on "
    )
    assert board.verdict[1].startswith("cnn dropout=0.1 beats cnn dropout=0.3: "), (
        "the test says otherwise, and that is told"
    )
    by_test = _board(made, rank_on="test")
    assert by_test.entries[0].runs[0].id == "sweep/0-0"
    assert any("the best of 2 looks better there than it is" in note for note in by_test.notes)
    (unknown,) = ranking.build([*made, _run(2, 0.5, 0, model__dropout=0.5)], How(resamples=100), untimed)
    assert unknown.ranked_on == "test"
    assert any("no validation scores on the same images" in note for note in unknown.notes)


def test_every_file_names_test_images_resamples_and_correction(tmp_path: Path) -> None:
    board = _board(_sweep(dict.fromkeys(product("ab", (0.0, 0.4)), 0.6)))
    documents.write(tmp_path, [board], "")
    with (tmp_path / "differences.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["kind"] for row in rows} == {"main effect", "interaction", "difference"}
    for row in rows:
        assert (row["test_set"], row["n"], row["resamples"]) == ("FER2013 PublicTest", "1400", "300")
        assert "paired t test over images and seeds" in row["test"]
        assert int(row["comparisons"]) == {"main effect": 2, "interaction": 1, "difference": 6}[row["kind"]]
    with (tmp_path / "comparison.csv").open(newline="") as file:
        assert {row["resamples"] for row in csv.DictReader(file)} == {"300"}
    stored = json.loads((tmp_path / "comparison.json").read_text())["boards"][0]
    assert (stored["test_set"], stored["resamples"], stored["ranked_on"]) == ("FER2013 PublicTest", 300, "validation")
    assert stored["differences"][0]["test"] == stored["effects"][0]["test"] == "paired t test over images and seeds"
    text = (tmp_path / "comparison.md").read_text()
    assert "On FER2013 PublicTest (1,400 images); intervals: paired bootstrap, 300 resamples;" in text
    assert "Holm's correction over 2 main effects and over 1 interaction." in text
    assert text.count("p after Holm's correction over 6 comparisons") == 1, "pairs are no effects"
