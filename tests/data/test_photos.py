"""Folders of photos that are not face crops: named as such, and cut by the command that is named."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from emotion.audit.examine import _contract
from emotion.base.errors import UserError
from emotion.data import framing, measuring, sources
from emotion.data.examples import ALL
from emotion.faces.labels import EMOTIONS
from tests.conftest import compose, emotion
from tests.helpers import pictures

pytestmark = pytest.mark.slow


def _photos(root: Path, each: int = 3) -> Path:
    for number in range(each * len(EMOTIONS)):
        folder = root / EMOTIONS[number % len(EMOTIONS)]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(pictures.drawn(number, number % len(EMOTIONS)))
    return root


def test_photos_are_refused_in_training_until_they_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _photos(Path("my photos"))
    options = ("dataset=folder", "dataset.root='my photos'", "dataset.validation_fraction=0.3")
    cfg = compose("train", *options).dataset
    splits = sources.load(cfg)
    with pytest.raises(UserError) as caught:
        framing.check(cfg, splits)
    message = str(caught.value)
    assert re.search(r"'my photos' are photos, not face crops: the face takes [234]\d % of an image's side", message)
    framing.check(compose("train", *options, "dataset.faces=whole").dataset, splits)

    sample = measuring.measure(splits.train, tmp_path / "cache", "audit")
    said = _contract(framing.of(sample), Path("my photos"), "folder")
    command = re.search(r"python -m emotion\.collect (source=folder .*? faces=largest)", message)
    assert command is not None
    assert command[0] in said, "the audit names the same command"

    emotion("collect", *shlex.split(command[1]), "min_face=24", "min_sharpness=0", cwd=tmp_path)
    faces = compose(
        "train", "dataset=folder", *shlex.split(message.rpartition("Then train with ")[2].split(", or")[0])
    ).dataset
    cut = sources.load_whole(faces)[ALL]
    assert len(cut) > 10
    assert not framing.are_photos(framing.of(measuring.measure(cut, tmp_path / "cache", "faces")))
