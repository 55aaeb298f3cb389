"""Commands that are killed at random moments, again and again: nothing is lost but the unit in flight.

``EMOTION_KILLS`` sets the number of kills of all commands together, ``EMOTION_KILL_SEED`` their moments. Searches are
killed in ``tests/tune/test_tune.py``.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import psutil
import pytest

from emotion import runs
from emotion.base import files, guarded
from emotion.base.errors import UserError
from emotion.data import synthetic
from emotion.faces.labels import EMOTIONS
from emotion.runs.history import read_history
from tests.conftest import TINY
from tests.helpers.commands import interpreter
from tests.helpers.once import made_once
from tests.helpers.trainings import tree

KILLS = int(os.environ.get("EMOTION_KILLS", "18"))
SEED = int(os.environ.get("EMOTION_KILL_SEED", datetime.date.today().toordinal()))

pytestmark = [pytest.mark.nightly(nights=1), pytest.mark.timeout(3600)]

Units = dict[str, Any]
_SAME = (*TINY, "trainer.deterministic=true")


@dataclass(frozen=True)
class Victim:
    """A command, and what it has finished.

    Attributes:
        line: Its module and arguments, by what an earlier process has left in the folder.
        units: By name, what a process that is killed must not take with it.
        once: Whether it goes on where it was, so that a whole run is followed by a new folder.
        real: Whether it starts processes, which are killed as well.
    """

    line: Callable[[Path], list[str]]
    units: Callable[[Path], Units]
    once: bool = False
    real: bool = False


def _train(folder: Path) -> list[str]:
    if (folder / "outputs/run/checkpoints/state.npz").exists():
        return ["train", "resume=outputs/run"]
    shutil.rmtree(folder / "outputs/run", ignore_errors=True)  # no epoch was completed, there is nothing to resume
    return ["train", *_SAME, "trainer.epochs=20", "hydra.run.dir=outputs/run"]


def _epochs(folder: Path) -> Units:
    run = folder / "outputs/run"
    with suppress(UserError):
        state = guarded.read_arrays(run / "checkpoints/state.npz", ["progress"])
        epochs = guarded.parse_json(state["progress"].tobytes())["epoch"]
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in read_history(run / "history.csv")]
        assert len(rows) >= epochs
        return {f"epoch {n}": row for n, row in enumerate(rows[:epochs], start=1)}
    return {}


def _sweep(folder: Path) -> list[str]:
    line = ["train", "-m", *_SAME, "trainer.epochs=1", "seed=0,1,2", "hydra.sweep.dir=outputs/sweep"]
    return [*line, "resume=true"] if runs.listing(folder / "outputs/sweep") else line


def _jobs(folder: Path) -> Units:
    done = [run for run in runs.listing(folder / "outputs/sweep") if run.record().status == "done"]
    return {run.id: files.read_json(run.path / "metrics.json")["test"] for run in done}


def _collected(folder: Path) -> Units:
    root = folder / "collected"
    kept = {name: digest for name, digest in tree(root).items() if name.endswith(".png") and "/." not in f"/{name}"}
    return kept if root.is_dir() else {}


def _scores(folder: Path) -> Units:
    found = files.read_json(folder / "outputs/base/metrics.json")
    return {split: found[split] for split in ("test", "validation") if split in found}


def _names(place: str) -> Callable[[Path], Units]:
    return lambda folder: dict.fromkeys(tree(folder / place), True)


#: Bytes of each frame of the whole film, which the first run leaves.
_SIZES: list[int] = []
_FRAMES = 200


def _film(folder: Path) -> Units:
    """A film is labelled anew each time; its log is whole, and it plays but for its last 256 kB."""
    log, film = folder / "faces.jsonl", folder / "labelled.avi"
    frames = {json.loads(line)["frame"] for line in log.read_text().splitlines()} if log.exists() else set()
    capture = cv2.VideoCapture(str(film))
    played = sum(1 for _ in iter(lambda: capture.read()[0], False)) if film.exists() else 0
    if played == _FRAMES:
        _SIZES[:] = _frame_sizes(film.read_bytes())
    assert len(_SIZES) == _FRAMES
    assert not played or sum(_SIZES[played : max(frames, default=0) - 1]) <= 2**18
    return {}


def _frame_sizes(avi: bytes) -> list[int]:
    """Of a film with one stream; its chunks stand behind ``movi``, each filled up to an even length."""
    at, sizes = avi.index(b"movi") + 4, []
    while avi[at : at + 4] == b"00dc":
        sizes.append(int.from_bytes(avi[at + 4 : at + 8], "little"))
        at += 8 + sizes[-1] + sizes[-1] % 2
    return sizes


_FILM = ["live", "run=base", "source=film.avi", "loop=true", f"max_frames={_FRAMES}", "display=none"]
VICTIMS = {
    "train": Victim(_train, _epochs, once=True),
    "sweep": Victim(_sweep, _jobs, once=True, real=True),
    "evaluate": Victim(lambda _: ["evaluate", "run=base"], _scores),
    "compare": Victim(lambda _: ["compare", "runs=base", "folder=compared"], _names("compared")),
    "export": Victim(lambda _: ["export", "run=base", "folder=exported"], _names("exported")),
    "publish": Victim(lambda _: ["publish", "run=base", "folder=published", "overwrite=true"], _names("published")),
    "audit": Victim(lambda _: ["audit", "dataset.root=faces", "folder=audited"], _names("audited")),
    "collect": Victim(
        lambda _: ["collect", "root=collected", "source=folder", "path=faces", "min_sharpness=0"], _collected, once=True
    ),
    "live": Victim(lambda _: [*_FILM, "save=labelled.avi", "log=faces.jsonl"], _film),
}


@pytest.fixture(scope="module")
def place(common: Path, trained: runs.Run) -> Path:
    with made_once(common / "killing") as folder:
        if folder:
            shutil.copytree(trained.path, folder / "outputs/base")
            for label, name in enumerate(EMOTIONS):
                (folder / "faces" / name).mkdir(parents=True)
                for person in range(4):
                    image = synthetic.frame(100 + 10 * label + person, label, (200, 200))[0]
                    cv2.imwrite(str(folder / "faces" / name / f"{person}.png"), image)
            writer = cv2.VideoWriter(str(folder / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 20, (320, 240))
            for number in range(40):
                writer.write(synthetic.frame(3, number // 8 % 7, (320, 240))[0])
            writer.release()
    return common / "killing"


class Killing:
    """One command in a folder of its own."""

    def __init__(self, victim: Victim, place: Path, folder: Path) -> None:
        self.victim, self.place, self.folder, self.temporary = victim, place, folder / "place", folder / "tmp"
        self.anew()

    def anew(self) -> None:
        for folder in (self.folder, self.temporary):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.place, self.folder)
        self.temporary.mkdir()

    def run(self, seconds: float | None = None) -> tuple[int, str]:
        """Run the command, killed after so many seconds; its exit code and what it printed."""
        python = sys.executable if self.victim.real else interpreter()
        module, *arguments = self.victim.line(self.folder)
        line = [python, "-m", f"emotion.{module}", *arguments]
        environment = os.environ | {"TMPDIR": str(self.temporary)}
        with subprocess.Popen(
            line, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            with suppress(subprocess.TimeoutExpired):
                said, _ = process.communicate(timeout=seconds)
                return process.returncode, said
            started = psutil.Process(process.pid).children(recursive=True) if self.victim.real else []
            process.kill()
            for child in started:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            said, _ = process.communicate(timeout=120)  # its forked processes have ended when nobody can print
            return process.returncode, said


def sound(folder: Path) -> None:
    """Every file is whole but those that are not in their place yet."""
    for path in folder.rglob("*"):
        if any(part.startswith((".new-", ".staging")) for part in path.relative_to(folder).parts) or path.is_dir():
            continue
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".jsonl":
            text = path.read_text()
            assert all(isinstance(json.loads(line), dict) for line in text.splitlines())
            assert text[-1:] in ("", "\n"), path
        elif path.suffix in (".npz", ".keras"):
            assert zipfile.is_zipfile(path), path
        elif path.suffix == ".png":
            assert b"IEND" in path.read_bytes()[-16:], path


@pytest.mark.parametrize("name", VICTIMS)
def test_a_kill_takes_no_more_than_the_unit_in_flight(name: str, place: Path, tmp_path: Path) -> None:
    victim, chance = VICTIMS[name], random.Random(f"{SEED}-{name}")
    killing = Killing(victim, place, tmp_path)
    began = time.monotonic()
    code, said = killing.run()
    whole = time.monotonic() - began
    assert code == 0, said
    expected = victim.units(killing.folder)
    if victim.once:
        killing.anew()
    inputs, kills, tries = tree(place), 0, 0
    kept: Units = {} if victim.once else expected
    while kills < KILLS // len(VICTIMS):
        assert (tries := tries + 1) < 5 * KILLS, "it ends before it can be killed"
        code, said = killing.run(chance.uniform(0.05, 0.95) * whole)
        over = code == 0 or (code == 2 and "is done" in said)  # killed when all was done
        assert over or code == -signal.SIGKILL, f"EMOTION_KILL_SEED={SEED}, kill {kills}: {said}"
        kills += not over
        sound(killing.folder)
        units = victim.units(killing.folder)
        lost = {key for key, value in kept.items() if units.get(key) != value}
        assert not lost, f"EMOTION_KILL_SEED={SEED}, kill {kills}: {said}"
        assert {key: tree(killing.folder).get(key) for key in inputs if not key.startswith("outputs/base")} == {
            key: value for key, value in inputs.items() if not key.startswith("outputs/base")
        }
        kept = units
        if over and victim.once:
            killing.anew()
            kept = {}
    code, said = killing.run()
    assert code == 0 or "is done" in said, said
    assert victim.units(killing.folder) == expected
    sound(killing.folder)
    assert [*killing.folder.rglob(".new-*"), *killing.temporary.glob("emotion-*")] == []
