"""Every way to name runs, and what is said where a name means none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emotion.base import files
from emotion.base.errors import UserError
from emotion.config.typed import readable
from emotion.runs.selection import select

SCORED = {"test": {"accuracy": 0.5}}
IDS = ("20260101-1_cnn", "20260102-2_mobilenet_v2", "20260103-3_sweep/0", "20260103-3_sweep/1", "[odd], name=x")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(IDS):
        folder = tmp_path / "outputs" / name
        folder.mkdir(parents=True)
        files.write_json(folder / "run.json", {"status": "done", "created": f"2026-01-0{i + 1}", "scores": SCORED})
    return Path("outputs")


SWEEP = ["20260103-3_sweep/0", "20260103-3_sweep/1"]


@pytest.mark.parametrize(
    ("wanted", "ids", "named"),
    [
        ("all", sorted(IDS), False),
        ("*_cnn", [IDS[0]], False),
        ("2026010[12]*", [IDS[0], IDS[1]], False),
        ("20260103-*/*", SWEEP, False),
        ("*_sweep", SWEEP, False),
        ("outputs/*_cnn", [IDS[0]], False),
        ("20260103-3_sweep", SWEEP, False),
        ("20260103", SWEEP, False),
        ("outputs/20260103-3_sweep", SWEEP, False),
        ("outputs/20260103-3_sweep/", SWEEP, False),
        ("outputs", sorted(IDS), False),
        ("20260101", [IDS[0]], True),
        ("20260103-3_sweep/1", [SWEEP[1]], True),
        ("outputs/20260101-1_cnn", [IDS[0]], True),
        ("[odd], name=x", [IDS[4]], True),
        ("latest", [IDS[4]], True),
        (["20260102", "20260101"], [IDS[1], IDS[0]], True),
        ("20260102, 20260101", [IDS[1], IDS[0]], True),
        (["20260101", "20260101-1_cnn", "./outputs/20260101-1_cnn"], [IDS[0]], True),
    ],
)
def test_runs_are_found(root: Path, wanted: Any, ids: list[str], named: bool) -> None:
    found = select(wanted, root)
    assert [each.run.id for each in found] == ids
    assert {each.named for each in found} == {named}


def test_a_run_that_a_glob_matches_and_a_person_names_is_named(root: Path) -> None:
    found = {each.run.id: each.named for each in select(["all", "20260101"], root)}
    assert found == {name: name == IDS[0] for name in IDS}


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("20260101_cnm", "no run '20260101_cnm' under 'outputs'. Nearest: 20260101-1_cnn"),
        ("*_resnet", "no run under 'outputs' matches '*_resnet'"),
        ("2026", "'2026' fits 4 runs"),
        ([], "an empty list"),
        ("", "an empty list"),
        (["20260101", "nosuch"], "no run 'nosuch'"),
        ("~nobody-of-that-name/x", "begins with ~"),
    ],
)
def test_what_is_not_there_is_said(root: Path, wanted: Any, said: str) -> None:
    with pytest.raises(UserError) as caught:
        select(wanted, root)
    assert str(caught.value).startswith("runs: ")
    assert said in str(caught.value)


def test_an_empty_outputs_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Train one first"):
        select("all", tmp_path)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("all", "'all'"),
        ("*_cnn", "'*_cnn'"),
        ("20261122", "'20261122'"),
        ("1e5", "'1e5'"),
        ("[a, 1e5]", "['a','1e5']"),
        ("['a,b',c=d]", "['a,b','c=d']"),
        ("[ab]*_cnn", "'[ab]*_cnn'"),
        ("'a b'", "'a b'"),
        ("é,ü", "'é,ü'"),
        ("it's", "'it\\'s'"),
        ("[]", "[]"),
    ],
)
def test_names_reach_the_command_as_they_were_typed(typed: str, read: str) -> None:
    assert list(readable("compare", [f"runs={typed}"], False)) == [f"runs={read}"]
