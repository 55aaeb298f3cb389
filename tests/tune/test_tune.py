"""Searches with real processes: failing trials, killed workers and searches, promoted trials, the best config."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from omegaconf import OmegaConf
from PIL import Image

from emotion import runs
from emotion.base import files
from emotion.config import cli
from emotion.runs import creating
from emotion.runs.history import read_history
from emotion.tune import history as trial_history
from tests.conftest import TINY, emotion
from tests.helpers.commands import interpreter
from tests.helpers.trainings import HEAVY

pytestmark = pytest.mark.slow

_SMALL = (*TINY, "dataset.per_emotion=20", "tuner.space=null")


#: What tells the processes of each search that was started here, by its own process.
_MARKS: dict[int, str] = {}


def start(folder: Path, *arguments: str, real: bool = False, **variables: str) -> subprocess.Popen[str]:
    """Start a search; it and its trainings are forked unless their being processes is what is tested."""
    line = [sys.executable if real else interpreter(), "-m", "emotion.tune", *arguments]
    mark = uuid.uuid4().hex
    variables = {**os.environ, "EMOTION_TEST_STARTED": mark, **variables}
    process = subprocess.Popen(
        line, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    _MARKS[process.pid] = mark
    return process


def wait_until(true: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    for _ in range(1200):
        if found := true():
            return found
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    raise AssertionError("it never came to that")


def search_in(folder: Path) -> Path:
    (search,) = folder.glob("outputs/*_tune")
    return search


def statuses(search: Path) -> dict[int, str]:
    return {t.number: t.status for t in trial_history.read(search)}


def processes_of(process: subprocess.Popen[str], module: str) -> list[psutil.Process]:
    """The processes of a module that a search has begun; killing a forked one's stand-in kills it as well."""
    found = []
    for each in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            mine = each.environ().get("EMOTION_TEST_STARTED") == _MARKS[process.pid]
            if mine and module in each.cmdline() and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.nightly
def test_two_trials_at_a_time_and_one_that_fails(tmp_path: Path) -> None:
    process = start(
        tmp_path,
        *_SMALL,
        "tuner=grid",
        "tuner.workers=2",
        "tuner.max_failures=2",
        f"trainer.class_weight=choice({HEAVY}, none, sqrt)",
        real=True,
    )
    try:
        wait_until(lambda: len(processes_of(process, "emotion.train.job")) == 2, process)
        lines = [child.cmdline() for child in psutil.Process(process.pid).children(recursive=True)]
        assert all("emotion.train.job" in line for line in lines), "only trainings are processes of their own"
        out, _ = process.communicate(timeout=400)
    finally:
        process.kill()
    assert process.returncode == 0, out
    search = search_in(tmp_path)
    assert statuses(search) == {0: "failed", 1: "completed", 2: "completed"}, out
    failed = trial_history.read(search)[0]
    assert "1e+38" in str(failed.values["trainer.class_weight"])
    assert "Traceback" in (failed.run / "train.log").read_text()
    report = (search / "report.md").read_text()
    assert "Trial 0 failed" in report
    assert "the loss became" in report
    assert {r.record().status for r in runs.listing(search)} == {"done", "failed"}
    with (search / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trainer.class_weight"] for row in rows[1:]] == ["none", "sqrt"]
    assert [bool(row["objective"]) for row in rows] == [False, True, True]
    best = max(rows[1:], key=lambda row: float(row["objective"]))
    assert "trial 0 (" in out
    assert "failed: the loss became" in out
    assert f"best: trial {best['trial']}," in out
    assert files.read_json(search / "search.json")["finished"]


@pytest.mark.nightly
def test_a_worker_elsewhere_that_is_killed_gets_its_trial_again(tmp_path: Path) -> None:
    address: dict[str, Any] = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": free_port()}
    arguments = [*_SMALL, "tuner=grid", "tuner.max_failures=1", "trainer.class_weight=choice(none, sqrt)"]
    chief = start(tmp_path, *arguments, KERASTUNER_TUNER_ID="chief", **address)
    workers = []
    try:
        wait_until(lambda: listens(int(address["KERASTUNER_ORACLE_PORT"])), chief)
        for killed in (True, False):
            worker = start(tmp_path, "resume=latest", KERASTUNER_TUNER_ID="tuner7", **address)
            workers.append(worker)
            training = wait_until(partial(processes_of, worker, "emotion.train.job"), worker)[0]
            if killed:
                worker.kill()
                training.kill()
        assert not processes_of(chief, "emotion.train.job"), "a chief without workers of its own trains nothing"
        out, _ = chief.communicate(timeout=400)
        assert workers[1].wait(timeout=60) == 0, workers[1].communicate()[0]
    finally:
        for process in (chief, *workers):
            process.kill()
            process.communicate()
    assert chief.returncode == 0, out
    assert f"waiting for workers at 127.0.0.1:{address['KERASTUNER_ORACLE_PORT']}" in out
    assert statuses(search_in(tmp_path)) == {0: "completed", 1: "completed"}, out


def test_a_killed_search_goes_on_and_hyperband_promotes_from_the_checkpoint(tmp_path: Path) -> None:
    rates = "trainer.learning_rate=tag(log, interval(1e-4, 1e-2))"
    process = start(tmp_path, *_SMALL, "tuner=hyperband", "tuner.factor=2", "tuner.max_trials=2", rates)
    try:
        wait_until(lambda: list(tmp_path.glob("outputs/*_tune/trials/1/run.json")), process)
        (training,) = wait_until(lambda: processes_of(process, "emotion.train.job"), process)
        psutil.Process(training.ppid()).kill()  # the search, before it can say that its training failed
        training.kill()
    finally:
        process.kill()
        process.communicate()
    search = search_in(tmp_path)
    first = files.read_json(search / "trials" / "0" / "run.json")
    assert statuses(search) == {0: "completed", 1: "running"}

    done = emotion("tune", "resume=latest", "tuner.max_trials=3", cwd=tmp_path)
    trials = trial_history.read(search)
    assert [t.status for t in trials] == ["completed"] * 3, done.stdout
    assert files.read_json(search / "trials" / "0" / "run.json") == first, "what was done is not done again"
    assert [t.epochs for t in trials] == [1, 1, 2]
    promoted, source = trials[2], trials[trials[2].source or 0]
    assert promoted.source == max(trials[:2], key=lambda t: t.objective or 0.0).number
    assert promoted.values == source.values
    history = read_history(promoted.run / "history.csv")
    assert len(history) == 2
    assert history[:1] == read_history(source.run / "history.csv"), "it went on from the shorter trial's state"
    record = files.read_json(promoted.run / "run.json")
    assert record["trial"]["from"] == runs.resolve(source.run, tmp_path / "outputs").id
    assert f"continues trial {source.number}" in done.stdout
    for name in ("objective.png", "parameters.png"):
        with Image.open(search / name) as picture:
            assert picture.width > 300

    again = emotion("tune", "resume=latest", "tuner=random", cwd=tmp_path, check=False)
    assert again.returncode == 2
    assert "would make" in again.stderr


@pytest.mark.nightly
def test_executions_are_runs_with_other_seeds_and_the_best_config_trains_as_it_did(tmp_path: Path) -> None:
    done = emotion(
        "tune", *_SMALL, "tuner=random", "tuner.max_trials=1", "tuner.executions=2", "seed=3",
        "model.stages=choice([8,16],[16,8])", cwd=tmp_path,
    )  # fmt: skip
    search = search_in(tmp_path)
    first, second = search / "trials" / "0", search / "trials" / "0" / "executions" / "1"
    records = [files.read_json(folder / "run.json") for folder in (first, second)]
    assert [r["seed"] for r in records] == [3, 4]
    values = [r["objective"]["value"] for r in records]
    kept = records[0]["trial"]["objective"]
    assert kept["values"] == values
    assert kept["mean"] == pytest.approx(sum(values) / 2)
    assert kept["deviation"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    (trial,) = trial_history.read(search)
    assert trial.objective == pytest.approx(kept["mean"])
    assert "±" in done.stdout

    (line,) = [
        line.split("python -m emotion.train ")[1] for line in done.stdout.splitlines() if "experiment=best" in line
    ]
    before = os.getcwd()  # noqa: PTH109
    os.chdir(tmp_path)  # the printed command is for where it was printed
    try:
        asked = cli.request("train", line.split())
    finally:
        os.chdir(before)
    assert asked.cfg is not None
    best, own = creating.with_absolute_paths(asked.cfg), runs.resolve(first, tmp_path).config()
    assert OmegaConf.to_container(best) == OmegaConf.to_container(OmegaConf.merge(own, {"outputs": best.outputs}))


def test_trials_that_fail_in_a_row_end_the_search(tmp_path: Path) -> None:
    """Each value is right by itself; together they are not, which is known without training."""
    done = emotion(
        "tune", *_SMALL, "tuner=grid", "tuner.max_failures=2", "trainer.epochs=choice(1, 2)",
        "trainer.warmup_epochs=choice(1.2, 1.6)", cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "the last 2 trials failed, so the search ends: trainer.warmup_epochs: 1.6 is more than" in done.stderr
    search = search_in(tmp_path)
    assert statuses(search) == {0: "failed", 1: "failed"}
    assert "Trial 1 failed" in (search / "report.md").read_text()


def test_an_interrupted_search_says_how_to_resume(tmp_path: Path) -> None:
    process = start(tmp_path, *_SMALL, "tuner=random", "tuner.max_trials=2", "model.dropout=choice(0.1, 0.2)")
    try:
        wait_until(lambda: processes_of(process, "emotion.train.job"), process)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 130, out
    assert "python -m emotion.tune resume=" in out
    assert "Traceback" not in out
    search = search_in(tmp_path)
    assert [r.record().status for r in runs.listing(search)] == ["interrupted"]


def test_searches_that_are_not_there(tmp_path: Path) -> None:
    none = emotion("tune", "resume=latest", cwd=tmp_path, check=False)
    assert (none.returncode, "there are no searches" in none.stderr) == (2, True)
    (tmp_path / "outputs" / "a_tune").mkdir(parents=True)
    (tmp_path / "outputs" / "a_tune" / "search.json").write_text("{")
    wrong = emotion("tune", "resume=a_", cwd=tmp_path, check=False)
    assert (wrong.returncode, "search.json: damaged" in wrong.stderr) == (2, True)
    other = emotion("tune", "resume=b", cwd=tmp_path, check=False)
    assert (other.returncode, "no search 'b'" in other.stderr, "a_tune" in other.stderr) == (2, True, True)
