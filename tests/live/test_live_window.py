"""The command's window, under a real X server, with real keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers import servers
from tests.helpers.live_command import Commands, commands, count
from tests.helpers.pictures import read_picture
from tests.helpers.xvfb import Screen, screen, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture(scope="module")
def desk() -> Iterator[Screen]:
    with screen() as found:
        yield found


@pytest.fixture
def start(models, outputs: Path, tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path, outputs) as starting:
        yield starting


def test_auto_opens_a_window_and_keys_are_heard(start: Commands, drawn, desk: Screen, tmp_path: Path) -> None:
    log, snapshots = tmp_path / "faces.jsonl", tmp_path / "snapshots"
    asked = "loop=true", f"log={log}", f"snapshots={snapshots}"
    live = start("run=gray", f"source={drawn[0]}", *asked, DISPLAY=desk.display)
    number = desk.window("emotion", live.check)
    until(lambda: desk.size_of(number) == (640, 360), "the video's size")
    live.until(log=log, lines=20)
    desk.press("space")
    seen = -1

    def stands_still() -> bool:
        nonlocal seen
        before, seen = seen, count(log)
        picture = desk.shot()
        return before == seen and np.array_equal(picture, desk.shot())

    until(stands_still, "the pause")
    desk.press("s")
    picture = until(lambda: sorted(snapshots.glob("*.png")), "the snapshot")[0]
    desk.press("space")
    live.until(log=log, lines=seen + 5)
    desk.press("q")
    out, err = live.finish(0)
    assert read_picture(picture).shape == (360, 640, 3)
    assert len(list(snapshots.iterdir())) == 1
    assert f"snapshot: {picture}" in err
    assert "no window" not in err
    assert "processed" in out


def test_pictures_wait_for_a_key(start: Commands, desk: Screen, tmp_path: Path) -> None:
    photos, save = tmp_path / "photos", tmp_path / "labelled"
    photos.mkdir()
    for i, image in enumerate(servers.drawn()[:3]):
        cv2.imwrite(str(photos / f"{i}.png"), image)
    live = start("run=gray", f"source={photos}", f"save={save}", "display=window", DISPLAY=desk.display)
    desk.window("emotion", live.check)
    desk.press("n")
    until(lambda: (save / "1.png").exists(), "the second picture")
    desk.press("space")
    until(lambda: (save / "2.png").exists(), "the third picture")
    desk.press("space")
    out, _ = live.finish(0)
    assert "3 processed" in out


def test_q_is_heard_while_the_server_is_away(start: Commands, desk: Screen) -> None:
    """It is waited for, for 20 seconds; whoever wants to leave need not wait with it."""
    server = servers.process()
    assert server.stdout
    try:
        address = f"http://127.0.0.1:{int(server.stdout.readline())}/video"
        live = start("run=gray", f"source={address}", "display=window", DISPLAY=desk.display)
        desk.window("emotion", live.check)
        server.kill()
        live.until("trying to reach it again")
        desk.press("q")
        out, err = live.finish(0)
    finally:
        server.kill()
        server.communicate()
    assert "processed" in out
    assert "did not come back" not in err
