"""Runs that differ only in the seed are one entry; entries have names that tell them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.compare import groups
from emotion.compare.candidates import Candidate
from emotion.faces.labels import EMOTIONS
from emotion.runs import RunRecord
from emotion.runs.folder import Run

BASE: dict[str, Any] = {
    "dataset": {"name": "fer2013", "root": "a", "cache": "memory", "cache_dir": "c", "split_seed": 0},
    "augmentation": {"ops": [{"flip": {"probability": 0.5}}, {"rotate": {"degrees": 8}}], "mixup": 0.0},
    "model": {"name": "cnn", "dropout": 0.2, "stages": [16, 32]},
    "trainer": {"learning_rate": 0.1, "threads": None, "bootstrap": 1000},
    "seed": 0,
    "outputs": "outputs",
    "resume": None,
}


def candidate(number: int = 0, commit: str = "abc", pixels: str = "p", **changed: Any) -> Candidate:
    """A run with this config, ``section__key`` changed; made after those with a smaller number."""
    config = {k: dict(v) if isinstance(v, dict) else v for k, v in BASE.items()}
    for key, value in changed.items():
        section, _, name = key.partition("__")
        if name:
            config[section][name] = value
        else:
            config[section] = value
    n = np.zeros(1, np.int64)
    return Candidate(
        run=Run(Path(f"out/sweep/{number}"), f"sweep/{number}"),
        record=RunRecord(created=f"2026-01-01T00:00:{number:02d}", commit=commit, data={"pixels": pixels}),
        config=config,
        names=EMOTIONS,
        pictures="same",
        labels=n,
        predicted=n.astype(np.uint8),
        leaked=None,
        calibration_error=0.0,
        stale=False,
    )


def _names(*candidates: Candidate) -> list[str]:
    return groups.names(groups.collapse(candidates))


VALUES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 3),
        "trainer__learning_rate": st.sampled_from([0.1, 0.01]),
        "model__name": st.sampled_from(["cnn", "mobilenet_v2"]),
        "trainer__threads": st.sampled_from([None, 2]),
        "dataset__root": st.sampled_from(["a", "b"]),
    }
)


@given(st.lists(VALUES, min_size=1, max_size=12))
def test_every_run_is_in_one_group_and_groups_are_of_one_training(given_values: list[dict[str, Any]]) -> None:
    made = [candidate(i, **values) for i, values in enumerate(given_values)]
    found = groups.collapse(made)
    placed = [c.run.id for group in found for c in (*group.members, *group.repeats)]
    assert sorted(placed) == sorted(c.run.id for c in made)
    trainings = [{(c.config["trainer"]["learning_rate"], c.config["model"]["name"]) for c in g.members} for g in found]
    assert all(len(t) == 1 for t in trainings)
    assert len({next(iter(t)) for t in trainings}) == len(found)
    for group in found:
        seeds = [groups.seed_of(c) for c in group.members]
        assert seeds == sorted(set(seeds))
    names = groups.names(found)
    assert len(set(names)) == len(found)


@pytest.mark.parametrize("key", sorted(set(groups.IRRELEVANT) - {"compare"}))
def test_what_does_not_change_a_result_does_not_part_runs(key: str) -> None:
    other = candidate(1, **{key.replace(".", "__"): 7})
    (group,) = groups.collapse([candidate(0, seed=3), other])
    assert len(group.members) == 2


def test_other_training_data_parts_runs_and_is_named() -> None:
    assert _names(candidate(0, pixels="1234567890"), candidate(1, pixels="abcdefghij")) == [
        "cnn data=12345678",
        "cnn data=abcdefgh",
    ]


def test_a_repeated_seed_is_no_second_sample_and_the_newest_counts() -> None:
    (group,) = groups.collapse([candidate(2), candidate(1), candidate(3, seed=1)])
    assert [c.run.id for c in group.members] == ["sweep/2", "sweep/3"]
    assert [c.run.id for c in group.repeats] == ["sweep/1"]


def test_the_same_seed_with_other_code_is_another_entry() -> None:
    assert _names(candidate(0, commit="abc"), candidate(1, commit="def")) == ["cnn commit=abc", "cnn commit=def"]


def test_other_code_does_not_part_seeds_that_are_not_repeated() -> None:
    assert len(groups.collapse([candidate(0, commit="abc"), candidate(1, commit="def", seed=1)])) == 1


def test_models_alone_name_entries_of_different_models() -> None:
    assert _names(candidate(0), candidate(1, model__name="mobilenet_v2", model__dropout=0.5)) == ["cnn", "mobilenet_v2"]


def test_settings_name_entries_of_one_model_shortly() -> None:
    found = _names(candidate(0), candidate(1, trainer__learning_rate=0.01), candidate(2, model__name="mobilenet_v2"))
    assert found == ["cnn learning_rate=0.1", "cnn learning_rate=0.01", "mobilenet_v2"]


def test_operations_are_named_by_what_differs_in_them() -> None:
    other = [{"flip": {"probability": 0.5}}, {"rotate": {"degrees": 20}}]
    assert _names(candidate(0), candidate(1, augmentation__ops=other)) == ["cnn degrees=8", "cnn degrees=20"]


def test_an_augmentation_that_ships_is_named_by_its_option() -> None:
    light, strong = (groups._augmentations()[name] for name in ("light", "strong"))
    found = _names(candidate(0, augmentation=light), candidate(1, augmentation=strong))
    assert found == ["cnn augmentation=light", "cnn augmentation=strong"]


def test_too_many_settings_give_way_to_the_runs_id() -> None:
    many = {f"trainer__key_number_{i}": i for i in range(10)}
    assert _names(candidate(0), candidate(1, **many)) == ["cnn", "cnn 1"]


def test_settings_hold_what_differs_and_nothing_else() -> None:
    a, b = groups.differing(groups.collapse([candidate(0), candidate(1, model__dropout=0.5, dataset__root="b")]))
    assert a == {"model.dropout": 0.2}
    assert b == {"model.dropout": 0.5}
