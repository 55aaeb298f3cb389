"""What a manifest says after records, reviews and kills."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.data.manifest import Manifest, origins, unreviewed
from tests.helpers.properties import max_examples

_texts = st.text(max_size=20)


def record(key: str, **more: Any) -> dict[str, Any]:
    base = {"key": key, "emotion": "happy", "decision": "kept", "reason": None, "label_source": "query"}
    return base | {"file": f"happy/{key}.png"} | more


@max_examples(40)
@given(st.lists(_texts, min_size=1, max_size=5), st.integers(0, 10_000))
def test_whatever_a_kill_leaves_of_the_last_line_is_cut_off(titles: list[str], cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        some = [record(str(i), title=title) for i, title in enumerate(titles)]
        Manifest.open(root).append(*some)
        path = root / "manifest.jsonl"
        data = path.read_bytes()
        last = data.rstrip(b"\n").rfind(b"\n") + 1
        path.write_bytes(data[: last + cut % (len(data) - last)])
        manifest = Manifest.open(root)
        assert manifest.lines() == some[:-1]
        manifest.append(some[-1])
        assert Manifest.open(root).lines() == some
        assert path.read_bytes() == data


def test_the_latest_review_wins(tmp_path: Path) -> None:
    manifest = Manifest.open(tmp_path)
    manifest.append(
        record("a"), record("b"), record("c", label_source="person"), record("d", decision="rejected", file=None)
    )
    assert unreviewed(tmp_path) == {"happy/a.png", "happy/b.png"}
    for decision in ("rejected", "accepted"):
        manifest.append({"event": "review", "file": "happy/a.png", "decision": decision})
    manifest.append({"event": "review", "file": "happy/b.png", "decision": "rejected"})
    manifest.append({"event": "quarantine", "file": "happy/c.png", "reason": "label conflict"})
    assert unreviewed(tmp_path) == frozenset()
    stands = {r["key"]: (r["decision"], r.get("reviewed")) for r in Manifest.open(tmp_path).records()}
    assert stands["a"] == ("kept", "accepted")
    assert stands["b"] == ("rejected", "rejected")
    assert stands["c"] == ("quarantined", None)


def test_a_candidate_that_was_tried_again_counts_once(tmp_path: Path) -> None:
    manifest = Manifest.open(tmp_path)
    manifest.append(record("a", decision="rejected", reason="timed out", file=None), record("a"))
    assert [r["decision"] for r in manifest.records()] == ["kept"]


def test_faces_of_one_picture_are_records_of_their_own(tmp_path: Path) -> None:
    manifest = Manifest.open(tmp_path)
    manifest.append(*(record("a", face=i, of=2, file=f"happy/{i}.png") for i in range(2)))
    assert len(manifest.records()) == 2


@pytest.mark.parametrize("line", ["{", "[]", '{"key": "a"}', "\x00\x00", '{"decision": "kept"}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(json.dumps(record("a")) + "\n" + line + "\n" + json.dumps(record("b")) + "\n")
    with pytest.raises(UserError, match=r"manifest\.jsonl: line 2 is damaged"):
        Manifest.open(tmp_path)


def test_no_manifest_has_nothing_unreviewed(tmp_path: Path) -> None:
    assert unreviewed(tmp_path) == frozenset()


@pytest.mark.parametrize(
    "content", ['{"file_name": "a.png", "emotion": "sad"}\n', '{"file_name": "a.png"}', "a,b\n1,2", "{\n"]
)
def test_another_programs_manifest_says_nothing_and_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(content)
    assert (unreviewed(tmp_path), origins(tmp_path)) == (frozenset(), {})
    with pytest.raises(UserError, match=r"manifest\.jsonl: another program's file"):
        Manifest.open(tmp_path)
    assert path.read_text() == content


def test_a_damaged_line_of_ours_is_an_error_in_training_too(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text(json.dumps(record("a")) + "\n{\n")
    for ask in (unreviewed, origins):
        with pytest.raises(UserError, match="line 2 is damaged"):
            ask(tmp_path)


def test_pictures_of_one_film_photo_or_session_have_one_origin(tmp_path: Path) -> None:
    def cut(key: str, name: str, source: str, **more: Any) -> dict[str, Any]:
        (tmp_path / "happy").mkdir(exist_ok=True)
        (tmp_path / "happy" / f"{name}.png").write_bytes(b"")
        return record(key, file=f"happy/{name}.png", source=source, **more)

    Manifest.open(tmp_path).append(
        *(cut(f"/films/a#1.mp4#{i}", f"film{i}", "video") for i in range(3)),
        cut("/films/b.mp4#0", "other", "video"),
        *(cut(f"camera 0@{start}#{i}@t", f"{start}-{i}", "camera") for start in ("9h", "10h") for i in range(2)),
        *(cut("photo#1.jpg", f"face{i}", "folder", sha256="aa", face=i, of=2) for i in range(2)),
        cut("photo#2.jpg", "alone", "folder", sha256="bb"),
    )
    (tmp_path / "happy" / "film2.png").unlink()
    (tmp_path / "sad").mkdir()
    (tmp_path / "happy" / "film1.png").rename(tmp_path / "sad" / "film1.png")
    groups: dict[str, set[str]] = {}
    for file, origin in origins(tmp_path).items():
        groups.setdefault(origin, set()).add(file)
    assert groups == {
        "/films/a#1.mp4": {"happy/film0.png", "sad/film1.png"},
        "camera 0@9h": {"happy/9h-0.png", "happy/9h-1.png"},
        "camera 0@10h": {"happy/10h-0.png", "happy/10h-1.png"},
        "aa": {"happy/face0.png", "happy/face1.png"},
    }
