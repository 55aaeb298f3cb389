"""``emotion doctor``: what it finds here is true, what is missing is said, and no home folder is in its JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest

from emotion import doctor
from emotion.base import devices, files
from emotion.base.errors import UserError
from emotion.doctor import finding, machine, packages, vision
from emotion.doctor.finding import Finding, without_home
from emotion.live import film
from emotion.runs import published
from emotion.video import capture
from tests.conftest import REPOSITORY
from tests.helpers.xvfb import screen


def test_the_report_of_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(packages, "tensorflow", lambda: iter([Finding("TensorFlow", "ok", "as it is")]))
    monkeypatch.setattr(vision, "cameras", lambda: iter(()))
    monkeypatch.chdir(tmp_path)
    assert doctor.run([]) == 0
    shown = capsys.readouterr()
    assert f"ok    Python      {platform.python_version()}" in shown.out
    assert "ok    cascade     finds the face of a drawn portrait" in shown.out
    assert "runs the model that ships; one face in " in shown.out or not published.shipped_ids()
    assert "ok    outputs     'outputs' can be written" in shown.out
    assert shown.out.splitlines()[-1].startswith("0 faults, ")
    assert "checking codecs" in shown.err, "nothing is silent for long"
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
    assert doctor.run(["--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {check["about"] for check in report["checks"]} >= {"Python", "OpenCV", "cascade", "codecs", "extras"}
    assert {"emotion", "commit", "platform"} < set(report)


def test_no_home_folder_user_or_machine_is_in_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/data/people/anna")
    monkeypatch.setattr(finding, "_user", lambda: "anna")
    monkeypatch.setattr("socket.gethostname", lambda: "annas-laptop")
    report = {
        "checks": [
            {"found": "'/data/people/anna/outputs' cannot be written"},
            {"found": "/home/bert/x and /Users/bert/y"},
        ],
        "other": ["anna on annas-laptop", r"C:\Users\bert\film.mp4", "Annabel bananna", 3, None],
    }
    assert without_home(report) == {
        "checks": [{"found": "'~/outputs' cannot be written"}, {"found": "~/x and ~/y"}],
        "other": ["<user> on <host>", r"~\film.mp4", "Annabel bananna", 3, None],
    }


def test_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.run(["--help"]) == 0
    assert "emotion doctor --json" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"--jsn: no such argument. Did you mean '--json'"):
        doctor.run(["--jsn"])
    with pytest.raises(UserError, match=r"output: no such argument. Did you mean 'outputs'"):
        doctor.run(["output=x"])


def test_a_check_that_breaks_is_a_fault_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> Any:
        raise RuntimeError("no such device")
        yield

    checks = {"first": broken, "second": lambda: iter([Finding("second", "note", "works", "Do this")])}
    monkeypatch.setattr(doctor, "checks", lambda outputs: checks)
    assert doctor.run([]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "fault first       the check itself failed (RuntimeError: no such device). Please report it"
    assert out[1:] == ["note  second      works. Do this", "1 fault, 1 note, 0 ok"]


def test_places_that_cannot_be_written_or_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_CACHE", str(tmp_path / "cache"))
    (tmp_path / "file").touch()
    outputs, cache = machine.folders(tmp_path / "file" / "outputs")
    assert (outputs.status, outputs.advice) == ("fault", "Set outputs=... to another folder")
    assert "is a file" in outputs.found
    assert cache.status != "fault"
    for free, status in ((10**12, "ok"), (2 * 10**9, "note"), (10**8, "fault")):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: type("Usage", (), {"free": free}))
        assert {found.status for found in machine.folders(tmp_path / "new" / "outputs")} == {status}
    assert not (tmp_path / "new").exists()


def test_names_that_are_too_long_and_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMOTION_CACHE", raising=False)
    outputs, _ = machine.folders(Path("x" * 300))
    assert outputs.status == "fault"
    assert outputs.found.endswith("xxx' cannot be written (File name too long)")
    assert len(outputs.found) < 260

    def unknown(number: int) -> Any:
        raise KeyError(number)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.delenv("HOME")
    outputs, cache = machine.folders(files.own_path("~/outputs"))
    for place in (outputs, cache):
        assert "cannot be written (no home folder is known of that user)" in place.found
    assert without_home({"found": "/x"}) == {"found": "/x"}


def test_little_memory_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "memory", lambda: 2**30)
    (found,) = machine.resources()
    assert (found.status, found.found.partition(" of")[0]) == ("note", "1.07 GB")


@pytest.mark.parametrize(
    ("version", "status"), [("3.10.4", "fault"), ("3.11.0", "ok"), ("3.13.1", "ok"), ("3.14.0", "fault")]
)
def test_python_versions(version: str, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "python_version", lambda: version)
    (found,) = packages.python()
    assert found.status == status


def _answering(monkeypatch: pytest.MonkeyPatch, code: int = 0, out: str = "", error: str = "") -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], code, out, error))


def test_a_tensorflow_that_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    _answering(monkeypatch, 1, error="Traceback\nModuleNotFoundError: No module named 'tensorflow'")
    (found,) = packages.tensorflow()
    assert found.status == "fault"
    assert found.found == "cannot be imported: ModuleNotFoundError: No module named 'tensorflow'"
    assert "pip install tensorflow" in found.advice
    _answering(monkeypatch, -4)
    (found,) = packages.tensorflow()
    assert "lacks AVX" in found.found
    _answering(monkeypatch, out='["2.21.0", "3.15.1", [], 63.0, true]')
    assert next(found.status for found in packages.tensorflow()) == "fault"


@pytest.mark.parametrize(
    ("names", "present", "cuda", "status", "said"),
    [
        (["NVIDIA A"], ["GPU-1"], True, "ok", "1 GPU for TensorFlow: NVIDIA A"),
        ([], [], True, "note", "training runs on the processor"),
        ([], ["GPU-1"], True, "fault", "the driver lists 1 GPU, and TensorFlow sees none"),
        ([], ["GPU-1"], False, "fault", "the driver lists 1 GPU"),
    ],
)
def test_gpus(
    names: list[str], present: list[str], cuda: bool, status: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "gpus", lambda: present)
    found = packages._gpu(names, cuda=cuda)
    assert (found.status, said in found.found) == (status, True)
    assert ("and-cuda" in found.advice) == (status == "fault")
    assert "GPU-1" not in found.found, "a number by which a machine can be told"


@pytest.mark.nightly
@pytest.mark.slow
def test_tensorflow_as_it_is() -> None:
    first, gpu = packages.tensorflow()
    assert first.status == "ok"
    assert first.found.startswith("2.")
    assert gpu.status in ("ok", "note")


def test_codecs_are_tried_by_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    written, h264 = vision.codecs()
    assert written.status == "ok"
    assert {".mp4 (mp4v)", ".avi (MJPG)"} <= set(written.found.removeprefix("OpenCV writes ").split(", "))
    assert h264.status in ("ok", "note")
    monkeypatch.setattr(vision, "CODECS", {".mp4": "XXXX", ".avi": "MJPG"})
    assert next(vision.codecs()).found == "OpenCV writes .avi (MJPG), not .mp4 (XXXX)"
    monkeypatch.setattr(vision, "CODECS", {".mp4": "XXXX"})
    monkeypatch.setattr(film, "can_write", lambda suffix: False)
    assert [found.status for found in vision.codecs()] == ["fault"]


@pytest.mark.slow
def test_an_opencv_that_cannot_be_loaded_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    code = (
        "from pathlib import Path\nfrom emotion import doctor\n"
        "checks = doctor.checks(Path())\n"
        "print(*(found.line() for name in ('OpenCV', 'LiteRT') for found in checks[name]()), sep='\\n')"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(REPOSITORY)])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    faults = [line for line in done.stdout.splitlines() if line.startswith("fault")]
    why = "(libGL.so.1: cannot open shared object file). "
    assert faults[0].startswith(f"fault OpenCV      opencv-python: cannot be loaded {why}On Debian: apt-get install")
    assert f"does not run the model that ships {why}" in faults[1]
    assert len(faults) == 2


def test_two_builds_of_opencv_and_none_of_its_cascades(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vision, "_version", lambda name: "4" if name in vision._BUILDS[:2] else None)
    monkeypatch.setattr("cv2.data.haarcascades", str(tmp_path))
    builds, cascade = vision.opencv()
    assert (builds.status, cascade.status) == ("fault", "fault")
    assert "install one" in builds.advice


def test_cameras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    film = tmp_path / "camera.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(3):
        writer.write(cv2.UMat(48, 64, cv2.CV_8UC3).get())
    writer.release()
    monkeypatch.setattr(capture, "cameras", lambda: [0, 2])
    monkeypatch.setattr(capture, "try_camera", lambda n: cv2.VideoCapture(str(film) if n == 2 else "/nothing"))
    silent, answering = vision.cameras()
    assert (silent.status, silent.found) == ("note", "camera 0 opens and gives no frame")
    assert (answering.status, answering.found.partition(",")[0]) == ("ok", "source=2: 64x48")
    monkeypatch.setattr(capture, "cameras", list)
    (none,) = vision.cameras()
    assert none.status == "note"


@pytest.mark.slow
def test_a_display_is_tried_by_opening_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    (found,) = vision.display()
    assert (found.status, "there is no display" in found.found) == ("note", True)
    with screen() as desk:
        for key, value in desk.environment.items():
            monkeypatch.setenv(key, value)
        (found,) = vision.display()
    assert found.status == "ok", found


def test_extras_that_are_missing_are_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [
        "numpy>=2",
        'onnx>=1; extra == "onnx"',
        "onnxruntime; extra == 'onnx'",
        'ruff; extra == "dev"',
        'av; extra == "video"',
    ]
    monkeypatch.setattr("importlib.metadata.requires", lambda _: listed)
    monkeypatch.setattr(packages, "_installed", lambda name: name in ("onnx", "av"))
    present, absent = packages.extras()
    assert present.found == "installed: video"
    assert (absent.found, absent.advice) == ("onnx: without onnxruntime", "pip install 'emotion[onnx]'")


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "emotion", "doctor", "--json", f"outputs={tmp_path}"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    faults = [check for check in report["checks"] if check["status"] == "fault"]
    assert done.returncode == bool(faults), done.stderr
    assert str(Path.home()) + "/" not in done.stdout or Path.home() == Path("/")
