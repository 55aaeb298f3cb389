from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.faces.images import Box
from emotion.faces.labelled import Face
from emotion.faces.labels import EMOTIONS
from emotion.live.face_log import CsvLog, JsonLinesLog, log_sink
from emotion.video.frame import Frame, Stream, Unreadable

SMOOTHED = (0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1)
RAW = (0.0, 0.05, 0.05, 0.5, 0.2, 0.1, 0.1)
FACE = Face(Box(3, 4, 20, 21), "happy", 0.4, SMOOTHED, RAW, 7)
IMAGE = np.zeros((8, 8, 3), np.uint8)


def _write(path: Path, counts: list[int], name: str | None = None) -> None:
    with log_sink(path, EMOTIONS) as sink:
        for i, count in enumerate(counts):
            assert sink.write(Frame(i, i / 8, IMAGE, name), [FACE] * count, IMAGE)


def test_json_lines_hold_one_object_a_face_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "faces.jsonl"
    _write(path, [1, 0, 2])
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [r["frame"] for r in records] == [0, 2, 2]
    assert records[1] == {
        "frame": 2,
        "time": 0.25,
        "track": 7,
        "box": [3, 4, 20, 21],
        "label": "happy",
        "confidence": 0.4,
        "top": "happy",
        "probabilities": dict(zip(EMOTIONS, SMOOTHED, strict=True)),
        "raw": dict(zip(EMOTIONS, RAW, strict=True)),
    }


def test_a_table_holds_the_same(tmp_path: Path) -> None:
    path = tmp_path / "faces.csv"
    _write(path, [1, 0, 2])
    columns = ["frame", "time", "track", "x", "y", "width", "height", "label", "confidence", "top"]
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [*columns, *EMOTIONS, *(f"raw_{e}" for e in EMOTIONS)]
    assert [row[0] for row in rows] == ["0", "2", "2"]
    assert rows[1][:10] == ["2", "0.25", "7", "3", "4", "20", "21", "happy", "0.4", "happy"]
    assert [float(v) for v in rows[1][10:]] == [*SMOOTHED, *RAW]
    assert path.read_bytes().count(b"\r\n") == 4  # RFC 4180


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_each_picture_has_a_row_with_and_without_faces_readable_or_not(tmp_path: Path, ending: str) -> None:
    path, skipped = tmp_path / f"faces.{ending}", [Unreadable(0, "a.png", "damaged")]
    stream = Stream("photos", "pictures", 1.0, iter(()), 4, unreadable=skipped)
    with log_sink(path, EMOTIONS, stream) as sink:
        skipped.append(Unreadable(3, "d.png", "empty"))  # the reader is ahead
        other = replace(FACE, label="uncertain", raw=tuple(reversed(RAW)))
        sink.write(Frame(1, 1.0, IMAGE, "b.png"), [FACE, other], IMAGE)
        sink.write(Frame(2, 2.0, IMAGE, "c.png"), [], IMAGE)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file)) if ending == "csv" else [json.loads(line) for line in file]
    assert [row["name"] for row in rows] == ["a.png", "b.png", "b.png", "c.png", "d.png"]
    assert [row["note"] or "" for row in rows] == [
        "cannot be read: damaged",
        "",
        "",
        "no face",
        "cannot be read: empty",
    ]
    assert [row["label"] or "" for row in rows] == ["", "happy", "uncertain", "", ""]
    assert [row["top"] or "" for row in rows] == ["", "happy", EMOTIONS[3], "", ""]


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_pictures_are_named_and_have_no_track(tmp_path: Path, ending: str) -> None:
    path, name = tmp_path / f"faces.{ending}", 'sub/a "quoted", ünïcode\nname.png'
    with log_sink(path, EMOTIONS) as sink:
        sink.write(Frame(0, 0.0, IMAGE, name), [Face(FACE.box, "happy", 0.4, SMOOTHED)], IMAGE)
    if ending == "jsonl":
        record = json.loads(path.read_text())
        assert list(record)[:4] == ["frame", "time", "name", "track"]
        assert (record["name"], record["track"], record["raw"]) == (name, None, record["probabilities"])
    else:
        with path.open(newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        assert (row["name"], row["track"], row["raw_happy"]) == (name, "", row["happy"])


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_file_name_that_is_not_utf8_is_no_obstacle(tmp_path: Path, ending: str) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    _write(tmp_path / f"faces.{ending}", [1], name)
    data = (tmp_path / f"faces.{ending}").read_bytes()
    assert (json.loads(data)["name"] == name) if ending == "jsonl" else (b"caf\xe9.png" in data)


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_reader_finds_every_frame_at_once_and_whole_lines_only(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"faces.{ending}"
    with log_sink(path, EMOTIONS) as sink:
        for i in range(3):
            sink.write(Frame(i, i / 8, IMAGE), [FACE, FACE], IMAGE)
            text = path.read_text()
            assert text.endswith("\n")
            assert len(text.splitlines()) == 2 * (i + 1) + (ending == "csv")


def test_no_faces_and_no_frames(tmp_path: Path) -> None:
    for counts in ([], [0, 0]):
        _write(tmp_path / "faces.jsonl", counts)
        _write(tmp_path / "faces.csv", counts)
        assert (tmp_path / "faces.jsonl").read_text() == ""
        assert (tmp_path / "faces.csv").read_text().startswith("frame,time,track,")
        assert len((tmp_path / "faces.csv").read_text().splitlines()) == 1


faces = st.builds(
    Face,
    st.builds(Box, st.integers(-9, 9999), st.integers(-9, 9999), st.integers(0, 9999), st.integers(0, 9999)),
    st.sampled_from([*EMOTIONS, "uncertain"]),
    st.floats(0, 1),
    st.tuples(*[st.floats(0, 1)] * 7),
    st.tuples(*[st.floats(0, 1)] * 7),
    st.integers(1, 10**9),
)


@given(st.lists(st.lists(faces, max_size=3), max_size=4))
def test_both_kinds_say_the_same(tmp_path_factory: pytest.TempPathFactory, scene: list[list[Face]]) -> None:
    folder = tmp_path_factory.mktemp("logs")
    for ending in ("jsonl", "csv"):
        with log_sink(folder / f"faces.{ending}", EMOTIONS) as sink:
            for i, found in enumerate(scene):
                sink.write(Frame(i, i / 7, IMAGE), found, IMAGE)
    records = [json.loads(line) for line in (folder / "faces.jsonl").read_text().splitlines()]
    with (folder / "faces.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(records) == sum(map(len, scene))
    for row, record in zip(rows, records, strict=True):
        assert [int(row[k]) for k in ("frame", "track", "x", "y", "width", "height")] == [
            record["frame"],
            record["track"],
            *record["box"],
        ]
        assert row["label"] == record["label"]
        assert float(row["time"]) == record["time"]
        assert float(row["confidence"]) == record["confidence"]
        assert {e: float(row[e]) for e in EMOTIONS} == record["probabilities"]
        assert {e: float(row[f"raw_{e}"]) for e in EMOTIONS} == record["raw"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/faces.jsonl", "no such folder.*mkdir -p"),
        ("folder.csv", "is a folder"),
        ("faces.txt", r"must end in \.jsonl or \.csv"),
        ("faces.json", r"must end in \.jsonl or \.csv"),
        ("faces", r"must end in \.jsonl or \.csv"),
    ],
)
def test_a_log_that_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=f"log: .*{message}"):
        log_sink(tmp_path / name, EMOTIONS)


@pytest.mark.parametrize("kind", [JsonLinesLog, CsvLog])
def test_a_log_on_a_full_disk_is_an_error_not_a_traceback(
    kind: type[JsonLinesLog] | type[CsvLog], tmp_path: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    log = kind(tmp_path / "x", EMOTIONS)
    log.path = Path("/dev/full")  # which is refused as a name
    with pytest.raises(UserError, match="No space left"), log as sink:
        sink.write(Frame(0, 0.0, IMAGE), [FACE], IMAGE)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["jsonl", "csv"])
@pytest.mark.parametrize("end", ["full", "killed"])
def test_what_a_full_disk_or_a_kill_leaves_is_whole(tmp_path: Path, ending: str, end: str) -> None:
    code = (
        "import os, resource, signal, sys; import numpy as np\n"
        "from emotion.base.errors import UserError; from emotion.faces.images import Box\n"
        "from emotion.faces.labelled import Face; from emotion.video.frame import Frame\n"
        "from emotion.live.face_log import log_sink\n"
        "if sys.argv[2] == 'full': resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "image = np.zeros((8, 8, 3), np.uint8); face = Face(Box(1, 2, 3, 4), 'happy', 0.5, (0.5, 0.5))\n"
        "try:\n"
        "    with log_sink(sys.argv[1], ('happy', 'sad')) as sink:\n"
        "        for i in range(1000):\n"
        "            sink.write(Frame(i, i / 25, image), [face], image)\n"
        "            if i == 99 and sys.argv[2] == 'killed': os.kill(os.getpid(), signal.SIGKILL)\n"
        "except UserError as error: print(error)\n"
    )
    path = tmp_path / f"faces.{ending}"
    done = subprocess.run([sys.executable, "-c", code, str(path), end], capture_output=True, text=True)
    if end == "full":
        assert f"log: cannot write '{path}'" in done.stdout, done.stderr
    else:
        assert done.returncode == -signal.SIGKILL
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines[-1].endswith(b"\n")
    numbers = (
        [json.loads(line)["frame"] for line in lines]
        if ending == "jsonl"
        else [int(line.split(b",")[0]) for line in lines[1:]]
    )
    assert numbers == list(range(len(numbers)))
    assert len(numbers) == 100 if end == "killed" else len(numbers) > 20
