"""A dataset's folder after kills, and after the user has moved, removed and added images there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emotion.collect.candidates import Candidate
from emotion.collect.collector import Collector
from emotion.data.manifest import Manifest
from emotion.faces import decoding
from tests.helpers.collected import SCREEN, drawn, from_folder, lines, own, pictures, quarantined, write


@pytest.mark.slow
def test_files_and_records_are_brought_in_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, path = tmp_path / "data", own(tmp_path / "own", happy=range(4), sad=range(10, 12))
    from_folder(root, path)
    whole, files = lines(root), pictures(root)
    # A kill between the crop and its record, and one in the middle of each.
    manifest = root / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(r) + "\n" for r in whole[:-1]) + json.dumps(whole[-1])[:50])
    (root / "happy" / ".new-abc.png").write_bytes(b"half")
    from_folder(root, path)
    assert (pictures(root), {r["file"] for r in lines(root)}) == (files, files)
    # A kill between a decision and the move that it asks for.
    moved = whole[0]["file"]
    Manifest.open(root).append({"event": "review", "file": moved, "decision": "rejected"})
    # A picture that a person has deleted, and one that he has put there.
    removed = whole[1]["file"]
    (root / removed).unlink()
    write(root / "happy" / "mine.png", drawn(30))
    outcome = from_folder(root, path)
    assert pictures(root) == files - {moved, removed} | {"happy/mine.png"}
    assert quarantined(root) == {moved}
    assert outcome["happy"].rejected == {"rejected by a person": 1, "removed by hand": 1}
    assert "1 more images in" in capsys.readouterr().out
    before = len(lines(root))
    from_folder(root, path)
    assert len(lines(root)) == before


@pytest.mark.slow
def test_a_picture_put_there_by_hand_is_not_collected_again(tmp_path: Path) -> None:
    root, path = tmp_path / "data", own(tmp_path / "own", happy=range(1))
    from_folder(tmp_path / "first", path)
    (file,) = pictures(tmp_path / "first")
    write(root / "happy" / "mine.png", decoding.read(tmp_path / "first" / file))
    assert from_folder(root, path)["happy"].rejected == {"duplicate": 1}
    assert pictures(root) == {"happy/mine.png"}


@pytest.mark.slow
def test_a_picture_that_a_person_has_moved_stays_where_it_is(tmp_path: Path) -> None:
    root, path = tmp_path / "data", own(tmp_path / "own", happy=range(1))
    from_folder(root, path)
    (file,) = pictures(root)
    moved = f"sad/{Path(file).name}"
    (root / "sad").mkdir()
    (root / file).rename(root / moved)
    write(path / "sad" / "a.png", drawn(0))
    write(path / "neutral" / "b.png", drawn(0))
    outcome = from_folder(root, path)
    assert pictures(root) == {moved}
    assert outcome["sad"].rejected == {"duplicate": 1}
    assert outcome["happy"].rejected == {"removed by hand": 1}
    assert outcome["neutral"].quarantined == 1


def leftover(tmp_path: Path) -> tuple[Path, str]:
    """A dataset with a crop that has no record, as a kill leaves it, of the image in ``tmp_path / "own"``."""
    from_folder(tmp_path / "first", own(tmp_path / "own", happy=range(1)))
    (file,) = pictures(tmp_path / "first")
    (tmp_path / "data" / "happy").mkdir(parents=True)
    (tmp_path / "data" / file).write_bytes((tmp_path / "first" / file).read_bytes())
    return tmp_path / "data", file


@pytest.mark.slow
def test_what_looks_like_a_leftover_is_never_deleted(tmp_path: Path) -> None:
    """It has the name that our crop would have, and is in a test split: it may be somebody's."""
    root, file = leftover(tmp_path)
    write(tmp_path / "other" / "test" / file, decoding.read(tmp_path / "first" / file)[:, :, ::-1])
    from_folder(root, tmp_path / "own", f"against={tmp_path / 'other'}")
    assert (pictures(root), quarantined(root)) == (set(), {file})


@pytest.mark.slow
def test_a_leftover_is_a_conflict_also_where_the_other_emotion_comes_first(tmp_path: Path) -> None:
    root, file = leftover(tmp_path)
    collector = Collector(root, SCREEN, Manifest.open(root))
    for emotion in ("sad", "happy"):
        collector.take(Candidate(f"{emotion}.jpg", emotion, "bing", None, drawn(0)))
    assert (pictures(root), quarantined(root)) == (set(), {file, f"sad/{Path(file).name}"})


@pytest.mark.slow
def test_a_leftover_is_taken_up_once(tmp_path: Path) -> None:
    root, file = leftover(tmp_path)
    collector = Collector(root, SCREEN, Manifest.open(root))
    for key in ("a.jpg", "b.jpg"):
        collector.take(Candidate(key, "happy", "bing", None, drawn(0)))
    assert [r["reason"] for r in lines(root)] == [None, f"duplicate of {file}"]
    assert (pictures(root), collector.unrecorded) == ({file}, set())


@pytest.mark.slow
def test_a_picture_removed_by_hand_leaves_the_page_too(tmp_path: Path) -> None:
    root, path = tmp_path / "data", own(tmp_path / "own", happy=range(2))
    from_folder(root, path)
    file = sorted(pictures(root))[0]
    (root / file).unlink()
    from_folder(root, path)
    assert file not in (root / "review-happy.html").read_text()
