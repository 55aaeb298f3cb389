"""What is left when the command is stopped in the middle."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from emotion.video.source import frames
from tests.helpers.live_command import PATIENCE, REPOSITORY, Commands, commands, records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def start(models, outputs: Path, tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path, outputs) as starting:
        yield starting


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_whole_files(start: Commands, drawn, tmp_path: Path, number: int, code: int) -> None:
    save, log, timeline = tmp_path / "labelled.mp4", tmp_path / "faces.jsonl", tmp_path / "timeline.png"
    asked = f"save={save}", f"log={log}", f"timeline={timeline}"
    live = start("run=gray", f"source={drawn[0]}", "loop=true", *asked)
    live.until(log=log, lines=40)
    live.process.send_signal(number)
    out, err = live.finish(code)
    assert "interrupted; files are whole up to here" in out
    assert "ms per frame" in out
    assert [line for line in err.splitlines() if not line.startswith(("INFO: ", "display: "))] == []
    found, labelled = records(log), list(frames(save))
    assert len(found) >= 40
    assert found[-1]["frame"] < len(labelled)
    assert f" {len(labelled)} processed" in out
    assert cv2.imread(str(timeline)) is not None


def test_sigkill_leaves_whole_lines(start: Commands, drawn, tmp_path: Path) -> None:
    jsonl, table = tmp_path / "faces.jsonl", tmp_path / "faces.csv"
    running = [start("run=gray", f"source={drawn[0]}", "loop=true", f"log={log}") for log in (jsonl, table)]
    for live, log in zip(running, (jsonl, table), strict=True):
        live.until(log=log, lines=60)
        live.process.kill()
        live.process.wait(PATIENCE)
    assert len(records(jsonl)) >= 60
    with table.open(newline="") as file:
        rows = list(csv.reader(file))
    assert table.read_text().endswith("\n")
    assert {len(row) for row in rows} == {len(rows[0])}


def test_who_reads_the_output_may_leave(start: Commands, drawn, outputs: Path, tmp_path: Path) -> None:
    """As in `... | head -1`: files are whole, and there is no traceback."""
    save, log = tmp_path / "labelled.mp4", tmp_path / "faces.jsonl"
    line = [sys.executable, "-m", "emotion.live", f"outputs={outputs}", "run=gray", "display=none"]
    line += [f"source={drawn[0]}", f"save={save}", f"log={log}"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, cwd=start.cwd, env=environment, **pipes) as process:
        assert process.stdout.readline().startswith("run gray on ")
        process.stdout.close()
        err = process.stderr.read()
        process.wait(PATIENCE)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "Error" not in err
    assert len(list(frames(save))) == 24
    assert records(log)[-1]["frame"] == 23
