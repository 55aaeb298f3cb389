"""Run folders: names, lookup, status."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.base.interrupts import Interrupted
from emotion.runs import finding, status
from tests.conftest import compose


def make(root: Path, name: str, **fields: object) -> runs.Run:
    run = runs.create(root / name, root, compose("train"))
    (run.path / "model.tflite").write_bytes(b"only looked for here")
    runs.update(run, **fields)
    return run


def test_a_new_run_has_its_record_and_config(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    record = run.record()
    assert record.status == "interrupted", "nobody works on it yet"
    assert record.id == "a"
    assert record.pid == os.getpid()
    assert {"python", "keras", "numpy"} <= set(record.versions)
    assert run.config().model.name == "cnn"
    with pytest.raises(UserError, match="there is a run already"):
        make(tmp_path, "a")


def _name(_: int) -> str:
    return runs.new_folder(Path("o"), "cnn").name


def test_names_made_at_the_same_moment_differ() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        names = pool.map(_name, range(200), chunksize=1)
    assert all(re.fullmatch(r"\d{8}-\d{6}-\d{6}_cnn", n) for n in names)
    assert len({n[:22] for n in names}) > 150  # two processes may still meet in a microsecond; then `create` refuses


@pytest.mark.slow
def test_only_one_of_two_processes_gets_a_folder(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from emotion import runs; from tests.conftest import compose\n"
        "runs.create(Path(sys.argv[1]) / 'same', Path(sys.argv[1]), compose('train'))\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.PIPE) for _ in range(3)
    ]
    codes = [child.wait() for child in children]
    for child in children:
        assert child.stderr
        child.stderr.close()
    assert sorted(code != 0 for code in codes) == [False, True, True]
    assert json.loads((tmp_path / "same" / "run.json").read_text())["id"] == "same"


def test_resolve_by_id_prefix_path_latest_and_best(tmp_path: Path) -> None:
    old = make(tmp_path, "20260101-000000-000000_cnn", status="done", created="2026-01-01T00:00:00+00:00",
               data={"pixels": "x"}, scores={"validation": {"macro_f1": 0.7}})  # fmt: skip
    new = make(tmp_path, "20260102-000000-000000_cnn", status="done", created="2026-01-02T00:00:00+00:00",
               data={"pixels": "x"}, scores={"validation": {"macro_f1": 0.6}})  # fmt: skip
    make(tmp_path, "20260101-000000-000000_sweep/0", status="done", created="2026-01-01T12:00:00+00:00",
         data={"pixels": "other"}, scores={"validation": {"macro_f1": 0.99}})  # fmt: skip
    assert runs.resolve("latest", tmp_path).id == new.id
    assert runs.resolve("best", tmp_path).id == old.id, "other data does not compare"
    assert runs.resolve("20260102", tmp_path).id == new.id
    assert runs.resolve("20260101-000000-000000_sweep/0", tmp_path).id == "20260101-000000-000000_sweep/0"
    assert runs.resolve(str(new.path), tmp_path).id == new.id
    with pytest.raises(UserError, match="fits 2 runs"):
        runs.resolve("20260101", tmp_path)
    with pytest.raises(UserError, match=r"no run '20260102-000000-000000_cmn'.*20260102-000000-000000_cnn"):
        runs.resolve("20260102-000000-000000_cmn", tmp_path)


def test_latest_passes_over_what_cannot_do_what_is_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scores = {"validation": {"macro_f1": 0.5}}
    good = make(tmp_path, "a", status="done", created="2026-01-01", scores=scores)
    stopped = make(tmp_path, "b", status="interrupted", created="2026-01-02")
    empty = make(tmp_path, "c", status="interrupted", created="2026-01-03")
    (empty.path / "model.tflite").unlink()
    make(tmp_path, "d", status="failed", created="2026-01-04")
    assert runs.resolve("latest", tmp_path).id == "b", "it has a model, and was only stopped"
    assert caplog.messages == ["latest is b; passed over: d (failed), c (interrupted, without a model)"]
    caplog.clear()
    assert runs.resolve("latest", tmp_path, finding.unscored) == good, "of those that can be compared"
    assert caplog.messages == ["latest is a; passed over: d (failed), c (interrupted), b (interrupted)"]
    (stopped.checkpoints).mkdir()
    stopped.state.write_bytes(b"only looked for here")
    assert runs.resolve("latest", tmp_path, finding.unresumable) == stopped
    runs.update(good, adopted={"file": "a.h5"})
    assert runs.resolve("latest", tmp_path, finding.untrained).id == "d", "the failed one can be trained again"
    for name in "abc":
        runs.update(runs.Run(tmp_path / name, name), status="failed")
    with pytest.raises(UserError, match=r"no run under .* can be the latest here: d \(failed\), c \(failed\), b"):
        runs.resolve("latest", tmp_path)


@pytest.mark.slow
def test_best_says_why_and_what_it_was_chosen_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, (pixels, score) in enumerate([("x" * 16, 0.7), ("y" * 16, 0.9), ("x" * 16, 0.612)]):
        make(tmp_path, f"run{number}", status="done", created=f"2026-01-0{number + 1}",
             data={"pixels": pixels, "dataset": "fer2013"}, scores={"validation": {"macro_f1": score}})  # fmt: skip
    assert runs.resolve("best", tmp_path).id == "run0"
    assert caplog.messages == [
        "best is run0: validation macro-F1 70.0 %, the highest of 2 finished runs on fer2013 (xxxxxxxx), the data of "
        "the last one; 1 run on other data not compared"
    ]
    caplog.clear()
    runs.resolve("best", tmp_path)
    assert caplog.messages == [], "a command that looks twice says it once"
    make(tmp_path, "run3", status="done", created="2026-01-05", data={"pixels": "y" * 16, "dataset": "fer2013"},
         scores={"validation": {"macro_f1": 0.1}})  # fmt: skip
    assert runs.resolve("best", tmp_path).id == "run1"
    assert "the data of the last one; 2 runs on other data" in caplog.text, "no silent change of what it is chosen from"


def test_best_needs_a_finished_run(tmp_path: Path) -> None:
    make(tmp_path, "a", status="failed")
    with pytest.raises(UserError, match="none is best"):
        runs.resolve("best", tmp_path)


@pytest.mark.slow
def test_a_killed_process_leaves_no_run_that_claims_to_run(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    script = (
        "import sys, time; from pathlib import Path; from emotion import runs; from emotion.runs import status\n"
        "with status.recorded(runs.Run(Path(sys.argv[1]), 'a')):\n"
        "    print('working', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(run.path)], stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    assert run.record().status == "running"
    with pytest.raises(UserError, match="another process is training this run"), status.recorded(run):
        pass
    assert run.record().status == "running"
    child.kill()
    child.wait()
    child.stdout.close()
    assert files.read_json(run.path / "run.json")["status"] == "running", "it had no time to say otherwise"
    assert run.record().status == "interrupted"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(KeyboardInterrupt(), "interrupted"), (Interrupted(), "interrupted"), (ValueError("boom"), "failed"),
     (UserError("your fault"), "failed")],
)  # fmt: skip
def test_the_record_says_how_it_ended(tmp_path: Path, raised: BaseException, expected: str) -> None:
    run = make(tmp_path, "a")
    with pytest.raises(type(raised)), status.recorded(run):
        raise raised
    record = run.record()
    assert record.status == expected
    assert record.finished
    if expected == "failed":
        assert str(raised) in record.error
        assert ("Traceback" in record.error) == isinstance(raised, ValueError)


def test_a_good_end_is_done(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    with status.recorded(run):
        assert run.record().status == "running"
    assert run.record().status == "done"


@pytest.mark.parametrize("content", ["{}", '{"status": "asleep"}', "", "[]", '{"status": "do'])
def test_a_damaged_record_is_said_and_is_not_the_latest(tmp_path: Path, content: str) -> None:
    whole = make(tmp_path, "a", status="done")
    broken = make(tmp_path, "b")
    (broken.path / "run.json").write_text(content)
    with pytest.raises(UserError, match=r"run\.json"):
        broken.record()
    assert runs.resolve("latest", tmp_path).id == whole.id


@pytest.mark.parametrize("content", ["", "a: [", "- 1", "other: 1"])
def test_a_damaged_config_is_said(tmp_path: Path, content: str) -> None:
    run = make(tmp_path, "a")
    (run.path / "config.yaml").write_text(content)
    with pytest.raises(UserError, match=r"config\.yaml"):
        run.config()


def test_a_stale_export_is_refused(tmp_path: Path) -> None:
    run = make(tmp_path, "a", status="done")
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "best.keras").write_bytes(b"one")
    (run.path / "model.tflite").write_bytes(b"export of one")
    runs.update(run, tflite={"checkpoint": files.sha256(run.path / "checkpoints" / "best.keras")})
    assert run.tflite().name == "model.tflite"
    (run.path / "checkpoints" / "best.keras").write_bytes(b"two")
    with pytest.raises(UserError, match=r"older checkpoint.*emotion\.evaluate"):
        run.tflite()


def test_a_full_disk_is_told_without_a_traceback(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    with pytest.raises(UserError, match=r"metrics\.json: cannot write \(No space left"), status.recorded(run):
        raise OSError(28, "No space left on device", "metrics.json")
    assert run.record().status == "failed"


def test_an_unwritable_folder_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UserError, match="cannot write a run there"):
        runs.create(blocked / "run", tmp_path, compose("train"))


@pytest.mark.slow
def test_processes_that_change_one_record_at_once_lose_nothing(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    code = (
        "import sys; from pathlib import Path; from emotion import runs\n"
        "run = runs.Run(Path(sys.argv[1]), 'a')\n"
        "for i in range(100): runs.update(run, **{f'{sys.argv[2]}{i}': i})\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(run.path), name]) for name in ("a", "b")]
    assert [process.wait(timeout=100) for process in processes] == [0, 0]
    record = run.record()
    assert all(record.unknown[f"{name}{i}"] == i for name in ("a", "b") for i in range(100))
