"""``emotion runs``: what a list says of each run, filters, JSON; and removing what failed."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotion import listing, runs
from emotion.base import files, locks
from emotion.base.errors import UserError
from emotion.listing import clean, filters, rows
from emotion.runs import status, swept
from tests.conftest import compose
from tests.helpers.terminal import Terminal

SCORES = {"validation": {"macro_f1": 0.612}, "test": {"accuracy": 0.631, "macro_f1": 0.57}}


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of every kind."""
    monkeypatch.chdir(tmp_path)
    root = Path("outputs")
    cfg = compose("train", "experiment=quickstart")
    made: list[tuple[str, dict[str, Any]]] = [
        ("20260101_cnn", {"status": "done", "scores": SCORES, "data": {"dataset": "fer2013"},
                          "command": "python -m emotion.train dataset=fer2013 seed=3 'model.stages=[8,16]'"}),
        ("20260102_sweep/0", {"status": "done", "command": "python -m emotion.train augmentation=light seed=0"}),
        ("20260102_sweep/1", {"status": "failed", "error": "Traceback\nValueError: boom",
                              "command": "python -m emotion.train augmentation=light seed=1"}),
        ("20260103_cnn", {"status": "interrupted", "epoch": 4}),
        ("20260104_tune/trials/0", {"status": "failed", "trial": {"number": 0, "values": {"model.dropout": 0.25}}}),
        ("20260105_cnn", {"status": "failed"}),
        ("20260106_small", {"status": "done", "teachers": [{"run": "20260105_cnn"}], "scores": SCORES}),
        ("20260107_theirs", {"status": "done", "adopted": {"file": "a.h5"}}),
    ]  # fmt: skip
    for number, (name, record) in enumerate(made, start=1):
        run = runs.create(root / name, root, cfg)
        runs.update(run, created=f"2026-01-0{number}T00:00:00+00:00", **record)
        (run.path / "train.log").write_bytes(bytes(1000 * number))
    stopped = runs.Run(root / "20260103_cnn", "")
    stopped.checkpoints.mkdir()
    stopped.state.write_bytes(b"only looked for here")
    (root / "20260108_broken").mkdir()
    (root / "20260108_broken" / "run.json").write_text("{")
    return root


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    listing.run(arguments)
    return capsys.readouterr().out


def ids(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    return [row["id"] for row in json.loads(shown(capsys, *arguments, "--json"))]


@pytest.mark.slow
def test_a_line_for_each_run(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys).splitlines()
    (line,) = (line for line in lines if line.startswith("20260101_cnn"))
    assert line.split()[1:4] == ["done", "fer2013", "cnn"]
    assert "seed=3, model.stages=[8,16] " in line
    assert [word for word in line.split() if "." in word][-3:] == ["61.2", "63.1", "57.0"]
    assert line.rstrip().endswith(" days")
    assert "seed=0" in next(line for line in lines if line.startswith("20260102_sweep/0"))
    assert "augmentation" not in next(line for line in lines if line.startswith("20260102_sweep/0")), "both have it"
    assert " dropout=0.25" in next(line for line in lines if line.startswith("20260104_tune/trials/0"))
    assert "interrupted (4)" in next(line for line in lines if line.startswith("20260103_cnn"))
    assert "adopted" in next(line for line in lines if line.startswith("20260107_theirs"))
    assert next(line for line in lines if line.startswith("20260108_broken")).split()[1] == "damaged"
    assert lines[1].startswith("20260107_theirs"), "the newest first"
    assert lines[-1] == "9 runs under 'outputs'; accuracy and macro-F1 are of the test split"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["20260102"], ["20260102_sweep/1", "20260102_sweep/0"]),
        (["*_cnn", "status=failed"], ["20260105_cnn"]),
        (["status=interrupted,damaged"], ["20260103_cnn", "20260108_broken"]),
        (["data=fer*"], ["20260101_cnn"]),
        (["model=cnn", "last=2"], ["20260107_theirs", "20260106_small"]),
        (["id=20260106,20260101", "sort=accuracy"], ["20260106_small", "20260101_cnn"]),
        (["sort=macro_f1", "last=3", "status=done"], ["20260106_small", "20260107_theirs", "20260102_sweep/0"]),
        (["newer=1m"], []),
    ],
)
def test_filters(outputs: Path, arguments: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ids(capsys, *arguments) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("stauts=done", "stauts: no such filter. Did you mean 'status'?"),
        ("status=finished", "status: 'finished' is not one of running, done"),
        ("sort=name", "sort: 'name' is not one of age"),
        ("last=0", "last: '0' must be a whole number above 0"),
        ("newer=week", "newer: 'week' is no age; write"),
        ("data=", "data: nothing after the '='"),
        ("--jsn", "--jsn: no such flag"),
        ("--yes", "--yes: only emotion runs clean"),
    ],
)
def test_a_wrong_filter_is_named(outputs: Path, argument: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        listing.run([argument])
    assert message in str(caught.value)


def test_what_a_terminal_would_obey_is_shown(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("20260103_cnn", "20260105_cnn"):
        (outputs / name).rename(outputs / f"{name}\x1b]0;mine\x07")
    (outputs / "20260106_small" / "run.json").unlink()
    for arguments in ([], ["clean"]):
        text = shown(capsys, *arguments)
        assert "20260103_cnn\\x1b]0;mine\\x07" in text
        assert "\x1b" not in text
    monkeypatch.setattr("shutil.rmtree", lambda path, ignore_errors=False: Path("no such folder").rmdir())
    with pytest.raises(SystemExit):
        listing.run(["clean", "--yes", "20260103"])
    said = capsys.readouterr()
    assert "not removed: 20260103_cnn\\x1b" in said.err
    assert "\x1b" not in said.out + said.err


def test_nothing_there_is_said(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "none of the 9 runs under 'outputs' fits" in shown(capsys, "model=nosuch")
    assert "there are no runs under 'elsewhere'" in shown(capsys, "outputs=elsewhere")
    assert "there are no runs under '~nobodyhere/runs'" in shown(capsys, "outputs=~nobodyhere/runs")
    assert "emotion runs clean" in shown(capsys, "--help")


# -------------------------------------------------------------------------------------------------------- clean


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def give(text: str) -> None:
        class Keyboard(io.StringIO):
            def isatty(self) -> bool:
                return True

        monkeypatch.setattr("sys.stdin", Keyboard(f"{text}\n"))

    return give


@pytest.mark.slow
def test_what_is_confirmed_is_removed_and_nothing_else(
    outputs: Path, answer: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {row.id for row in rows.read(outputs)}
    answer("")
    text = shown(capsys, "clean")
    lines = text.splitlines()
    assert [line.split()[1] for line in lines[1:3]] == ["20260103_cnn", "20260102_sweep/1"]
    assert f"can be resumed: emotion train resume={outputs}/20260103_cnn" in lines[1]
    assert "ValueError: boom" in lines[2]
    assert "kept: 20260104_tune/trials/0, a trial" in text
    assert "kept: 20260105_cnn, the teacher of 20260106_small" in text
    assert {row.id for row in rows.read(outputs)} == before, "Enter removes nothing"
    answer("2")
    listing.run(["clean"])
    assert before - {row.id for row in rows.read(outputs)} == {"20260102_sweep/1"}
    assert not (outputs / "20260102_sweep" / "1").exists()
    assert "removed 1 run" in capsys.readouterr().err
    listing.run(["clean", "--yes"])
    assert before - {row.id for row in rows.read(outputs)} == {"20260102_sweep/1", "20260103_cnn"}
    assert "is to be removed" in shown(capsys, "clean")


def test_without_a_terminal_nothing_is_removed(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing is removed: there is no terminal" in shown(capsys, "clean")
    report = json.loads(shown(capsys, "clean", "--json"))
    assert [run["id"] for run in report["runs"]] == ["20260103_cnn", "20260102_sweep/1"]
    sizes = [clean.occupied(outputs / run["id"]) for run in report["runs"]]
    assert [run["bytes"] for run in report["runs"]] == sizes
    assert report["bytes"] == sum(sizes) > 7000
    assert [kept["id"] for kept in report["kept"]] == ["20260105_cnn", "20260104_tune/trials/0"]
    assert len(rows.read(outputs)) == 9


def test_a_run_that_is_resumed_meanwhile_and_a_link_stay(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = outputs.parent / "elsewhere"
    (outputs / "20260102_sweep" / "1").rename(elsewhere)
    (outputs / "20260102_sweep" / "1").symlink_to(elsewhere.absolute())
    precious = outputs.parent / "precious"
    precious.mkdir()
    (precious / "x").touch()
    (outputs / "20260103_cnn" / "link").symlink_to(precious.absolute())
    row = next(row for row in rows.read(outputs) if row.id == "20260103_cnn")
    with locks.held(row.path):
        assert "another process is training this run" in clean._removed(row)
    assert "a link" in clean._removed(rows.Row("x", outputs / "20260102_sweep" / "1", "failed"))
    runs.update(runs.Run(row.path, row.id), status="done")
    assert clean._removed(row) == "done by now"
    runs.update(runs.Run(row.path, row.id), status="failed")
    assert clean._removed(row) == ""
    assert (precious / "x").exists(), "what a link leads to is not the run's"
    assert (elsewhere / "run.json").exists()


@pytest.mark.slow
def test_a_run_is_held_until_nothing_is_left_of_it(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, held = outputs / "20260103_cnn", {}
    unlink = Path.unlink

    def watched(path: Path, missing_ok: bool = False) -> None:
        held[path.name] = locks.is_held(folder)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", watched)
    listing.run(["clean", "--yes", "20260103"])
    assert not folder.exists()
    assert all(held.values())
    assert list(held)[-2:] == ["run.json", ".lock"]


def test_what_cannot_be_removed_is_said_and_listed_again(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, ignore_errors: bool = False) -> None:
        if ignore_errors:
            return
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(SystemExit) as ended:
        listing.run(["clean", "--yes", "20260103"])
    assert ended.value.code == 1
    assert "not removed: 20260103_cnn, outputs/20260103_cnn/checkpoints: Permission denied" in capsys.readouterr().err
    assert (outputs / "20260103_cnn" / "run.json").exists()


@pytest.mark.parametrize(
    ("answer", "found"), [("", []), ("n", []), ("all", [1, 2, 3, 4]), ("1,3", [1, 3]), ("2-4 1", [2, 3, 4, 1])]
)
def test_answers(answer: str, found: list[int]) -> None:
    assert clean.numbers(answer, 4) == found


@pytest.mark.parametrize("answer", ["0", "5", "3-2", "yes", "1-9", "-1", "1;2"])
def test_an_answer_that_names_something_else_removes_nothing(answer: str) -> None:
    with pytest.raises(UserError, match="nothing is removed"):
        clean.numbers(answer, 4)


def test_a_run_in_training_is_never_offered(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = runs.Run(outputs / "20260103_cnn", "20260103_cnn")
    with status.recorded(run):
        report = json.loads(shown(capsys, "clean", "--json"))
    assert "20260103_cnn" not in [entry["id"] for entry in report["runs"]]


def test_an_age_and_a_name_without_config(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    files.write_json(tmp_path / "a" / "run.json", {"status": "done", "created": "yesterday"})
    (row,) = rows.read(tmp_path)
    assert (row.age, row.model, row.data) == ("", "", "")
    assert filters.chosen([row], filters.parse(["older=1m"])) == []
    assert rows._age(86_400 * 3.2) == "3 days"
    assert rows._age(7200) == "2.0 h"


@pytest.mark.slow
def test_the_question_is_asked_in_a_terminal(outputs: Path) -> None:
    import sys

    from tests.conftest import REPOSITORY

    environment = dict(os.environ) | {"PYTHONPATH": str(REPOSITORY), "TERM": "xterm"}
    terminal = Terminal([sys.executable, "-m", "emotion", "runs", "clean"], outputs.parent, environment)
    try:
        terminal.until("Remove which")
        terminal.press("1\n")
        terminal.until("removed 1 run")
    finally:
        terminal.close()
    assert not (outputs / "20260103_cnn").exists()


def test_the_events_of_a_job_are_removed_with_it(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = []
    for number in (0, 1):
        run = runs.Run(outputs / "20260102_sweep" / str(number), "")
        runs.update(run, swept={"seed": str(number), "augmentation": "light"})
        events.append(swept.board(run))
        events[-1].mkdir(parents=True)
    assert "seed=1, augmentation=light" in shown(capsys, "20260102_sweep/1")
    (outputs / "20260102_sweep" / "2").mkdir()
    (outputs / "20260102_sweep" / "2" / "run.json").write_text("damaged")
    listing.run(["clean", "--yes", "20260102"])
    assert [folder.exists() for folder in events] == [True, False]
