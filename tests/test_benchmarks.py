"""Every benchmark runs. What it measures is for people to read, not for a test to judge."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

SCRIPTS = sorted(p for p in (REPOSITORY / "benchmarks").glob("*.py") if "__main__" in p.read_text())

#: Scripts that measure on data which the project may read but not ship, and where they want it.
NEEDS_SHARED = {
    "audit": ("--data", "data"),
    "box_jitter": ("--media", "media"),
    "fer2013_csv": ("--data", "data"),
    "live": ("--media", "media"),
}


def test_robustness_goes_on_where_it_was_and_sets_the_reference_to_100(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    robustness: Any = importlib.import_module("robustness")
    monkeypatch.setattr(robustness, "STRENGTHS", {"blur": (1.0, 3.0), "box moved": (0.1, 0.3)})
    x, labels = robustness.pictures(None, 21)
    opened = robustness.networks(["pretrained"], str(tmp_path), None, ["contract", "balanced"], tmp_path)
    assert len(opened) == 2
    first = robustness.measure(x, labels, opened, tmp_path / "out.json")
    reference, other = first.values()
    assert set(reference) == {"clean", "blur 1", "blur 3", "box moved 0.1", "box moved 0.3"}
    assert list(robustness.corruption_errors(reference, reference).values()) == pytest.approx([100.0, 100.0])
    errors = robustness.corruption_errors(other, reference)
    expected = (2 - other["blur 1"] - other["blur 3"]) / (2 - reference["blur 1"] - reference["blur 3"])
    assert errors["blur"] == pytest.approx(100 * expected)
    content = json.loads((tmp_path / "out.json").read_text())
    del content["accuracy"]["pretrained/live"]["blur 3"]
    (tmp_path / "out.json").write_text(json.dumps(content))
    repeated: list[int] = []
    accuracy = robustness.accuracy
    monkeypatch.setattr(robustness, "accuracy", lambda *a: repeated.append(1) or accuracy(*a))
    assert robustness.measure(x, labels, opened, tmp_path / "out.json") == first
    assert len(repeated) == 1
    robustness.measure(x[1:], labels[1:], opened, tmp_path / "out.json")
    assert len(repeated) == 11, "other images are measured anew"


def test_the_scripts_are_found() -> None:
    assert {"startup", "training"} <= {script.stem for script in SCRIPTS}


@pytest.mark.nightly
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
