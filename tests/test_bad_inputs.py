"""Damaged runs, datasets, films and places, in a table: each is answered in few lines, and nothing else is changed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest

from emotion import runs
from emotion.base import words
from emotion.data import synthetic
from emotion.faces.labels import EMOTIONS
from tests.conftest import emotion
from tests.helpers.damage import (
    Damage,
    archive,
    cut,
    directory,
    fifo,
    link,
    noise,
    png,
    put,
    steps,
)  # fmt: skip
from tests.helpers.damaged_runs import DEEP, LINES, damages
from tests.helpers.once import made_once
from tests.helpers.trainings import tree


@dataclass(frozen=True)
class Case:
    """A command with what is damaged before, and what its message says. ``codes`` with 0: it may go on with a word."""

    line: str
    damage: Damage
    says: str
    codes: tuple[int, ...] = (2,)


_RUN = "outputs/base/"
_HEAD, _GRAY = "emotion,pixels,Usage\n", " ".join(["99"] * 2304)
_TINY = "model.stages=[8] model.input_size=16 trainer.epochs=1 trainer.bootstrap=0"
_TRAIN = f"train dataset=folder dataset.root=faces dataset.faces=whole {_TINY}"
_CSV = f"train dataset=fer2013 dataset.root=fer.csv {_TINY}"


def _of_data() -> Iterator[Case]:
    for damage, says in (
        (directory("faces"), "faces"), (put("faces", "x"), "faces"), (link("faces", "faces"), "faces"),
        (fifo("faces"), "faces"), (put("faces/happy/z.png", b"\x89PNG"), r"z\.png"),
        (put("faces/happy/z.jpg"), r"z\.jpg"),
        (put("faces/happy/z.gif", b"GIF89a"), r"z\.gif"), (png("faces/happy/z.png", 70_000, 70_000), r"z\.png"),
        (png("faces/happy/z.png", 0, 5), r"z\.png"), (link("faces/sad/z.png", "nowhere/z"), r"z\.png"),
        (directory("faces/sleepy"), "sleepy"), (directory("faces/<b>x"), "<b>x"), (directory("faces/\x1b[2J"), "x1b"),
        (archive("faces/sad/z.jpeg", a="b" * 900), r"z\.jpeg"), (noise("faces/sad/z.bmp", 800), r"z\.bmp"),
        (put("faces/manifest.jsonl", "[]\n"), "manifest|batch_size"),  # another program's, which is left alone
        (put("faces/manifest.jsonl", '{"key": 1}\n'), "manifest|batch_size"),
        (put("faces/manifest.jsonl", '{"key":"k","decision":"kept","file":"/tmp/x","emotion":"sad"}\n'), "manifest"),
    ):  # fmt: skip
        yield Case(_TRAIN, damage, says)
        yield Case("audit dataset.root=faces", damage, says, (0, 1, 2))
        yield Case("collect root=faces source=folder path=more", damage, "", (0, 2))
    for content, says in (
        (b"", r"fer\.csv"), (_HEAD.encode(), r"fer\.csv"), (f"{_HEAD}0,{_GRAY} 1,Training\n".encode(), "line 2"),
        (f"{_HEAD}0,{_GRAY[:-2]}-9,Training\n".encode(), "line 2"),
        (f"{_HEAD}-1,{_GRAY},Training\n".encode(), "line 2"),
        (f"{_HEAD}0,{_GRAY[:-2]}1e1,Training\n".encode(), "line 2"), (f"{_HEAD}0,,Training\n".encode(), "line 2"),
        (f"{_HEAD}0,{_GRAY},training2\n".encode(), "line 2"), (f"{_HEAD}0,{_GRAY},Training,x,y\n".encode(), "line 2"),
        (f"{_HEAD}{'9' * 400},{_GRAY},Training\n".encode(), "line 2"),
        (f"{_HEAD}0,{_GRAY}".encode() + b"\xff\0\n", "line 2"),
        (b"pixels,pixels,pixels\n", "emotion"), (b"\x89PNG\r\n\x1a\n" + bytes(500), r"fer\.csv"),
        (b"PK\x03\x04" + bytes(90), r"fer\.csv"),
        (b"%PDF-1.7\n" * 90, r"fer\.csv"), (b"<?xml version='1.0'?><html>", r"fer\.csv"),
        (b"\xff\xfe" + _HEAD.encode("utf-16-le"), r"fer\.csv"),
    ):  # fmt: skip
        yield Case(_CSV, put("fer.csv", content), says)
    for damage in (fifo("fer.csv"), link("fer.csv", "/dev/urandom"), link("fer.csv", "fer.csv")):
        yield Case(_CSV, damage, r"fer\.csv|dataset\.root")
    rows: list[Any] = [
        [1],
        {"file": "sad/0.png"},
        *(
            {"file": file, "shown": "kept", "decision": "rejected"}
            for file in ("sad\0", "/etc/passwd", ["sad/0.png"], "sad/../x")
        ),
    ]
    decided: list[Any] = [{"decisions": [row]} for row in rows]
    decided += [{"emotion": None}, {"emotion": "glad"}, {"saved": {}}, {"decisions": 7}]
    whole = {"emotion": "sad", "saved": "1", "decisions": []}
    for given in ("[", "null", DEEP, *(json.dumps(whole | other) for other in decided)):
        yield Case("collect root=faces apply=d.json", put("d.json", given), "apply")


def _of_films() -> Iterator[Case]:
    for name, damage in (
        ("v.mkv", put("v.mkv")), ("v.mp4", put("v.mp4", "GIF89a")), ("v.avi", noise("v.avi", 70_000)),
        ("v.mov", cut("clip.mp4", 0.3)), ("v.mp4", put("v.mp4", "#EXTM3U\n#EXTINF:1,\n/etc/hostname\n")),
        ("v.m3u8", put("v.m3u8", "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/y.ts\n")), ("v.jpg",
        put("v.jpg", b"\xff\xd8\xff")),
        ("v.png", png("v.png", 65_000, 65_000)), ("v.txt", put("v.txt", "hello")), ("v", directory("v")),
        ("v/*.png", put("v/a.png", "x")), ("v.webm", put("v.webm", b"\x1aE\xdf\xa3" + bytes(90))), ("v.mp4",
        fifo("v.mp4")),
        ("v.mp4", link("v.mp4", "v.mp4")), ("v.mp4", link("v.mp4", "/dev/zero")), ("v.npz", archive("v.npz", a="b")),
    ):  # fmt: skip
        ready = steps(put("old.jsonl", '{"frame": 0}\n'), damage)
        source = "clip.mp4" if name == "v.mov" else name
        yield Case(f"live run=base display=none log=old.jsonl source={source}", ready, re.escape(Path(source).parts[0]))
    live = "live run=base display=none source=clip.avi"
    for argument, damage, says in (
        ("log=l.jsonl", directory("l.jsonl"), "log"), ("log=l.jsonl", link("l.jsonl", "/dev/full"), "log"),
        ("log=l.csv", fifo("l.csv"), "log"), ("log=l.csv", link("l.csv", "l.csv"), "log"), ("log=no/l.csv",
        put("x"), "log"),
        ("save=s.mp4", directory("s.mp4"), "save"), ("save=s.mp4", fifo("s.mp4"), "save"), ("save=s.avi",
        link("s.avi", "/dev/full"), "save"),
        ("save=s.avi", link("s.avi", "clip.avi"), "save"), ("save=no/s.avi", put("x"), "save"), ("save=s.doc",
        put("x"), "save"),
        ("timeline=t.png", fifo("t.png"), "timeline"), ("timeline=t.png", link("t.png", "t.png"), "timeline"),
        (f"log={'n' * 290}.csv", put("x"), "log"), (f"save={'n' * 290}.mp4", put("x"), "save"),
        ("log=/proc/1/l.csv", put("x"), "log"),
    ):  # fmt: skip
        yield Case(f"{live} {argument}", damage, says)
    for line in (
        "compare runs=base folder=taken",
        "export run=base folder=taken",
        "publish run=base folder=taken",
        "audit dataset.root=faces folder=taken",
    ):
        for damage in (
            put("taken", "x"),
            link("taken", "taken"),
            fifo("taken"),
            link("taken", "/dev/full"),
        ):
            yield Case(line, damage, "taken|folder")
        yield Case(line, put("taken/letter.txt", "x"), "taken|folder", (0, 2))  # whose own file stays
    for line in (
        "train outputs={} trainer.epochs=1",
        "tune outputs={} tuner.max_trials=1",
        "collect root={} source=folder path=faces",
    ):
        for place in ("clip.avi", "clip.avi/x", "/dev/null/y", "/proc/y", "loop", "loop/y", "m" * 280):
            yield Case(line.format(place), link("loop", "loop"), "outputs|root|hydra")


def _of_exports() -> Iterator[Case]:
    told = "outputs/base/exports/mine/report.json"
    whole: dict[str, Any] = {"status": "done", "run": "base", "format": "litert", "sha256": "z"}
    whole |= {"checkpoint": {"path": "p", "sha256": "y"}}
    others: list[dict[str, Any]] = [
        {"checkpoint": []}, {"run": {}}, {"format": "../x"}, {"sha256": 1}, {"status": []}, {"format": "onnx"},
        {"checkpoint": {"path": "\0", "sha256": "y"}}, {"checkpoint": {"path": 5, "sha256": "y"}},
    ]  # fmt: skip
    for damage in (
        put(told, "0"), put(told, DEEP), noise(told, 500), fifo(told), put(told, json.dumps(whole)),
        put(told, '{"status": "done", "format": "tf"}'), *(put(told, json.dumps(whole | other)) for other in others),
    ):  # fmt: skip
        for command in ("live", "evaluate"):
            line = LINES[command].replace("run=base", "run=base/exports/mine")
            yield Case(line, damage, "report|model|mine")


def _inside(damage: Damage) -> Damage:
    return lambda place: damage(place / _RUN)


CASES = [
    *(
        Case(LINES[command], _inside(damage), says)
        for commands, damage, says in damages()
        for command in commands.split()
    ),
    *_of_data(),
    *_of_films(),
    *_of_exports(),
]


@pytest.fixture(scope="module")
def place(common: Path, trained: runs.Run) -> Path:
    """A working directory with a whole run, faces and films."""
    with made_once(common / "bad-inputs") as folder:
        if folder:
            shutil.copytree(trained.path, folder / _RUN)
            for label, name in enumerate(EMOTIONS):
                for root in ("faces", "more"):
                    (folder / root / name).mkdir(parents=True)
                for person in range(3):
                    image = synthetic.frame(100 + 10 * label + person, label, (120, 120))[0]
                    cv2.imwrite(str(folder / "faces" / name / f"{person}.png"), image)
            for ending, codec in ((".avi", "MJPG"), (".mp4", "mp4v")):
                writer = cv2.VideoWriter(str(folder / f"clip{ending}"), cv2.VideoWriter.fourcc(*codec), 10, (320, 240))
                for number in range(10):
                    writer.write(synthetic.frame(3, number % 7, (320, 240))[0])
                writer.release()
    return common / "bad-inputs"


def _theirs(here: Path) -> dict[str, str]:
    """What no command may change: all but locks, logs and new runs, which say that they failed."""
    new = re.compile(r"outputs/2\d{7}-|.*(\.lock|train\.log)$")
    return {name: digest for name, digest in tree(here).items() if not new.match(name)}


@pytest.mark.nightly(nights=6)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_bad_input_is_answered_and_nothing_else_is_changed(number: int, place: Path, tmp_path: Path) -> None:
    case = CASES[number]
    here, temporary = tmp_path / "here", tmp_path / "tmp"
    shutil.copytree(place, here)
    temporary.mkdir()
    case.damage(here)
    before = _theirs(here)
    command, *arguments = case.line.split()
    done = emotion(command, *arguments, cwd=here, check=False, env=os.environ | {"TMPDIR": str(temporary)})
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert done.returncode in case.codes, said
    assert words.printable(said) == said
    assert max(map(len, said.splitlines()), default=0) <= 410
    assert not list(temporary.iterdir())
    assert not [path for path in here.rglob("*") if path.name.startswith((".new-", "PWNED"))]
    if done.returncode:
        assert re.search(case.says, said, re.S), said[-2000:]
        assert _theirs(here) == before
