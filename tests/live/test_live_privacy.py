"""Nothing is stored that nobody asked for, and blurred faces are nobody's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion.faces.images import Image
from emotion.video.source import frames
from tests.helpers.live_command import Commands, commands, records
from tests.helpers.pictures import read_picture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def start(models, outputs: Path, tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path, outputs) as starting:
        yield starting


def test_nothing_is_stored_unless_asked(start: Commands, drawn, outputs: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    places = "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR"
    before = set(outputs.rglob("*"))
    live = start("run=latest", f"source={drawn[0]}", **dict.fromkeys(places, str(home)))
    live.finish()
    assert list(home.rglob("*")) == []
    assert set(outputs.rglob("*")) == before


def _detail(image: Image, box: list[int]) -> float:
    """Strength of the edges inside a face, away from the rim of its box and from what is written at it."""
    x, y, width, height = box
    inner = image[y + height // 4 : y + height * 3 // 4, x + width // 5 : x + width * 4 // 5]
    return float(cv2.Laplacian(cv2.cvtColor(inner, cv2.COLOR_BGR2GRAY), cv2.CV_64F).var())


@pytest.mark.parametrize("blur", [True, False])
def test_blurred_faces_have_no_detail_left_and_boxes_stay(start: Commands, drawn, tmp_path: Path, blur: bool) -> None:
    save, log = tmp_path / "labelled.avi", tmp_path / "faces.jsonl"
    start("run=gray", f"source={drawn[0]}", f"blur={blur}", f"save={save}", f"log={log}", "bars=false").finish()
    plain, labelled = ([f.image for f in frames(path)] for path in (drawn[0], save))
    found = records(log)
    left = [_detail(labelled[r["frame"]], r["box"]) / _detail(plain[r["frame"]], r["box"]) for r in found]
    assert len(left) > 20
    assert max(left) < 0.05 if blur else np.median(left) > 0.5
    for record in found:
        x, y, _, height = record["box"]
        rim = np.s_[y + height // 4 : y + height * 3 // 4, max(0, x - 1) : x + 2]
        was, now = plain[record["frame"]][rim].astype(int), labelled[record["frame"]][rim]
        assert np.abs(now - was).mean() > 10


def test_blurred_pictures(start: Commands, drawn, tmp_path: Path) -> None:
    source, save, log = tmp_path / "a.png", tmp_path / "b.png", tmp_path / "faces.jsonl"
    image = next(frames(drawn[0])).image
    cv2.imwrite(str(source), image)
    start("run=gray", f"source={source}", "blur=true", f"save={save}", f"log={log}").finish()
    for record in records(log):
        assert _detail(read_picture(save), record["box"]) < 0.05 * _detail(image, record["box"])
