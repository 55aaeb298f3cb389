"""What a person gets who asks for what cannot be: one message that says what to do next, and exit code 2."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion.base.errors import UserError
from emotion.config import cli
from emotion.faces.contract import Contract
from emotion.live.__main__ import run
from emotion.video.source import frames
from tests.helpers.live_command import Commands, commands, records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def start(models, outputs: Path, tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path, outputs, forked=True) as starting:
        yield starting


def _refused(start: Commands, *overrides: str, **more: str) -> str:
    """The message of a command that ends with exit code 2."""
    _, err = start(*overrides, **more).finish(2)
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, err
    return errors[0]


# ------------------------------------------------------------------------------------------------------------- paths


MISTAKES = [
    (["run=gray", "source=missing.mp4"], "no such file 'missing.mp4'"),
    (["run=gray", "source=97"], r"no camera 97 here; .*(Plug one in|These answer)"),
    (["run=gray", "source={folder}/notes.txt"], "is text. Give a video or an image"),
    (["run=gray", "source={folder}/cut.mp4"], "index .* is missing.* Copy it again"),
    (["run=gray", "source={folder}/noise.mp4"], "damaged, or in a format that this OpenCV does not know"),
    (["run=gray", "source={folder}/noise.png"], "no frame of .* could be decoded; it is damaged"),
    (["run=gray", "source=http://127.0.0.1:{port}/a?b=c"], "nothing listens at 127.0.0.1"),
    (["run=gray", "source=~nobody-of-that-name/clip.mp4"], "no user has that name"),
    (["run=gray", "source={clip}", "save=~nobody-of-that-name/a.mp4"], "no user has that name"),
    (["run=gray", "source={clip}", "save=no/where.mp4"], "no such folder 'no'.* mkdir -p no"),
    (["run=gray", "source={clip}", "save=a.mkv"], r"must end in .mp4 or .webm or .avi"),
    (["run=gray", "source={clip}", "save={folder}"], "must end in|is a folder"),
    (["run=gray", "source={clip}", "log=a.txt"], r"must end in .jsonl or .csv"),
    (["run=gray", "source={clip}", "log=no/where.csv"], "no such folder 'no'"),
    (["run=gray", "source={clip}", "timeline=a.jpg"], r"must end in .png"),
    (["run=gray", "source={folder}/face.png", "timeline=a.png"], "leave timeline out"),
    (["run=gray", "source={folder}/face.png", "loop=true"], "loop: only for video files"),
    (["run=gray", "source={folder}/face.png", "save=a.gif"], "must be a folder .* or end in one of .png"),
    (["run=gray", "source={folder}/*.png", "save=a.png"], "the source has several; give a folder"),
    (["run=grey", "source={clip}"], "no run 'grey'.* Nearest: .*gray"),
    (["run=gray", "source={clip}", "display=windows"], "Did you mean 'window'"),
    (["run=gray", "source={clip}", "stride=0"], "must be at least 1"),
    (["run=pretrained/lost", "source={clip}"], "run: .*pretrained/lost"),
    (["source={clip}", "prior=balance"], "prior: 'balance' is neither one of training, balanced, estimate"),
    (["source={clip}", "prior={{hapy: 1}}"], "prior.hapy: no such emotion. Did you mean 'happy'"),
    (["run=pretrained", "source={folder}/face.png", "prior=estimate"], "prior: estimate needs faces that are followed"),
    (["run=gray", "source={clip}", "prior=balanced"], "does not record the class shares of its training"),
]


@pytest.fixture
def given(drawn, tmp_path: Path) -> dict[str, object]:
    """Sources that are none, in a folder."""
    clip = drawn[0]
    (tmp_path / "notes.txt").write_text("Not a video.\n" * 100)
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    noise = np.random.default_rng(0).bytes(3000)
    (tmp_path / "noise.mp4").write_bytes(noise)
    (tmp_path / "noise.png").write_bytes(noise)
    cv2.imwrite(str(tmp_path / "face.png"), next(frames(clip)).image)
    with socket.create_server(("127.0.0.1", 0)) as free:
        return {"clip": clip, "folder": tmp_path, "port": free.getsockname()[1]}


@pytest.mark.parametrize(("overrides", "message"), MISTAKES)
def test_mistakes(
    models, outputs: Path, given, monkeypatch: pytest.MonkeyPatch, overrides: list[str], message: str
) -> None:
    before = given["clip"].read_bytes()
    empty = given["folder"] / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    with pytest.raises(UserError, match=message):
        run(cli.request("live", ["display=none", f"outputs={outputs}", *(o.format(**given) for o in overrides)]).cfg)
    assert given["clip"].read_bytes() == before
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(("overrides", "message"), [MISTAKES[i] for i in (0, 1, 4, 9, 22)])
def test_mistakes_at_the_terminal(start: Commands, given, overrides: list[str], message: str) -> None:
    assert re.search(message, _refused(start, *(o.format(**given) for o in overrides)))


@pytest.mark.parametrize("how", ["same", "relative", "symlink", "hard link", "address"])
def test_the_source_is_not_written_over(start: Commands, drawn, tmp_path: Path, how: str) -> None:
    clip, link = tmp_path / "clip.mp4", tmp_path / "link.mp4"
    shutil.copy(drawn[0], clip)
    source, save = str(clip), str(link)
    if how == "symlink":
        link.symlink_to(clip)
    elif how == "hard link":
        os.link(clip, link)
    else:
        source = f"file://{clip}" if how == "address" else source
        save = os.path.relpath(clip, start.cwd) if how == "relative" else str(clip)
    assert "is also source=; choose another place" in _refused(start, "run=gray", f"source={source}", f"save={save}")
    assert clip.read_bytes() == drawn[0].read_bytes()


@pytest.mark.parametrize(
    ("source", "save"),
    [("{}", "{}"), ("{}", "{}-link"), ("{}/*.png", "{}/"), ("{}/a.png", "{}/"), ("{}/a.png", "{}-link/a.png")],
)
def test_pictures_are_not_written_over(start: Commands, drawn, tmp_path: Path, source: str, save: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (tmp_path / "photos-link").symlink_to(folder)
    cv2.imwrite(str(folder / "a.png"), next(frames(drawn[0])).image)
    before = (folder / "a.png").read_bytes()
    said = _refused(start, "run=gray", f"source={source.format(folder)}", f"save={save.format(folder)}")
    assert "is also source=" in said or "holds the source" in said
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {"a.png": before}


def test_a_place_without_the_right_to_write(start: Commands, drawn, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):  # root may write anywhere, but for folders of the kernel's
        folder = Path("/proc/self")
        if not folder.is_dir():
            pytest.skip("no folder here that this user may not write in")
    for asked in ("save={}/a.mp4", "log={}/a.csv", "timeline={}/a.png"):
        said = _refused(start, "run=gray", f"source={drawn[0]}", asked.format(folder), "max_frames=2")
        assert "may not be written; check its permissions or choose another place" in said or "cannot write" in said


def test_a_log_that_is_a_device(start: Commands, drawn, tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full")
    log, save = tmp_path / "faces.jsonl", tmp_path / "labelled.mp4"
    log.symlink_to(full)
    assert "not a regular file" in _refused(start, "run=gray", f"source={drawn[0]}", f"log={log}", f"save={save}")
    assert not save.exists()


# ----------------------------------------------------------------------------------------------------- damaged video


def test_a_truncated_video_is_processed_as_far_as_it_goes(start: Commands, drawn, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.avi", tmp_path / "cut.avi"
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"MJPG"), 12, (640, 360))
    for frame in frames(drawn[0]):
        writer.write(frame.image)
    writer.release()
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 6 // 10])
    save, log = tmp_path / "labelled.mp4", tmp_path / "faces.jsonl"
    out, err = start("run=gray", f"source={cut}", f"save={save}", f"log={log}").finish()
    count = len(list(frames(save)))
    assert 10 < count < 17
    assert f"{count} processed" in out
    assert f"ended after frame {count - 1}" in err
    assert records(log)[-1]["frame"] == count - 1


def test_a_damaged_place_is_passed_over(start: Commands, drawn, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mp4"
    data = bytearray(drawn[0].read_bytes())
    first, last = data.index(b"mdat") + 4, data.index(b"moov") - 4
    a, b = first + (last - first) // 3, first + (last - first) // 2
    data[a:b] = bytes(b - a)
    damaged.write_bytes(data)
    save, log = tmp_path / "labelled.mp4", tmp_path / "faces.jsonl"
    _, err = start("run=gray", f"source={damaged}", f"save={save}", f"log={log}").finish()
    assert "damaged frame" in err
    assert 10 < len(list(frames(save))) <= 24
    assert max(r["frame"] for r in records(log)) > 20


# ------------------------------------------------------------------------------------------------------------ display


@pytest.mark.parametrize("display", ["", ":7357"])
def test_a_window_without_a_display(start: Commands, drawn, display: str) -> None:
    said = _refused(start, "run=gray", f"source={drawn[0]}", "display=window", DISPLAY=display)
    assert said.startswith("error: display: ")
    assert "display=none" in said


def test_auto_says_in_one_line_that_there_is_no_window(start: Commands, drawn) -> None:
    _, err = start("run=gray", f"source={drawn[0]}", "max_frames=2", DISPLAY=":7357").finish()
    said = [line for line in err.splitlines() if not line.startswith("INFO: ")]  # LiteRT's own
    assert said == ["display: no window, as the display ':7357' cannot be opened. display=browser shows it on a page"]


@pytest.fixture(scope="session")
def headless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with OpenCV as servers have it, without windows."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("no pip to install opencv-python-headless with")
    folder = tmp_path_factory.mktemp("headless")
    wanted = "opencv-python-headless==" + ".".join(cv2.__version__.split(".")[:3]) + ".*"
    line = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--retries=0", "--timeout=5"]
    done = subprocess.run([*line, "--target", str(folder), wanted], capture_output=True, text=True, timeout=100)
    if done.returncode:
        pytest.skip(f"opencv-python-headless cannot be installed here: {done.stderr.strip()[-200:]}")
    return folder


def test_opencv_without_windows(start: Commands, drawn, headless: Path, tmp_path: Path) -> None:
    paths = os.pathsep.join([str(headless), str(Path(__file__).resolve().parents[2])])
    more = {"PYTHONPATH": paths, "DISPLAY": ":0"}
    said = _refused(start, "run=gray", f"source={drawn[0]}", "display=window", **more)
    assert "built without windows (opencv-python-headless)" in said
    save = tmp_path / "labelled.mp4"
    _, err = start("run=gray", f"source={drawn[0]}", f"save={save}", **more).finish()
    assert "display: no window, as this OpenCV was built without windows" in err
    assert len(list(frames(save))) == 24


# ---------------------------------------------------------------------------------------------------------------- runs


@pytest.fixture
def copied(models, outputs: Path, tmp_path: Path) -> Path:
    """A run that a test may change."""
    return Path(shutil.copytree(outputs / "gray", tmp_path / "runs" / "mine"))


def _change(run: Path, **fields: object) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | fields))


def test_a_run_that_is_still_training(start: Commands, drawn, copied: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    _change(copied, status="running", pid=os.getpid(), host=socket.gethostname(), epoch=3, best_epoch=2)
    with (copied / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        out, err = start(f"run={copied}", f"source={drawn[0]}", "max_frames=2").finish()
        assert "still training (epoch 3); using its best checkpoint so far, of epoch 2" in err
        assert "2 processed" in out
        shutil.rmtree(copied / "checkpoints")
        (copied / "model.tflite").unlink()
        said = _refused(start, f"run={copied}", f"source={drawn[0]}")
        assert "checkpoint" in said


def test_a_model_that_disagrees_with_its_contract(start: Commands, drawn, copied: Path) -> None:
    Contract(height=48, width=48, colour="rgb").save(copied / "contract.json")
    assert "contract" in _refused(start, f"run={copied}", f"source={drawn[0]}")
