"""What a comparison leaves for people and programs, whatever characters its runs' names hold."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion import runs
from emotion.base import words
from emotion.compare import documents, ranking, tables
from emotion.compare.board import Board
from emotion.runs import swept
from tests.compare.test_ranking import untimed
from tests.helpers import folders

LABELS = folders.truth(70)


def _boards(root: Path, *names: str, **options: Any) -> list[Board]:
    made = [
        folders.make(root, name, labels=LABELS, probabilities=folders.answers(LABELS, 0.6, i),
                     settings={"model.dropout": i / 10}, **options)
        for i, name in enumerate(names)
    ]  # fmt: skip
    return ranking.build(folders.read(*made), ranking.How(resamples=100), untimed)


def test_markdown_tables_are_whole_whatever_the_names(tmp_path: Path) -> None:
    found = _boards(tmp_path, "a|b", "*c* [d](e) <f>", "plain_name")
    documents.write(tmp_path, found, "tensorboard --logdir x")
    text = (tmp_path / "comparison.md").read_text()
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(blocks) == 3
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert "a\\|b" in text
    assert "\\<f>" in text
    assert "plain_name" in text
    assert found[0].verdict[0].partition(" ")[0] in text
    assert "`tensorboard --logdir x`" in text


def test_csv_and_json_hold_every_figure_unrounded(tmp_path: Path) -> None:
    found = _boards(tmp_path, "a", "b,\"'c")
    documents.write(tmp_path, found, "")
    with (tmp_path / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    read = json.loads((tmp_path / "comparison.json").read_text())["boards"][0]
    for rank, (row, entry, stored) in enumerate(zip(rows, found[0].entries, read["entries"], strict=True), start=1):
        assert int(row["rank"]) == rank
        assert row["name"] == entry.name == stored["name"]
        assert row["runs"] == entry.runs[0].id
        assert float(row["accuracy"]) == entry.accuracy.value == stored["accuracy"]["value"]
        assert float(row["macro_f1_low"]) == entry.macro_f1.low == stored["macro_f1"]["low"]
        assert row["latency_ms"] == ""
        assert stored["latency_ms"] is None
        assert float(row["model.dropout"]) == entry.settings["model.dropout"]
    assert read["differences"][0]["p_holm"] == found[0].differences[0].p_holm
    assert read["verdict"] == list(found[0].verdict)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 33])
def test_the_terminal_table_is_100_columns_wide_in_a_pipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    found = _boards(tmp_path, *(f"{i}[bold]" for i in range(count)))
    tables.show(found)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    assert "95 % interval" in said
    assert ("more entries" in said) == (count > 30)
    for word in ("accuracy", "macro-F1", "leak-free", "parameters", "multiply-adds", "latency", "peak memory"):
        assert word in said


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "–"), (0, "0"), (999, "999"), (1_090_583, "1.09 M"), (60_000_000, "60.0 M"), (999_999, "1.00 M")],
)
def test_large_numbers_have_three_digits(number: int | None, text: str) -> None:
    assert words.three_digits(number) == text


def test_sizes_and_times_have_units_of_their_own() -> None:
    assert [words.size(n) for n in (None, 12, 4_359_680)] == ["–", "12 B", "4.36 MB"]
    assert [words.duration(s) for s in (None, 45, 857.8, 9000)] == ["–", "45 s", "14.3 min", "2.5 h"]


def test_tensorboard_gets_the_folder_that_holds_just_these_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = _boards(tmp_path / "outputs", "s weep/0", "s weep/1")
    assert documents.tensorboard_command(found).endswith("tensorboard --logdir 'outputs/s weep'")
    _boards(tmp_path / "outputs", "s weep/other")
    spec = documents.tensorboard_command(found)
    assert "tensorboard --logdir_spec '" in spec
    places = [part.partition(":")[2] for part in spec.partition("'")[2][:-1].split(",")]
    assert sorted(places) == ["outputs/s weep/0", "outputs/s weep/1"]


def test_the_disk_is_not_searched_for_what_runs_of_far_places_have_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [*_boards(tmp_path / "a/b/c/outputs", "0"), *_boards(tmp_path / "d/e/f/outputs", "1")]

    def listed(folder: Path) -> list[Any]:
        raise AssertionError(f"searches {folder}")

    monkeypatch.setattr(documents, "listing", listed)
    assert "--logdir_spec" in documents.tensorboard_command(found)


def test_tensorboard_gets_the_common_folder_where_runs_cannot_be_named(tmp_path: Path) -> None:
    found = _boards(tmp_path, "a,b/0", "a,b/1")
    _boards(tmp_path, "other")
    _boards(tmp_path, "a,b/2")
    assert shlex.split(documents.tensorboard_command(found))[1:] == ["--logdir", f"{tmp_path}/a,b"]


def test_tensorboard_gets_whole_sweeps_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outputs, jobs = tmp_path / "outputs", ("one/0", "one/1", "two/0")
    found = _boards(outputs, *jobs)
    _boards(outputs, "other")
    for name in jobs:
        run = runs.Run(outputs / name, name)
        runs.update(run, swept={"model": "cnn", "seed": run.path.name})
        swept.board(run).mkdir(parents=True)
    options = shlex.split(documents.tensorboard_command(found))[1:]
    assert options == ["--logdir_spec", "one:outputs/one/tb-jobs,two:outputs/two/tb-jobs"]


def test_figures_that_are_not_defined_are_not_shown_as_numbers(tmp_path: Path) -> None:
    found = _boards(tmp_path, "a", "b", leaked=np.ones(len(LABELS), np.bool_))
    assert found[0].entries[0].leak_free_accuracy is None
    documents.write(tmp_path, found, "")
    assert "nan" not in (tmp_path / "comparison.md").read_text()
