"""The command as a person runs it: a process of its own in an empty folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion.data import synthetic
from emotion.live import label_frames
from emotion.live.source import frames

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(models, outputs: Path, tmp_path: Path):
    """Start the command in an empty folder, which must be empty at the end too."""
    folder = tmp_path / "empty"
    folder.mkdir()
    started: list[subprocess.Popen[str]] = []
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "HYDRA_FULL_ERROR")}

    def _start(*overrides: str, code: str | None = None, **more: str) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            *(["-c", code] if code else ["-m", "emotion.live"]),
            f"outputs={outputs}",
            *overrides,
        ]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"} | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield _start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    assert list(folder.iterdir()) == []


def _finish(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, f"{out}\n{err}"
    assert "Traceback" not in err
    return out, err


def _records(path: Path) -> list[dict]:
    text = path.read_text()
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def _overlap(a: list[int], b) -> float:
    width = min(a[0] + a[2], b.x + b.width) - max(a[0], b.x)
    height = min(a[1] + a[3], b.y + b.height) - max(a[1], b.y)
    both = max(0, width) * max(0, height)
    return both / (a[2] * a[3] + b.width * b.height - both)


@pytest.mark.parametrize(("run", "ending"), [("gray", "mp4"), ("rgb", "avi")])
def test_drawn_video(start: Start, drawn, tmp_path: Path, run: str, ending: str) -> None:
    clip, truth = drawn
    save, log = tmp_path / f"labelled.{ending}", tmp_path / "faces.jsonl"
    out, _ = _finish(start(f"run={run}", f"source={clip}", f"save={save}", f"log={log}"))
    records = _records(log)
    assert len({r["frame"] for r in records}) > 0.9 * len(truth)
    hits = [
        any(_overlap(r["box"], shown.box) > 0.4 for r in records if r["frame"] == i)
        for i, moment in enumerate(truth)
        for shown in moment.faces
    ]
    assert np.mean(hits) > 0.8
    for record in records:
        x, y, width, height = record["box"]
        assert x >= 0
        assert y >= 0
        assert x + width <= 640
        assert y + height <= 360
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert record["probabilities"][record["label"]] == record["confidence"]
        assert record["time"] == pytest.approx(truth[record["frame"]].time, abs=1e-3)
    labelled, plain = list(frames(save)), list(frames(clip))
    assert len(labelled) == len(plain) == len(truth)
    assert labelled[0].image.shape == plain[0].image.shape
    x, y, width, _ = next(r["box"] for r in records if r["frame"] == 0)
    side = np.s_[y : y + 30, max(0, x - 3) : x + 4]
    assert np.abs(labelled[0].image[side].astype(int) - plain[0].image[side]).mean() > 15
    assert f"frames {len(truth)}, faces {len(records)}" in out
    for words in ("detect", "p95", str(save), str(log), "%"):
        assert words in out


def test_real_video(start: Start, shared: Path, tmp_path: Path) -> None:
    clip = shared / "media" / "single_face.mp4"
    if not clip.is_file():
        pytest.skip("no single_face.mp4 in ../shared/media")
    save, log = tmp_path / "labelled.mp4", tmp_path / "faces.jsonl"
    _finish(start("run=gray", f"source={clip}", f"save={save}", f"log={log}"))
    records = _records(log)
    plain, labelled = list(frames(clip)), list(frames(save))
    assert len(labelled) == len(plain)
    assert labelled[0].image.shape == plain[0].image.shape
    assert len({r["frame"] for r in records}) > 0.95 * len(plain)
    assert all(r["box"][2] > 100 for r in records)


def test_nothing_is_stored_unless_asked(start: Start, drawn, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    _finish(start("run=latest", f"source={drawn[0]}", "max_frames=3"))
    assert set(tmp_path.rglob("*")) == before


def test_tensorflow_is_not_imported(start: Start, drawn) -> None:
    code = (
        "import sys\n"
        "from emotion import cli\n"
        "from emotion.live.__main__ import run\n"
        "from emotion.live import label_frames\n"
        "cfg = cli.request('live').cfg\n"
        "assert run(cfg)['frames'] == 2\n"
        "assert len(list(label_frames('rgb', cfg.source, outputs=cfg.outputs, max_frames=2))) == 2\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'matplotlib'} & {name.split('.')[0] for name in sys.modules}\n"
        "assert not heavy, heavy\n"
    )
    _finish(start("run=gray", f"source={drawn[0]}", "max_frames=2", code=code))


def test_label_frames_gives_what_the_command_logs(start: Start, drawn, outputs: Path, tmp_path: Path) -> None:
    log = tmp_path / "faces.jsonl"
    _finish(start("run=gray", f"source={drawn[0]}", f"log={log}", "max_frames=5"))
    generator = label_frames("gray", drawn[0], outputs=outputs, max_frames=5)
    expected = [(frame.index, face) for frame, found in generator for face in found]
    records = _records(log)
    assert [r["frame"] for r in records] == [index for index, _ in expected]
    for record, (_, face) in zip(records, expected, strict=True):
        assert record["box"] == [face.box.x, face.box.y, face.box.width, face.box.height]
        np.testing.assert_allclose(list(record["probabilities"].values()), face.probabilities, rtol=0, atol=1e-4)


def test_a_picture_without_faces(start: Start, tmp_path: Path) -> None:
    picture, log = tmp_path / "grey.png", tmp_path / "faces.jsonl"
    cv2.imwrite(str(picture), np.full((120, 160, 3), 127, np.uint8))
    out, _ = _finish(start("run=gray", f"source={picture}", f"log={log}"))
    assert "frames 1, faces 0" in out
    assert log.read_text() == ""


def test_a_picture_with_a_face(start: Start, tmp_path: Path) -> None:
    image, box = synthetic.frame(1, 3, noise=0.3)
    picture, log = tmp_path / "face.png", tmp_path / "faces.jsonl"
    cv2.imwrite(str(picture), image)
    _finish(start("run=rgb", f"source={picture}", f"log={log}"))
    assert max(_overlap(r["box"], box) for r in _records(log)) > 0.4


@pytest.fixture(scope="session")
def long_clip(drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn video fifty times over: 1200 frames, more than a signal takes to arrive."""
    path = tmp_path_factory.mktemp("long") / "long.avi"
    pictures = [frame.image for frame in frames(drawn[0])]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12, (640, 360))
    for picture in pictures * 50:
        writer.write(picture)
    writer.release()
    return path


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_whole_files(start: Start, long_clip: Path, tmp_path: Path, number: int, code: int) -> None:
    save, log = tmp_path / "labelled.mp4", tmp_path / "faces.jsonl"
    process = start("run=gray", f"source={long_clip}", f"save={save}", f"log={log}")
    while process.poll() is None and (not log.exists() or log.read_text().count("\n") < 10):
        time.sleep(0.02)
    process.send_signal(number)
    out, err = _finish(process, code)
    assert "interrupted" in out
    assert "ms a frame" in out
    assert err.count("\n") <= 1, err  # LiteRT's own line at most
    records, labelled = _records(log), list(frames(save))
    assert len(records) >= 10
    assert records[-1]["frame"] < len(labelled) < 1200
    assert f"frames {len(labelled)}, " in out


@pytest.mark.parametrize("display", [None, ":7357"])
def test_a_window_without_a_display_is_an_error_and_no_abort(start: Start, drawn, display: str | None) -> None:
    more = {"DISPLAY": display} if display else {}
    _, err = _finish(start("run=gray", f"source={drawn[0]}", "display=window", **more), 2)
    assert "error: display: " in err
    assert "display=none" in err


def test_display_auto_goes_without_a_window(start: Start, drawn) -> None:
    _finish(start("run=gray", f"source={drawn[0]}", "display=auto", "max_frames=2"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["run=gray", "source=missing.mp4"], "no such file 'missing.mp4'"),
        (["run=gray", "source=97"], "no camera 97 here"),
        (["run=gray", "source={clip}", "save=no/where.mp4"], "no such folder 'no'"),
        (["run=gray", "source={clip}", "save={clip}"], "is also source="),
        (["run=gray", "source={clip}", "save=a.webm"], "must end in"),
        (["run=grey", "source={clip}"], "gray"),
        (["source={clip}"], "run"),
    ],
)
def test_mistakes_are_answered_in_one_message(start: Start, drawn, overrides: list[str], message: str) -> None:
    before = drawn[0].read_bytes()
    _, err = _finish(start(*(o.format(clip=drawn[0]) for o in overrides)), 2)
    assert err.splitlines()[-1].startswith("error: ") or "error: " in err
    assert message in err
    assert drawn[0].read_bytes() == before
