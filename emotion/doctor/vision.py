"""OpenCV: its cascade, windows, codecs and cameras."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np

from emotion.base import files
from emotion.base.errors import UserError
from emotion.base.logs import quiet_stderr
from emotion.data import synthetic
from emotion.doctor.finding import Finding
from emotion.faces import images
from emotion.faces.quiet import quiet
from emotion.live import film
from emotion.live.sinks import CODECS
from emotion.video import capture, window_probe

_BUILDS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
#: Frames of the film that each codec writes, and its side in pixels.
_FRAMES, _SIDE = 10, 160


def opencv() -> Iterator[Finding]:
    """Its build, and whether its cascade finds the face of a drawn portrait."""
    builds = [name for name in _BUILDS if _version(name)]
    found = f"{cv2.__version__} ({', '.join(builds) or 'not installed by pip'})"
    if len(builds) > 1:
        yield Finding("OpenCV", "fault", found, "They overwrite each other: pip uninstall all of them, and install one")
    else:
        yield Finding("OpenCV", "ok", found)
    try:
        cascade = images.load_cascade()
    except UserError as error:
        yield Finding("cascade", "fault", "faces cannot be found", str(error))
        return
    faces = cascade.detectMultiScale(cv2.cvtColor(synthetic.picture(1, 3, 240, 0.0), cv2.COLOR_BGR2GRAY))
    if len(faces) == 1:
        yield Finding("cascade", "ok", "finds the face of a drawn portrait")
    else:
        advice = "Install opencv-python again"
        yield Finding("cascade", "fault", f"finds {len(faces)} faces in a portrait of one", advice)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def codecs() -> Iterator[Finding]:
    """Which films can be written, by writing each and reading it again."""
    written: list[str] = []
    failing: list[str] = []
    with quiet(), quiet_stderr(), files.temporary_folder() as folder:
        for suffix, codec in CODECS.items():
            good = _writes(folder / f"film{suffix}", codec)
            (written if good else failing).append(f"{suffix} ({codec})")
    h264 = film.can_write(".mp4")
    if not written and not h264:
        yield Finding("codecs", "fault", f"OpenCV writes none of {', '.join(failing)}", "pip install 'emotion[video]'")
        return
    yield Finding("codecs", "note" if failing else "ok", f"OpenCV writes {', '.join(written) or 'none'}"
                  + (f", not {', '.join(failing)}" if failing else ""))  # fmt: skip
    if h264:
        yield Finding("H.264", "ok", f"PyAV {_version('av')} writes .mp4 with sound")
    else:
        yield Finding("H.264", "note", "a saved .mp4 has no sound and does not play in browsers and on phones",
                      "pip install 'emotion[video]'")  # fmt: skip


def _writes(path: Path, codec: str) -> bool:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10.0, (_SIDE, _SIDE))
    if not writer.isOpened():
        return False
    for number in range(_FRAMES):
        writer.write(np.full((_SIDE, _SIDE, 3), 20 * number, np.uint8))
    writer.release()
    reader = cv2.VideoCapture(str(path))
    count = 0
    while reader.read()[0]:
        count += 1
    reader.release()
    return count == _FRAMES


def display() -> Iterator[Finding]:
    """Whether a window can be opened, by opening one."""
    gui = window_probe.gui(cv2.getBuildInformation())
    with window_probe.probe() as reason:
        if reason is None:
            yield Finding("display", "ok", f"a window opens ({gui})")
        else:
            yield Finding("display", "note", f"no window: {reason}", "Live shows its frames with display=browser")


def cameras() -> Iterator[Finding]:
    """The cameras that give a frame."""
    answering = []
    for number in capture.cameras():
        with quiet():
            began, camera = time.perf_counter(), capture.try_camera(number)
            frame = camera.read()[1] if camera is not None else None
            if camera is not None:
                camera.release()
        if frame is None:
            yield Finding("camera", "note", f"camera {number} opens and gives no frame", "Does another program use it?")
        else:
            height, width = frame.shape[:2]
            seconds = time.perf_counter() - began
            answering.append(number)
            yield Finding("camera", "ok", f"source={number}: {width}x{height}, first frame after {seconds:.1f} s")
    if answering:
        return
    devices = sorted(Path("/dev").glob("video*")) if sys.platform == "linux" else []
    advice = "Join their group: sudo usermod -aG video $USER, and log in again" if devices else ""
    there = f", though there are {', '.join(map(str, devices))}" if devices else ""
    yield Finding("camera", "note", f"none answers{there}", advice or "Films, images and streams need none")
