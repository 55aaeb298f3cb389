"""The command: what it prints and writes, and how it answers mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from emotion import compare, runs
from emotion.base.errors import UserError
from emotion.compare.board import Board
from tests.conftest import compose, emotion
from tests.helpers import boards, folders

LABELS = folders.truth(350)


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two networks of three seeds each, one of them better, and a run that failed."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "outputs"
    costs = {"cnn": 60_000_000, "mobilenet_v2": 24_000_000}
    for model, right in {"cnn": 0.5, "mobilenet_v2": 0.8}.items():
        for seed in range(3):
            folders.make(
                root,
                f"sweep/{model}{seed}",
                labels=LABELS,
                probabilities=folders.answers(LABELS, right, seed + 10 * len(model)),
                model=model,
                seed=seed,
                efficiency={"multiply_adds": costs[model], "latency_ms": 1.0, "peak_memory_bytes": 10**9},
            )
    failed = folders.make(root, "failed", labels=LABELS, probabilities=folders.answers(LABELS, 0.5))
    runs.update(failed, status="failed")
    return root


def _compare(*options: str) -> list[Board]:
    return compare.compare(compose("compare", "latency=recorded", "resamples=200", *options))


@pytest.mark.slow
def test_everything_is_compared_and_written(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (board,) = _compare("runs=all", "folder=report", "pictures=0")
    said = " ".join(capsys.readouterr().out.split())
    assert [entry.name for entry in board.entries] == ["mobilenet_v2", "cnn"]
    chosen, pair = board.verdict
    assert chosen.startswith("Best by validation: mobilenet_v2 (validation accuracy ")
    assert pair.startswith("mobilenet_v2 beats cnn: accuracy on ")
    assert "95 % paired bootstrap interval" in pair
    assert "200 resamples; paired t test over images and seeds, p " in pair
    assert pair.endswith("3 seeds each), at 0.4 times the multiply-adds.")
    assert pair in said
    assert "Left out: run failed: it is failed, not done; see" in said
    assert "tensorboard --logdir outputs/sweep" in said
    written = {path.name for path in Path("report").iterdir()}
    assert {"comparison.html", "comparison.md", "comparison.csv", "differences.csv", "comparison.json"} <= written
    assert not any(name.startswith(".") for name in written)
    assert board.verdict[0] in (Path("report") / "comparison.md").read_text()


@pytest.mark.slow
def test_a_comparison_is_no_run(outputs: Path) -> None:
    before = [run.id for run in runs.listing(outputs)]
    _compare("runs=sweep", "pictures=0")
    assert [run.id for run in runs.listing(outputs)] == before
    (made,) = (path for path in outputs.iterdir() if path.name.endswith("_comparison"))
    assert (made / "comparison.json").is_file()


@pytest.mark.slow
def test_one_run_is_a_table_without_a_verdict(outputs: Path) -> None:
    (board,) = _compare("runs=sweep/cnn0", "folder=report", "pictures=0")
    assert board.verdict == ()
    assert "Only one run is left: a table without a verdict." in board.notes


@pytest.mark.slow
def test_all_named_runs_that_cannot_be_compared_are_told_at_once(outputs: Path) -> None:
    (outputs / "sweep" / "cnn1" / "predictions.npz").unlink()
    with pytest.raises(UserError) as caught:
        _compare("runs=[failed,sweep/cnn0,sweep/cnn1]", "folder=report")
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "run failed: it is failed" in lines[1]
    assert "python -m emotion.evaluate run=outputs/sweep/cnn1" in lines[2]
    assert not Path("report").exists()


@pytest.mark.slow
def test_where_no_run_is_fit_it_says_why(outputs: Path) -> None:
    with pytest.raises(UserError, match="none of these runs can be compared\nrun failed: it is failed"):
        _compare("runs=f*")


@pytest.mark.slow
def test_a_runs_folder_is_not_written_into(outputs: Path) -> None:
    with pytest.raises(UserError, match="is a run's folder or inside one"):
        _compare("runs=all", f"folder={outputs / 'failed' / 'x'}")


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_is_named(outputs: Path) -> None:
    Path("file").touch()
    with pytest.raises(UserError, match="folder: cannot write to 'file/x'"):
        _compare("runs=sweep", "folder=file/x")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("runs=nosuch",), "runs: no run 'nosuch'"),
        ((), "runs: no value given"),
        (("runs=all", "split=train"), "split: runs are not compared on images that they were trained on"),
        (("runs=all", "rank_by=acuracy"), "Did you mean 'accuracy'?"),
        (("runs=all", "resamples=3"), "resamples: 3 is out of range"),
        (("runs=failed",), "run failed: it is failed, not done"),
    ],
)
def test_mistakes_are_answered_without_heavy_imports(outputs: Path, options: tuple[str, ...], said: str) -> None:
    line = [sys.executable, "-X", "importtime", "-m", "emotion.compare", *options]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr.partition("error: ")[2]
    imported = {text.rpartition("|")[2].strip() for text in done.stderr.splitlines() if text.startswith("import time")}
    assert "emotion.compare" in imported or "emotion.runs.selection" in imported
    assert not imported & {"tensorflow", "keras", "matplotlib", "sklearn", "scipy"}


@pytest.mark.slow
def test_the_command_compares_what_was_typed_and_imports_no_tensorflow(outputs: Path) -> None:
    line = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "emotion.compare",
        "runs=[sweep/cnn0, 'sweep/m*']",
        "folder=report",
    ]
    done = subprocess.run([*line, "latency=recorded"], capture_output=True, text=True, check=True)
    assert not {"tensorflow", "keras", "sklearn"} & {
        text.rpartition("|")[2].strip() for text in done.stderr.splitlines() if text.startswith("import time")
    }
    read = json.loads(Path("report/comparison.json").read_text())["boards"]
    assert [entry["seeds"] for entry in read[0]["entries"]] == [[0, 1, 2], [0]]
    assert "3 seeds against 1" in read[0]["verdict"][1]


@pytest.mark.slow
def test_latency_is_measured_on_the_exports_of_a_real_run(
    trained: runs.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (board,) = compare.compare_runs([trained], tmp_path / "report", named=[trained], resamples=100, pictures=2)
    (entry,) = board.entries
    recorded = trained.record().efficiency
    assert entry.latency_ms is not None
    assert 0 < entry.latency_ms != recorded["latency_ms"]
    assert entry.multiply_adds == recorded["multiply_adds"]
    assert entry.accuracy.value == trained.record().scores["test"]["accuracy"]
    assert any("measured here in turns" in note for note in board.notes)


@pytest.mark.nightly
@pytest.mark.slow
def test_tensorboard_finds_just_the_compared_runs_by_the_command(outputs: Path) -> None:
    for run in runs.listing(outputs):
        writer = EventFileWriter(str(run.path / "tb"))
        value = summary_pb2.Summary.Value(tag="loss", simple_value=1.0)
        writer.add_event(event_pb2.Event(step=1, wall_time=1.0, summary=summary_pb2.Summary(value=[value])))
        writer.close()
    emotion("compare", "runs=[sweep/cnn0,sweep/mobilenet_v22]", "folder=report", "latency=recorded", cwd=outputs.parent)
    command = json.loads(Path("report/comparison.json").read_text())["tensorboard"]
    with boards.served(command) as tensorboard:
        assert tensorboard.runs(2) == ["cnn/tb", "mobilenet_v2/tb"]
