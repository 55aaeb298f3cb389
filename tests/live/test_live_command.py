"""What the command makes of each kind of source, and what it stores when asked."""

from __future__ import annotations

import csv
import itertools
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion.data import synthetic
from emotion.faces import images
from emotion.faces.images import Box, Image, overlap
from emotion.live import label_frames
from emotion.video.source import frames
from tests.helpers.live_command import Commands, commands, records
from tests.helpers.pictures import read_picture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def start(models, outputs: Path, tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path, outputs, forked=True) as starting:
        yield starting


def _crowd(columns: int, rows: int, side: int = 160) -> Image:
    """Many drawn people in one picture."""
    tiles = [synthetic.frame(10 + i, i % 7, (side, side), noise=0.2)[0] for i in range(columns * rows)]
    return np.vstack([np.hstack(tiles[row * columns : (row + 1) * columns]) for row in range(rows)])


# ------------------------------------------------------------------------------------------------------------ videos


@pytest.mark.parametrize(("run", "ending"), [("gray", "mp4"), ("rgb", "avi")])
def test_drawn_video(start: Commands, drawn, tmp_path: Path, run: str, ending: str) -> None:
    clip, truth = drawn
    save, log, timeline = tmp_path / f"labelled.{ending}", tmp_path / "faces.jsonl", tmp_path / "timeline.png"
    asked = f"save={save}", f"log={log}", f"timeline={timeline}", "min_confidence=0"
    out, err = start(f"run={run}", f"source={clip}", *asked).finish()
    found = records(log)
    assert len({r["frame"] for r in found}) > 0.9 * len(truth)
    hits = [
        any(overlap(Box(*r["box"]), shown.box) > 0.4 for r in found if r["frame"] == i)
        for i, moment in enumerate(truth)
        for shown in moment.faces
    ]
    assert np.mean(hits) > 0.8
    assert Counter(r["track"] for r in found).most_common(2)[1][1] > 0.8 * len(truth)
    for record in found:
        x, y, width, height = record["box"]
        assert x >= 0
        assert y >= 0
        assert x + width <= 640
        assert y + height <= 360
        for kind in ("probabilities", "raw"):
            assert sum(record[kind].values()) == pytest.approx(1, abs=1e-4)
        assert record["probabilities"][record["label"]] == record["confidence"]
        assert record["time"] == pytest.approx(truth[record["frame"]].time, abs=1e-3)
    labelled, plain = list(frames(save)), list(frames(clip))
    assert len(labelled) == len(plain) == len(truth)
    assert [f.time for f in labelled] == pytest.approx([f.time for f in plain], abs=0.01)
    assert labelled[0].image.shape == plain[0].image.shape
    x, y, width, _ = next(r["box"] for r in found if r["frame"] == 0)
    side = np.s_[y : y + 30, max(0, x - 3) : x + 4]
    assert np.abs(labelled[0].image[side].astype(int) - plain[0].image[side]).mean() > 15
    corner = np.s_[4:20, 4:60]
    changed = [
        np.abs(a.image[corner].astype(int) - b.image[corner]).mean() for a, b in zip(labelled, plain, strict=True)
    ]
    assert np.median(changed) < 8, "no rate of the machine's is burned into a film"
    assert read_picture(timeline).min() < 200
    count = len(truth)
    assert f"frames: {count} read, {count} processed, 0 dropped" in out
    assert f"faces:  {len(found)}, in {len({r['track'] for r in found})} track" in out
    for words in ("detect", "p50", "p95", "share", "%", str(save), str(log), str(timeline)):
        assert words in out
    assert err.splitlines()[0].startswith("display: no window, as there is no display")


def test_real_video(start: Commands, shared: Path, tmp_path: Path) -> None:
    clip = shared / "media" / "single_face.mp4"
    if not clip.is_file():
        pytest.skip("no single_face.mp4 in ../shared/media")
    save, log = tmp_path / "labelled.mp4", tmp_path / "faces.jsonl"
    start("run=gray", f"source={clip}", f"save={save}", f"log={log}").finish()
    found = records(log)
    plain, labelled = list(frames(clip)), list(frames(save))
    assert len(labelled) == len(plain)
    assert labelled[0].image.shape == plain[0].image.shape
    assert len({r["frame"] for r in found}) > 0.95 * len(plain)
    assert all(r["box"][2] > 100 for r in found)


def test_exact_search_is_the_whole_frame_search_in_every_frame(start: Commands, drawn, tmp_path: Path) -> None:
    log = tmp_path / "faces.jsonl"
    exact = "detector.mode=exact", "detector.scale_factor=1.2", "detector.min_neighbors=4", "detector.min_size=0.15"
    start("run=gray", f"source={drawn[0]}", f"log={log}", *exact).finish()
    cascade = images.load_cascade()
    expected = []
    for frame in frames(drawn[0]):
        gray = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY), np.uint8)
        boxes = images.detect(cascade, gray, scale_factor=1.2, min_neighbors=4, min_size=0.15)
        expected += [(frame.index, [b.x, b.y, b.width, b.height]) for b in boxes]
    assert [(r["frame"], r["box"]) for r in records(log)] == expected


def test_every_third_frame_is_saved_at_a_third_of_the_rate(start: Commands, drawn, tmp_path: Path) -> None:
    save, log = tmp_path / "labelled.mp4", tmp_path / "faces.jsonl"
    out, _ = start("run=gray", f"source={drawn[0]}", "stride=3", f"save={save}", f"log={log}").finish()
    found = {r["frame"]: r["time"] for r in records(log)}
    assert set(found) <= set(range(0, 24, 3))
    assert len(found) > 6
    assert all(time == pytest.approx(frame / 12, abs=1e-3) for frame, time in found.items())
    assert "frames: 8 read, 8 processed" in out
    assert [f.time for f in frames(save)] == pytest.approx([i / 4 for i in range(8)], abs=0.01)


def test_a_video_that_starts_again_goes_on_in_time(start: Commands, drawn, tmp_path: Path) -> None:
    log = tmp_path / "faces.csv"
    out, _ = start("run=gray", f"source={drawn[0]}", "loop=true", "max_frames=60", f"log={log}").finish()
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert "frames: 60 read, 60 processed" in out
    assert max(int(r["frame"]) for r in rows) == 59
    times = [float(r["time"]) for r in rows]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(59 / 12, abs=0.05)


@pytest.mark.nightly
def test_keras_gives_what_litert_gives(start: Commands, drawn, tmp_path: Path) -> None:
    logs = [tmp_path / f"{engine}.jsonl" for engine in ("litert", "keras")]
    running = [
        start("run=gray", f"source={drawn[0]}", "max_frames=3", f"engine={log.stem}", f"log={log}") for log in logs
    ]
    for live in running:
        live.finish()
    litert, keras = (records(log) for log in logs)
    assert len(litert) == len(keras) > 3
    for a, b in zip(litert, keras, strict=True):
        assert a["box"] == b["box"]
        assert list(a["raw"].values()) == pytest.approx(list(b["raw"].values()), abs=1e-3)


def test_label_frames_gives_what_the_command_logs(start: Commands, drawn, outputs: Path, tmp_path: Path) -> None:
    log = tmp_path / "faces.jsonl"
    start("run=gray", f"source={drawn[0]}", f"log={log}", "max_frames=5").finish()
    generator = label_frames("gray", drawn[0], outputs=outputs, max_frames=5)
    expected = [(frame.index, face) for frame, found in generator for face in found]
    found = records(log)
    assert [r["frame"] for r in found] == [index for index, _ in expected]
    for record, (_, face) in zip(found, expected, strict=True):
        assert record["box"] == [face.box.x, face.box.y, face.box.width, face.box.height]
        assert (record["track"], record["label"]) == (face.track, face.label)
        for kind in ("probabilities", "raw"):
            assert list(record[kind].values()) == pytest.approx(getattr(face, kind), abs=1e-4)


def test_tensorflow_is_not_imported(start: Commands, drawn) -> None:
    code = (
        "import sys\n"
        "from emotion.config import cli\n"
        "from emotion.live.__main__ import run\n"
        "from emotion.live import label_frames\n"
        "cfg = cli.request('live').cfg\n"
        "assert run(cfg)['processed'] == 2\n"
        "assert len(list(label_frames('rgb', cfg.source, outputs=cfg.outputs, max_frames=2))) == 2\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'matplotlib'} & {n.split('.')[0] for n in sys.modules}\n"
        "assert not heavy, heavy\n"
    )
    start("run=gray", f"source={drawn[0]}", "max_frames=2", code=code).finish()


@pytest.mark.parametrize("name", ["gra", "latest"])
def test_runs_are_found_by_prefix_and_latest(start: Commands, drawn, name: str) -> None:
    out, _ = start(f"run={name}", f"source={drawn[0]}", "max_frames=1").finish()
    assert out.startswith("run rgb on " if name == "latest" else "run gray on ")


@pytest.mark.parametrize("name", ["a b=é,c.mp4", "it's [1] {2} (3)#\".mp4", "12:30.mp4", os.fsdecode(b"\xff.mp4")])
def test_names_of_files_are_taken_as_they_are(start: Commands, drawn, tmp_path: Path, name: str) -> None:
    source, save = tmp_path / name, tmp_path / f"labelled {name}"
    try:
        shutil.copy(drawn[0], source)
    except OSError as error:
        pytest.skip(f"this file system takes no such name: {error}")
    out, _ = start("run=gray", f"source={source}", f"save={save}", "max_frames=2", PYTHONIOENCODING="ascii").finish()
    assert f"run gray on {tmp_path}" in out
    assert save.stat().st_size > 1000


# ---------------------------------------------------------------------------------------------------------- pictures


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(4):
        cv2.imwrite(str(folder / f"face{number}.png"), synthetic.frame(number, number, (320, 240), noise=0.3)[0])
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.mark.parametrize("spelling", ["{}", "{}/face*.png"])
def test_a_folder_or_glob_of_pictures(start: Commands, photos: Path, tmp_path: Path, spelling: str) -> None:
    save, log = tmp_path / "labelled", tmp_path / "faces.csv"
    before = {p: p.read_bytes() for p in photos.iterdir()}
    out, _ = start("run=gray", f"source={spelling.format(photos)}", f"save={save}", f"log={log}").finish()
    assert "frames: 4 read, 4 processed" in out
    names = [f"face{n}.png" for n in range(4)]
    assert sorted(p.name for p in save.iterdir()) == names
    assert all(read_picture(save / n).shape == (240, 320, 3) for n in names)
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(bool(r["x"]) != (r["note"] == "no face") for r in rows)
    assert set(names) == {r["name"] for r in rows}, "each image has a row"
    assert "images: " in out
    assert {r["track"] for r in rows} == {""}
    assert {p: p.read_bytes() for p in photos.iterdir()} == before


def test_one_picture(start: Commands, tmp_path: Path) -> None:
    image, box = synthetic.frame(1, 3, noise=0.3)
    picture, save, log = tmp_path / "face.png", tmp_path / "labelled.jpg", tmp_path / "faces.jsonl"
    cv2.imwrite(str(picture), image)
    asked = f"save={save}", f"log={log}", "min_confidence=1"
    out, _ = start("run=rgb", f"source={picture}", *asked).finish()
    assert "every label is 'uncertain': no confidence reached min_confidence=1, the highest was 0." in out
    found = records(log)
    assert all(r["label"] == "uncertain" and r["top"] == max(r["raw"], key=r["raw"].get) for r in found)
    assert max(overlap(Box(*r["box"]), box) for r in found) > 0.4
    assert all(r["track"] is None and r["raw"] == r["probabilities"] for r in found)
    assert read_picture(save).shape == image.shape


def test_no_face(start: Commands, tmp_path: Path) -> None:
    clip, save = tmp_path / "grey.avi", tmp_path / "labelled.mp4"
    log, timeline = tmp_path / "faces.csv", tmp_path / "timeline.png"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 12, (160, 120))
    for _ in range(5):
        writer.write(np.full((120, 160, 3), 127, np.uint8))
    writer.release()
    asked = f"save={save}", f"log={log}", f"timeline={timeline}"
    out, _ = start("run=gray", f"source={clip}", *asked).finish()
    assert "5 processed" in out
    assert "faces:  0" in out
    assert len(list(frames(save))) == 5
    assert log.read_text().startswith("frame,time,track,")
    assert log.read_text().count("\n") == 1
    assert read_picture(timeline) is not None


def test_fifty_faces(start: Commands, tmp_path: Path) -> None:
    crowd = _crowd(10, 6)
    clip, save, log = tmp_path / "crowd.avi", tmp_path / "labelled.mp4", tmp_path / "faces.jsonl"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 12, (crowd.shape[1], crowd.shape[0]))
    for shift in range(3):
        writer.write(np.roll(crowd, 2 * shift, axis=1))
    writer.release()
    small = "detector.min_size=0.03", "detector.working_size=1600"
    out, _ = start("run=gray", f"source={clip}", f"save={save}", f"log={log}", *small).finish()
    found = records(log)
    by_frame = Counter(r["frame"] for r in found)
    assert sorted(by_frame) == list(range(3))
    assert min(by_frame.values()) >= 50
    for _, group in itertools.groupby(found, lambda r: r["frame"]):
        tracks = [r["track"] for r in group]
        assert len(set(tracks)) == len(tracks)
    assert max(r["track"] for r in found) < 70  # they keep their tracks
    assert len(list(frames(save))) == 3
    assert "3 processed" in out


@pytest.mark.parametrize("corner", ["top left", "bottom right"])
def test_a_face_at_the_border(start: Commands, tmp_path: Path, corner: str) -> None:
    image, box = synthetic.frame(1, 3, noise=0.3)
    right, bottom = box.x + box.width, box.y + box.height
    cut = image[box.y :, box.x :] if corner == "top left" else image[:bottom, :right]
    picture, save, log = tmp_path / "face.png", tmp_path / "labelled.png", tmp_path / "faces.jsonl"
    cv2.imwrite(str(picture), cut)
    start("run=gray", f"source={picture}", f"save={save}", f"log={log}", "blur=true").finish()
    at = images.Box(0, 0, box.width, box.height) if corner == "top left" else box
    assert max(overlap(Box(*r["box"]), at) for r in records(log)) > 0.6
    assert read_picture(save).shape == cut.shape
