"""Runs that differ only in the seed are one entry; entries have names that tell them apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.compare import groups
from emotion.compare.candidates import Candidate
from tests.helpers.candidates import BASE, candidate


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
    values: dict[str, Any] = {key.replace(".", "__"): 7}
    other = candidate(1, **values)
    (group,) = groups.collapse([candidate(0, seed=3), other])
    assert len(group.members) == 2


def _parted(one: Candidate, other: Candidate) -> bool:
    return len(groups.collapse([one, other])) == 2


def test_a_teachers_settings_count_where_there_is_a_teacher() -> None:
    for key in ("trainer__teacher_weight", "trainer__teacher_temperature"):
        other: dict[str, Any] = {key: 0.7}
        assert not _parted(candidate(0), candidate(1, seed=1, **other))
        taught: dict[str, Any] = {"trainer__teacher": "a/run"}
        assert _parted(candidate(0, **taught), candidate(1, seed=1, **taught, **other))
        assert not _parted(candidate(0, **taught), candidate(1, seed=1, **taught))
    assert _parted(candidate(0), candidate(1, seed=1, trainer__teacher="a/run"))


@pytest.mark.parametrize(
    ("key", "before", "other"),
    [
        ("dataset__drop_duplicates", "none", "all"),
        ("dataset__test_unreviewed", False, True),
        ("trainer__teacher", None, "a/run"),
    ],
)
def test_runs_from_before_a_key_are_those_that_do_as_was_done_then(key: str, before: Any, other: Any) -> None:
    settings: list[dict[str, Any]] = [{key: before}, {key: other}]
    assert [_parted(candidate(0), candidate(1, seed=1, **changed)) for changed in settings] == [False, True]


def test_every_part_of_an_operation_counts() -> None:
    ops = BASE["augmentation"]["ops"]
    assert not _parted(candidate(0), candidate(1, seed=1, augmentation={"ops": list(ops), "mixup": 0.0}))
    for changed in (ops[::-1], ops[:1], [ops[0], {"rotate": {"degrees": 9}}], [*ops, ops[0]], []):
        assert _parted(candidate(0), candidate(1, seed=1, augmentation={"ops": changed, "mixup": 0.0}))


def test_going_on_from_a_trial_is_another_training_whichever_execution_it_was() -> None:
    def of(number: int, source: str | None) -> Candidate:
        made = candidate(number, seed=number)
        return replace(made, record=replace(made.record, trial={} if source is None else {"from": source}))

    assert not _parted(of(0, "t/3/executions/0"), of(1, "t/3/executions/1"))
    assert _parted(of(0, "t/3/executions/0"), of(1, "t/4/executions/0"))
    assert _parted(of(0, "t/3/executions/0"), of(1, None))


def test_of_a_repeated_seed_the_newest_counts_and_of_the_same_moment_the_last_by_id() -> None:
    old, new = candidate(9), candidate(3)
    old, new = (replace(c, record=replace(c.record, created=f"2026-01-0{day}")) for c, day in ((old, 1), (new, 2)))
    (group,) = groups.collapse([new, old])
    assert (group.members, group.repeats) == ((new,), (old,))
    old, new = (replace(c, record=replace(c.record, created="2026-01-01")) for c in (candidate(3), candidate(9)))
    (group,) = groups.collapse([new, old])
    assert (group.members, group.repeats) == ((new,), (old,))


def test_seeds() -> None:
    adopted = replace(candidate(0, seed=3), record=replace(candidate(0).record, adopted={"file": "a.keras"}))
    assert groups.seed_of(adopted) is None
    assert groups.seed_of(candidate(0, seed=3)) == 3
    assert groups.seed_of(candidate(0, seed=None)) == 0
    unseeded = {key: value for key, value in candidate(0).config.items() if key != "seed"}
    assert groups.seed_of(replace(candidate(0), config=unseeded)) == 0


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
    many: dict[str, Any] = {f"trainer__key_number_{i}": i for i in range(10)}
    assert _names(candidate(0), candidate(1, **many)) == ["cnn", "cnn 1"]


def test_settings_hold_what_differs_and_nothing_else() -> None:
    a, b = groups.differing(groups.collapse([candidate(0), candidate(1, model__dropout=0.5, dataset__root="b")]))
    assert a == {"model.dropout": 0.2}
    assert b == {"model.dropout": 0.5}
