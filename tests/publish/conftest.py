"""A run of somebody whose machine must not be seen in what is published of it, and what is published of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from emotion import runs
from emotion.publish import publish
from emotion.runs import published
from tests.conftest import compose
from tests.helpers.once import made_once

#: Names that stand in the run's records and in nothing that is published.
TRACES = ("anna", "laptop-of-a", "71717", "secret-place")


def publishing(run: runs.Run, place: Path, *overrides: str) -> dict[str, Any]:
    """Publish in this process."""
    return publish(compose("publish", f"run='{run.path}'", f"folder='{place}'", *overrides))


@pytest.fixture(scope="session")
def annas(trained: runs.Run, common: Path) -> runs.Run:
    """The trained run, in whose records are a host, a process, folders and a picture's name; do not change it."""
    name = "20261122-075340-000000_cnn"
    with made_once(common / "secret-place") as folder:
        if folder:
            _lived_at_annas(runs.Run(Path(shutil.copytree(trained.path, folder / name)), name))
    return runs.Run(common / "secret-place" / name, name)


def _lived_at_annas(run: runs.Run) -> None:
    runs.update(
        run,
        host="laptop-of-a",
        pid=71717,
        unreadable=[["/home/anna/faces/anna.png", "truncated"]],
        command="python -m emotion.train dataset.root=/home/anna/faces 'outputs=/home/anna smith/outputs'",
        teachers=[{"run": f"anna/{name}", "checkpoint": "ab" * 32} for name in ("20261101_cnn", "20261102_cnn")],
    )
    cfg = run.config()
    cfg.outputs = "/home/anna smith/outputs"
    cfg.trainer.teacher = [f"/home/anna smith/outputs/{name}" for name in ("20261101_cnn", "20261102_cnn")]
    cfg.dataset.cache_dir = str(run.path.parent / "cache")
    OmegaConf.save(cfg, run.path / "config.yaml", resolve=True)


@pytest.fixture(scope="session")
def library(annas: runs.Run, common: Path) -> Path:
    """A folder for runs that ship, with one in it, ``drawn``; do not change it."""
    with made_once(common / "library") as folder:
        if folder:
            publishing(annas, folder / "drawn")
    return common / "library"


@pytest.fixture
def installed(library: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the run that ships with this installation."""
    monkeypatch.setattr(published, "FOLDER", library)
    return library / "drawn"
