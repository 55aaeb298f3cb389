"""Labelling by keys in a real window."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from emotion.base.errors import UserError
from emotion.collect import camera, screening
from emotion.faces.labels import EMOTIONS
from tests.conftest import REPOSITORY
from tests.helpers.collected import SCREEN, collected, drawn, lines, pictures
from tests.helpers.xvfb import PATIENCE, Screen, screen, until


@pytest.fixture(scope="module")
def desk() -> Iterator[Screen]:
    with screen() as found:
        yield found


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of one smiling face."""
    path = tmp_path_factory.mktemp("film") / "face.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (400, 400))
    for _ in range(600):
        video.write(drawn(1))
    video.release()
    return path


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_keys_label_what_is_shown(desk: Screen, film: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    line = [sys.executable, "-m", "emotion.collect", f"root={root}", "source=camera", f"path={film}"]
    environment = desk.environment | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        line, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    def check() -> None:
        assert process.poll() is None, process.communicate()

    def records() -> int:
        check()
        return len(lines(root)) if (root / "manifest.jsonl").exists() else 0

    try:
        desk.window("emotion", check)
        for number, key in enumerate(("4", "4", "x", "6"), start=1):
            desk.press(key)
            if key != "x":
                until(lambda n=number: records() >= (n if n < 3 else n - 1), f"key {key}")  # type: ignore[misc]
        if "EMOTION_TEST_SHOT" in os.environ:  # for people who want to see it
            cv2.imwrite(os.environ["EMOTION_TEST_SHOT"], desk.shot())
        desk.press("q")
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    assert "keys 1 to 7 label what you show" in out
    assert "happy: kept" in err
    found = lines(root)
    assert [r["emotion"] for r in found if "event" not in r] == ["happy", "happy", "sad"]
    assert {r["label_source"] for r in found if "event" not in r} == {"person"}
    assert [r["decision"] for r in found if "event" not in r] == ["kept", "rejected", "quarantined"]
    assert pictures(root) == set()  # one face as happy and as sad
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_the_keys_are_the_emotions_order_and_stand_in_the_picture() -> None:
    image = drawn(1)
    boxes = screening.find(image, SCREEN)
    none = camera.annotated(image, boxes, Counter())
    some = camera.annotated(image, boxes, Counter({EMOTIONS[3]: 12}))
    assert none.shape == some.shape == (640, 640, 3)
    rows = (none != some).any(axis=(1, 2)).nonzero()[0]
    height = 7 * 22 + 10  # of the plate: seven rows, the fourth of which has changed
    assert 3 / 7 < rows.mean() / height < 4.5 / 7


@pytest.mark.slow
def test_without_a_display_it_says_what_to_do(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UserError, match=r"source=camera needs a window, and there is no display.*source=video"):
        collected(tmp_path / "data", "source=camera", f"path={film}")
    with pytest.raises(UserError, match=r"^path: no such file 'nope\.mp4'.* Give a camera's number \(path=0\)"):
        collected(tmp_path / "data", "source=camera", "path=nope.mp4")
