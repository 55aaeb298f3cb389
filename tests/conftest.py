"""What several tests stand on: the data beside the repository, small configs, one trained run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The tests run side by side on few cores; waiting threads that spin would take turns from those that work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

REPOSITORY = Path(__file__).resolve().parents[1]
_SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real faces, which the project may read but not ship."""
    if not _SHARED.is_dir():
        pytest.skip("no ../shared beside the repository: real data is not part of a clone")
    return _SHARED


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep parsed and decoded data out of the home folder; one folder serves the whole session."""
    folder = tmp_path_factory.getbasetemp() / "emotion-cache"
    monkeypatch.setenv("EMOTION_CACHE", str(folder))
