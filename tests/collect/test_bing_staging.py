from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emotion.base.errors import UserError
from emotion.collect import candidates
from emotion.collect.candidates import Candidate
from tests.conftest import REPOSITORY
from tests.helpers.bing_server import BingServer, Entry, drawn
from tests.helpers.searching import found, some


def test_staged_pictures_are_found_again_and_not_downloaded_again(tmp_path: Path) -> None:
    with BingServer({"happy": some(6)}) as server, server.installed():
        before = [candidate for _, candidate in zip(range(3), found(tmp_path), strict=False)]
        assert sorted(candidates.staged(tmp_path), key=lambda c: c.key) == before
        assert list(found(tmp_path))[:3] == before
        assert len(server.pictures()) == 6


def test_a_staged_picture_of_another_emotion_is_reported_as_met_again(tmp_path: Path) -> None:
    skipped: list[str] = []
    with BingServer({"happy": some(1), "sad": some(1)}) as server, server.installed():
        (happy,) = found(tmp_path)
        assert list(found(tmp_path, "sad", again=skipped.append)) == []
    assert skipped == [happy.key]


def test_what_killed_processes_left_unfinished_is_removed(tmp_path: Path) -> None:
    with BingServer({"happy": some(4)}) as server, server.installed():
        whole, lost, damaged, foreign = list(found(tmp_path))
    for candidate in (whole, lost, damaged, foreign):
        assert candidate.path is not None
    stems = [c.path.stem for c in (whole, lost, damaged, foreign) if c.path]
    (tmp_path / f"{stems[1]}.json").unlink()
    (tmp_path / f"{stems[2]}.json").write_text('{"key": "http://')
    (tmp_path / f"{stems[3]}.jpg").unlink()
    (tmp_path / f".new-{stems[0]}.jpg-x7_k.jpg").write_bytes(b"half")
    (tmp_path / f".new-{stems[0]}.json-abc.json").write_bytes(b"{")
    (tmp_path / "notes.txt").write_text("a person's")
    (tmp_path / "other.json").write_text("{}")
    assert list(candidates.staged(tmp_path)) == [whole]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [f"{stems[0]}.jpg", f"{stems[0]}.json", "notes.txt", "other.json"]
    )


def test_discarding(tmp_path: Path) -> None:
    with BingServer({"happy": some(2)}) as server, server.installed():
        first, second = found(tmp_path)
    candidates.discard(first)
    candidates.discard(first)
    assert list(candidates.staged(tmp_path)) == [second]
    assert len(list(tmp_path.iterdir())) == 2
    candidates.discard(Candidate("x", "happy", "bing", None, failure="HTTP 404"))


def test_no_staging_folder_is_nothing_staged(tmp_path: Path) -> None:
    assert list(candidates.staged(tmp_path / "none")) == []


def test_a_folder_that_cannot_be_written_to_is_the_users_to_put_right(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        BingServer({"happy": some(1)}) as server,
        server.installed(),
        pytest.raises(UserError, match="cannot be written"),
    ):
        list(found(tmp_path / "file" / "staging"))


_SEARCH = """
import sys
from pathlib import Path
from emotion.collect import bing, fetching
settings = fetching.Settings(timeout=5, retries=2, back_off=0.01, min_interval=0.0, allow_private=True)
for candidate in bing.search("happy", "a happy face", settings, Path(sys.argv[1]), (), lambda: False):
    print(candidate.key, flush=True)
"""


@pytest.mark.nightly
@pytest.mark.slow
def test_killed_at_random_moments_it_goes_on(tmp_path: Path) -> None:
    """What is staged at a kill is not asked for again, and nothing is lost."""
    chance = random.Random(5)
    entries = [Entry(f"{i}.jpg", drawn(i % 3)) for i in range(40)]
    line = [sys.executable, "-c", _SEARCH, str(tmp_path)]
    with BingServer({"happy": entries}, delay=0.01) as server:
        kills = 0
        for _ in range(8):
            process = subprocess.Popen(line, cwd=REPOSITORY, env=server.environment(), stdout=subprocess.PIPE)
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 9)):  # so many pictures, those that it finds staged among them
                process.stdout.readline()
            time.sleep(chance.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
            process.stdout.close()
            kills += process.wait() == -signal.SIGKILL
            kept = {c.key for c in candidates.staged(tmp_path)}
            before = {key: sum(server.address + r.path == key for r in server.pictures()) for key in kept}
        assert kills == 8
        done = subprocess.run(line, cwd=REPOSITORY, env=server.environment(), capture_output=True, check=True)
        assert len(done.stdout.split()) == len(set(done.stdout.split())) == 40
        after = server.pictures()
        assert {key: sum(server.address + r.path == key for r in after) for key in kept} == before
        # Only what was on its way at a kill was asked for twice.
        assert len(after) <= 40 + kills
    assert done.stderr == b""
    whole = list(candidates.staged(tmp_path))
    assert sorted(c.path.read_bytes() for c in whole if c.path) == sorted(e.content for e in entries)


def test_facts_survive_the_disk(tmp_path: Path) -> None:
    candidate = Candidate("http://h.test/a", "sad", "bing", None, query="q ü", title="„t“", page_url="http://p.test/")
    kept = candidates.stage(tmp_path, candidate, b"picture", "png")
    assert list(candidates.staged(tmp_path)) == [kept] == [candidates.read_staged(tmp_path, candidate.key)]
