"""Every benchmark runs. What it measures is for people to read, not for a test to judge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

SCRIPTS = sorted(p for p in (REPOSITORY / "benchmarks").glob("*.py") if "__main__" in p.read_text())

#: Scripts that measure on data which the project may read but not ship, and where they want it.
NEEDS_SHARED = {"audit": ("--data", "data"), "fer2013_csv": ("--data", "data"), "live": ("--media", "media")}


def test_the_scripts_are_found() -> None:
    assert {"startup", "training"} <= {script.stem for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_runs_quickly_and_prints_a_table(script: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    data: list[str] = []
    if script.stem in NEEDS_SHARED:
        option, folder = NEEDS_SHARED[script.stem]
        data = [option, str(request.getfixturevalue("shared") / folder)]
    line = [sys.executable, str(script), "--quick", *data]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert "cores" in done.stdout, "a figure without its machine says nothing"
    assert len(done.stdout.splitlines()) >= 3
    assert not list(tmp_path.iterdir()), "left something behind"
