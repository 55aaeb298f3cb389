"""The page in a real browser, with a camera that plays drawn faces."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from emotion.faces import decoding
from emotion.serve.guard import Access
from tests.helpers import chromium
from tests.helpers.chromium import Page
from tests.helpers.serving import Serving, face, film, serving, webcam

pytestmark = pytest.mark.slow

#: Where screenshots are kept for people to look at; nowhere by default.
SHOTS = os.environ.get("EMOTION_SCREENSHOTS")


@pytest.fixture(scope="module")
def camera(drawn: Any, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return webcam(film(drawn[0]), tmp_path_factory.mktemp("camera") / "drawn.mjpeg")


@pytest.fixture
def server() -> Iterator[Serving]:
    with serving() as running:
        yield running


def _shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(Path(SHOTS) / f"{name}.png")


def _started(page: Page) -> None:
    page.until("!document.getElementById('start').disabled")
    page.evaluate("document.getElementById('start').click()")
    page.until("document.querySelectorAll('.face').length >= 1")


def _status(page: Page) -> str:
    return str(page.evaluate("document.getElementById('status').textContent"))


def test_a_strangers_face_is_labelled_in_their_own_browser(server: Serving, camera: list[str], tmp_path: Path) -> None:
    with chromium.opened(server.url, tmp_path, *camera) as page:
        page.show(1280, 900)
        page.until("document.getElementById('model').textContent.includes('live')")
        text = page.evaluate("document.body.innerText")
        assert "Nothing is kept" in text
        assert server.host in text
        _shot(page, "before-light")
        _started(page)
        page.until("Number(document.getElementById('canvas').dataset.frame) > 20")
        assert page.evaluate("document.getElementById('canvas').width") == 640
        labels = page.evaluate(
            "[...document.querySelectorAll('.face')[0].querySelectorAll('dt')].map((e) => e.textContent)"
        )
        assert labels == list(server.service.model.labels)
        assert "labelled frames/s" in page.evaluate("document.getElementById('rate').textContent")
        for name, width, height, dark, phone in (
            ("desktop-light", 1280, 900, False, False), ("desktop-dark", 1280, 900, True, False),
            ("phone-light", 390, 844, False, True), ("phone-dark", 390, 844, True, True),
        ):  # fmt: skip
            page.show(width, height, dark=dark, phone=phone)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            _shot(page, name)
        page.evaluate("document.getElementById('pause').click()")
        page.evaluate("document.getElementById('snapshot').click()")
        page.evaluate("document.getElementById('table').click()")
        with page.downloaded("faces.csv").open(newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        columns = ["frame", "time", "track", "x", "y", "width", "height", "label", "confidence", "top"]
        raw = [f"raw_{label}" for label in labels]
        assert reader.fieldnames == [*columns, *labels, *raw]
        assert len({row["track"] for row in rows}) >= 2
        assert len(rows) > 20
        times = [float(row["time"]) for row in rows]
        assert times == sorted(times)
        page.until("[...document.querySelectorAll('a')].length > 0")
        snapshot = page.downloaded("emotion-*.png")
        assert cv2.imread(str(snapshot)).shape == (360, 640, 3)
        assert page.complaints == []


def test_each_visitor_has_their_own_tracks(server: Serving, camera: list[str], tmp_path: Path) -> None:
    with chromium.opened(server.url, tmp_path, *camera) as page, server.visitor() as other:
        _started(page)
        answer = other.ask(face(3))
        assert [f["track"] for f in answer["faces"]] == [1]
        assert page.evaluate("document.querySelector('.face strong').textContent")[0] == "#"
        page.until("Number(document.getElementById('canvas').dataset.frame) > 5")
        assert int(server.service.metrics.total("emotion_sessions")) == 2


def test_the_page_reconnects_when_the_server_comes_back(camera: list[str], tmp_path: Path) -> None:
    with serving() as first:
        port = first.port
        opened = chromium.opened(first.url, tmp_path, *camera)
        page = opened.__enter__()
        _started(page)
    try:
        page.until("document.getElementById('status').textContent.includes('connection is lost')")
        with serving(port=port):
            page.until("document.getElementById('status').textContent == ''")
            page.evaluate("window.before = document.getElementById('canvas').dataset.frame")
            page.until("document.getElementById('canvas').dataset.frame != window.before")
    finally:
        opened.__exit__(None, None, None)


def test_the_camera_is_refused_missing_unplugged_and_hidden(server: Serving, camera: list[str], tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with chromium.opened(server.url, tmp_path / "a", "--deny-permission-prompts") as page:
        page.until("!document.getElementById('start').disabled")
        page.evaluate(
            "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'))"
        )
        page.evaluate("document.getElementById('start').click()")
        page.until("document.getElementById('status').textContent.includes('was refused')")
        page.evaluate("navigator.mediaDevices.getUserMedia = MediaDevices.prototype.getUserMedia")
        page.evaluate("document.getElementById('start').click()")  # there is none on a machine without one
        page.until("document.getElementById('status').textContent.match(/no camera|was refused|cannot be started/)")
    (tmp_path / "b").mkdir()
    with chromium.opened(server.url, tmp_path / "b", *camera) as page:
        _started(page)
        page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
        page.until("performance.now() > 0")
        still = "document.getElementById('canvas').dataset.frame == window.before"
        for _ in range(30):  # frames that are on their way are answered yet
            page.evaluate("window.before = document.getElementById('canvas').dataset.frame")
            page.evaluate("new Promise((done) => setTimeout(done, 1000))")
            if page.evaluate(still):
                break
        else:
            raise AssertionError("it sends while it is hidden")
        page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        page.until("document.getElementById('canvas').dataset.frame != window.before")
        page.evaluate("window.track = document.getElementById('video').srcObject.getVideoTracks()[0]")
        page.evaluate("track.stop(); track.dispatchEvent(new Event('ended'))")
        page.until("document.getElementById('status').textContent.includes('unplugged')")
        assert page.evaluate("document.getElementById('recording').hidden")
        _started(page)


def test_pictures_from_files(server: Serving, tmp_path: Path) -> None:
    (tmp_path / "face.jpg").write_bytes(face(3))
    cv2.imwrite(str(tmp_path / "face.bmp"), cv2.imread(str(tmp_path / "face.jpg")))
    (tmp_path / "<b>broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    with chromium.opened(server.url, tmp_path) as page:
        page.until("document.getElementById('model').textContent.includes('labels')")
        _put(page, [tmp_path / "face.jpg", tmp_path / "face.bmp", tmp_path / "<b>broken.jpg"])
        page.until("[...document.querySelectorAll('figcaption')].filter((e) => e.textContent).length == 3")
        said = page.evaluate("[...document.querySelectorAll('figcaption')].map((e) => e.textContent)")
        assert said[0].startswith("face.jpg: ")
        assert "%" in said[0]
        assert "%" in said[1]
        assert said[2] == "<b>broken.jpg: this browser cannot show it"
        _shot(page, "pictures")


def test_a_video_from_a_file(server: Serving, drawn: Any, tmp_path: Path) -> None:
    clip = tmp_path / "clip.webm"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"VP90"), 12, (640, 360))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no VP9")
    for data in film(drawn[0]):
        writer.write(decoding.decode(data))
    writer.release()
    with chromium.opened(server.url, tmp_path) as page:
        page.until("document.getElementById('model').textContent.includes('labels')")
        _put(page, [clip])
        page.until("document.getElementById('status').textContent.includes('has ended')")
        page.until("document.querySelectorAll('.face').length >= 1")  # the last answers may be on their way
        (tmp_path / "text.mp4").write_text("no video")
        _put(page, [tmp_path / "text.mp4"])
        page.until("document.getElementById('status').textContent.includes('cannot play text.mp4')")


def _put(page: Page, paths: list[Path]) -> None:
    document = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", nodeId=document, selector="#files")["nodeId"]
    page.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])


def test_the_page_says_how_to_get_a_camera_where_it_is_not_secure(tmp_path: Path) -> None:
    access = Access(frozenset({"faces.test"}))
    with (
        serving(access) as server,
        chromium.opened("about:blank", tmp_path, "--host-resolver-rules=MAP faces.test 127.0.0.1") as page,
    ):
        page.go(f"http://faces.test:{server.port}")
        page.until("!document.getElementById('insecure').hidden")
        assert page.evaluate("document.getElementById('start').disabled")
        tunnel = page.evaluate("document.getElementById('tunnel').textContent")
        assert tunnel == f"ssh -L {server.port}:localhost:{server.port} faces.test"
        _shot(page, "insecure")


def test_the_token_is_in_the_address_once(tmp_path: Path) -> None:
    access = Access(frozenset({"127.0.0.1"}), token="0123456789abcdef")
    with serving(access) as server, chromium.opened(f"{server.url}/?token=0123456789abcdef", tmp_path) as page:
        page.until("document.getElementById('model').textContent.includes('labels')")
        assert page.evaluate("location.href") == f"{server.url}/"
        assert page.evaluate("document.cookie") == "", "scripts cannot read it"


def test_keys_and_screen_readers_reach_everything(server: Serving, camera: list[str], tmp_path: Path) -> None:
    with chromium.opened(server.url, tmp_path, *camera) as page:
        _started(page)
        tree = page.call("Accessibility.getFullAXTree")["nodes"]
        named = {(n["role"]["value"], n.get("name", {}).get("value", "")) for n in tree if "role" in n}
        roles = ("button", "combobox", "slider", "checkbox", "img")
        unnamed = [role for role, name in named if role in roles and not name]
        assert unnamed == []
        for role, name in (("button", "Pause"), ("combobox", "Camera"), ("checkbox", "Mirror")):
            assert (role, name) in named, json.dumps(sorted(named))
        page.evaluate("document.getElementById('pause').focus()")
        page.press("Enter")
        page.call("Input.dispatchKeyEvent", type="char", text="\r")
        page.evaluate("document.activeElement.id")
