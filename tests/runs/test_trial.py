"""Models that claim any memory, any time, or are no models, are found out in a process of its own."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from emotion.base.errors import UserError
from emotion.runs import checkpoints, trial

pytestmark = pytest.mark.slow


def other(source: Path, path: Path, change: Any) -> Path:
    """A copy of a ``.keras`` file with another architecture."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(path, "w") as out:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "config.json":
                content = json.loads(data)
                for layer in content["config"]["layers"]:
                    change(layer)
                data = json.dumps(content).encode()
            out.writestr(name, data)
    return path


def test_a_file_of_elsewhere_is_tried_first(models: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    source = models["gray"].folder / "checkpoints" / "best.keras"
    tried: list[Path] = []
    monkeypatch.setattr(trial, "fault", lambda path: tried.append(path))
    checkpoints.load(source)
    assert tried == [], "the run's record names it"
    copy = Path(shutil.copyfile(source, tmp_path / "copy.keras"))
    checkpoints.load(copy, models["gray"].folder)
    assert tried == []
    checkpoints.load(copy)
    assert tried == [copy]


def test_what_asks_for_too_much_ends_in_its_own_process(models: dict[str, Any], tmp_path: Path) -> None:
    source = models["gray"].folder / "checkpoints" / "best.keras"
    assert trial.fault(source) is None

    def greedy(layer: dict[str, Any]) -> None:  # weights of gigabytes, of which the file holds none
        layer.pop("build_config", None)
        if layer["class_name"] in ("Conv2D", "Dense"):
            layer["config"]["filters" if layer["class_name"] == "Conv2D" else "units"] = 99_999

    other(source, tmp_path / "greedy.keras", greedy)
    with pytest.raises(UserError, match=r"greedy\.keras: cannot be loaded \(.*memory"):
        checkpoints.load(tmp_path / "greedy.keras")
    torn = tmp_path / "torn.keras"
    torn.write_bytes(source.read_bytes()[:900])
    assert trial.fault(torn)
