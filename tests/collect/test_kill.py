"""The whole command, killed at random moments: nothing is lost, nothing is there twice, nothing is fetched twice."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from emotion.collect import screening
from emotion.collect.candidates import Candidate, staged
from emotion.collect.duplicates import Entry as Known
from emotion.collect.duplicates import KnownCrops
from emotion.data.manifest import Manifest, current
from emotion.faces.decoding import decode
from emotion.faces.images import Image
from emotion.faces.labels import EMOTIONS
from tests.conftest import REPOSITORY
from tests.helpers.bing_server import BingServer, Entry
from tests.helpers.collected import SCREEN, jpeg, lines, pictures, quarantined

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_EACH = 5
_SETTINGS = (
    "search.allow_private=true",
    "search.min_interval=0",
    "search.back_off=0.01",
    "search.timeout=5",
    "search.parallel=2",
    "per_emotion=50",
)
_PATIENCE = 60.0


def _good() -> list[tuple[int, str]]:
    """People with one face that looks like nobody's before, and the name of each one's crop."""
    found: list[tuple[int, str]] = []
    known = KnownCrops()
    for person in range(100):
        if len(found) == _EACH * len(EMOTIONS):
            return found
        result = screening.screen(Candidate("", "happy", "bing", None, _decoded(person)), SCREEN, thorough=True)
        crop = result.crops[0] if len(result.crops) == 1 else None
        if isinstance(crop, screening.Crop) and not known.like(crop.pixels, crop.hashes):
            name = f"{crop.pixels.hex()}.png"
            known.add(Known(f"happy/{name}", "kept"), None, None, crop.hashes[0])
            found.append((person, name))
    raise AssertionError("too few people")


def _decoded(person: int) -> Image:
    return decode(jpeg(person))


class _Command:
    """``python -m emotion.collect`` as a process of its own."""

    def __init__(self, server: BingServer, root: Path, *overrides: str) -> None:
        self._server = server
        line = [sys.executable, "-m", "emotion.collect", f"root={root}", *_SETTINGS, *overrides]
        line += [f"queries.{e}=['{e} face','{e} person']" for e in EMOTIONS]
        self.process = subprocess.Popen(
            line, cwd=REPOSITORY, env=server.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def until_requests(self, count: int) -> None:
        """Wait until the server has had so many requests for pictures, or the command is through."""
        end = time.monotonic() + _PATIENCE
        while len(self._server.pictures()) < count and self.process.poll() is None:
            assert time.monotonic() < end, "no requests"
            time.sleep(0.002)

    def end(self, number: int | None = None) -> tuple[int, str, str]:
        """Send a signal, if any; exit code, stdout and stderr."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=_PATIENCE)
        return self.process.returncode, out, err


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.nightly(nights=1))])
def test_killed_again_and_again_it_ends_as_if_it_had_not_been(kills: int, tmp_path: Path) -> None:
    rng, root = random.Random(5), tmp_path / "data"
    good = _good()
    catalogue: dict[str, list[Entry]] = {}
    for number, emotion in enumerate(EMOTIONS):
        mine = good[number * _EACH : (number + 1) * _EACH]
        catalogue[emotion] = [Entry(f"{emotion}-{person}.jpg", jpeg(person)) for person, _ in mine]
        catalogue[emotion] += [
            Entry(f"{emotion}-copy.jpg", jpeg(mine[0][0])),
            Entry(f"{emotion}-gone.jpg", fault="404"),
            Entry(f"{emotion}-half.jpg", jpeg(mine[1][0]), fault="cut"),
        ]
        rng.shuffle(catalogue[emotion])
    # One picture under two emotions, whichever comes first.
    shared_person = next(p for p in range(100, 200) if len(screening.find(_decoded(p), SCREEN)) == 1)
    for emotion in ("happy", "sad"):
        catalogue[emotion].append(Entry(f"{emotion}-both.jpg", jpeg(shared_person)))
    expected = {f"{EMOTIONS[i // _EACH]}/{name}" for i, (_, name) in enumerate(good)}

    repeated: list[str] = []
    had: set[str] = set()
    killed = 0
    with BingServer(catalogue, delay=0.005) as server:
        for _ in range(kills):
            before = len(server.pictures())
            command = _Command(server, root)
            command.until_requests(before + rng.randint(1, 2))
            time.sleep(rng.uniform(0, 0.06))
            code, _, _ = command.end(signal.SIGKILL)
            killed += code == -signal.SIGKILL
            repeated += [r.path for r in server.pictures()[before:] if f"{server.address}{r.path}" in had]
            # From here on no request for what is staged or on record.
            had = _had(root, tmp_path)
        before = len(server.pictures())
        code, out, err = _Command(server, root).end()
        repeated += [r.path for r in server.pictures()[before:] if f"{server.address}{r.path}" in had]
        whole = Counter(r.path for r in server.pictures() if r.whole)
    assert code == 0, err
    assert killed >= kills - 2
    assert repeated == []
    assert sum(n - 1 for n in whole.values()) <= 2 * killed  # those in flight: two threads

    assert pictures(root) == expected, out
    assert len(quarantined(root)) == 2
    records = current(lines(root))
    assert {r["file"] for r in records if r["decision"] == "kept"} == expected
    keys = Counter(r["key"] for r in lines(root) if "event" not in r)
    assert set(keys.values()) == {1}
    assert set(keys) == {server.url(entry) for entries in catalogue.values() for entry in entries}
    rejected = Counter(
        str(r["reason"]).partition(" of ")[0].partition(":")[0] for r in records if r["decision"] == "rejected"
    )
    assert rejected == {"duplicate": 7, "HTTP 404": 7, "unreadable": 7}
    assert list((root / ".staging").iterdir()) == []
    assert not list(root.rglob(".new-*"))


def _staged(root: Path, scratch: Path) -> list[Candidate]:
    """What is staged whole; asked of a copy, as asking tidies up."""
    copy = scratch / "staging"
    shutil.rmtree(copy, ignore_errors=True)
    if not (root / ".staging").exists():
        return []
    shutil.copytree(root / ".staging", copy)
    return list(staged(copy))


def _had(root: Path, scratch: Path) -> set[str]:
    """The addresses of what is staged or on record."""
    return {c.key for c in _staged(root, scratch)} | {r["key"] for r in Manifest.open(root).records()}


@pytest.mark.nightly
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_asked_to_stop_it_says_how_far_it_is(number: int, code: int, tmp_path: Path) -> None:
    root = tmp_path / "data"
    entries = [Entry(f"{person}.jpg", jpeg(person)) for person in range(1, 9)]
    with BingServer({"happy": entries}, delay=0.3) as server:
        command = _Command(server, root, "emotion=happy")
        command.until_requests(3)
        ended, out, err = command.end(number)
        assert ended == code, err
        assert "Traceback" not in err
        assert "rejected because" in out
        assert "the same command resumes from here" in out
        kept = len(pictures(root))
        assert 1 <= kept < 7
        assert (root / "review-happy.html").exists()
        before, had = len(server.pictures()), _had(root, tmp_path)
        assert len(had) >= kept
        assert _Command(server, root, "emotion=happy").end()[0] == 0
        assert [r.path for r in server.pictures()[before:] if f"{server.address}{r.path}" in had] == []
    # What was in flight, by two threads, may have been sent whole to a process that was ending.
    assert sum(n - 1 for n in Counter(r.path for r in server.pictures() if r.whole).values()) <= 2
    assert len(pictures(root)) > kept
