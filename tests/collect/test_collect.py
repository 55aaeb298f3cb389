"""Collecting from own pictures and from search, in this process: what is kept, what not, and what is on record."""

from __future__ import annotations

import html
import logging
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion import collect as command
from emotion.base import locks
from emotion.base.errors import UserError
from emotion.collect import screening
from emotion.collect.candidates import Candidate
from emotion.collect.collector import Collector
from emotion.collect.fetching import Settings
from emotion.config import cli
from emotion.data import folder, similar
from emotion.data.crop_margin import CropMargin
from emotion.data.manifest import Manifest, unreviewed
from emotion.faces import decoding
from emotion.faces.labels import EMOTIONS
from tests.conftest import answered, compose
from tests.helpers.bing_server import BingServer, Entry
from tests.helpers.collected import (
    SCREEN,
    collected,
    drawn,
    from_folder,
    jpeg,
    lines,
    own,
    pictures,
    quarantined,
    write,
)

QUICK = (
    "search.allow_private=true",
    "search.min_interval=0",
    "search.back_off=0.01",
    "search.timeout=2",
    "search.retries=1",
    "search.parallel=2",
)


def asked(*emotions: str) -> list[str]:
    """One query for each emotion, though most find nothing."""
    return [f"queries.{e}=['{e} face']" for e in EMOTIONS] + ([f"emotion={emotions[0]}"] if len(emotions) == 1 else [])


# ------------------------------------------------------------------------------------------------ own pictures


@pytest.mark.slow
def test_own_pictures_become_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, path = tmp_path / "data", own(tmp_path / "own", Happiness=range(2), anger=range(2, 4))
    (path / "Happiness" / "notes.txt").write_text("not looked at")
    (path / "Happiness" / "page.jpg").write_text("<html>")
    outcome = from_folder(root, path)
    assert (outcome["happy"].kept, outcome["angry"].kept) == (2, 2)
    assert outcome["happy"].rejected == {"not an image": 1}
    assert "not an image 1" in capsys.readouterr().out

    read = folder.read(folder.layout(root))
    assert {"angry/", "happy/"} == {f"{Path(str(p)).parent.name}/" for p in read.parts["train"].paths}
    assert (len(read.parts["train"]), read.unreadable) == (4, ())
    contract = CropMargin.load(root)
    assert contract is not None
    assert (contract.crop_margin, contract.pictures) == (0.1, 4)
    assert unreviewed(root) == frozenset()

    record = next(r for r in lines(root) if r["decision"] == "kept" and r["emotion"] == "happy")
    image = decoding.read(root / record["file"])
    assert image.shape == (96, 96, 3)
    assert record["label_source"] == "folder"
    assert (record["width"], record["height"]) == (400, 400)
    assert record["boxes"] == [record["box"]]
    assert record["detector"]["min_neighbors"] == 5
    assert record["crop"] == {"crop_margin": 0.1, "size": 96, "colour": "rgb", "interpolation": "area"}
    assert (len(record["sha256"]), len(record["perceptual_hash"]), record["reason"]) == (64, 32, None)


@pytest.mark.slow
def test_the_same_command_does_nothing_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, path = tmp_path / "data", own(tmp_path / "own", happy=range(2))
    from_folder(root, path)
    before = (root / "manifest.jsonl").read_bytes()
    from_folder(root, path)
    assert (root / "manifest.jsonl").read_bytes() == before
    assert "Nothing to do" in capsys.readouterr().out
    own(path, happy=range(2, 3))
    assert from_folder(root, path)["happy"].kept == 3


@pytest.mark.slow
def test_duplicates_within_an_emotion(tmp_path: Path) -> None:
    path = own(tmp_path / "own", happy=range(1))
    (path / "happy" / "1.png").write_bytes((path / "happy" / "0.png").read_bytes())
    write(path / "happy" / "2.jpg", drawn(0), cv2.IMWRITE_JPEG_QUALITY, 70)
    outcome = from_folder(tmp_path / "data", path)
    assert (outcome["happy"].kept, outcome["happy"].rejected) == (1, {"duplicate": 2})
    (kept,) = pictures(tmp_path / "data")
    assert [r["reason"] for r in lines(tmp_path / "data")] == [None, f"duplicate of {kept}", f"duplicate of {kept}"]


@pytest.mark.slow
def test_one_picture_under_three_emotions_is_in_quarantine(tmp_path: Path) -> None:
    path = own(tmp_path / "own", happy=range(1))
    write(path / "neutral" / "a.jpg", cv2.resize(drawn(0), (330, 330)))
    write(path / "sad" / "b.png", drawn(0))
    root = tmp_path / "data"
    outcome = from_folder(root, path)
    assert pictures(root) == set()
    assert len(quarantined(root)) == 3
    assert [outcome[e].quarantined for e in ("happy", "neutral", "sad")] == [1, 1, 1]
    reasons = {r["emotion"]: r["reason"] for r in Manifest.open(root).records()}
    assert all(reason.startswith("label conflict with ") for reason in reasons.values())
    assert from_folder(root, path)["happy"].quarantined == 1


@pytest.mark.slow
def test_a_copy_whose_box_is_elsewhere_is_a_duplicate_within_its_emotion_only(tmp_path: Path) -> None:
    def looks(image: np.ndarray) -> screening.Crop:
        (crop,) = screening.screen(Candidate("", "happy", "folder", None, image), SCREEN, thorough=True).crops
        assert isinstance(crop, screening.Crop)
        return crop

    def near(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return all((x ^ y).bit_count() <= similar.DISTANCE for x, y in zip(a, b, strict=True))

    copies = (
        (person, cv2.resize(drawn(person), (side, side))) for person in range(20) for side in (300, 330, 370, 450)
    )
    for person, copy in copies:
        first, second = screening.find(drawn(person), SCREEN), screening.find(copy, SCREEN)  # type: ignore[arg-type]
        if len(first) != 1 or len(second) != 1:
            continue
        one, two = looks(drawn(person)), looks(copy)
        if not near(one.hashes[0], two.hashes[0]) and any(near(one.hashes[0], look) for look in two.hashes):
            break
    else:
        raise AssertionError("the detector is too exact for this test")
    for emotion, root in (("happy", tmp_path / "a"), ("sad", tmp_path / "b")):
        path = own(root / "own", happy=range(person, person + 1))
        write(path / emotion / "x.png", copy)
        outcome = from_folder(root / "data", path)
        assert outcome["happy"].rejected == ({"duplicate": 1} if emotion == "happy" else {})
        assert len(pictures(root / "data")) == (1 if emotion == "happy" else 2)


@pytest.mark.slow
def test_a_dataset_is_not_collected_from_itself(tmp_path: Path) -> None:
    root = own(tmp_path / "data", happy=range(1))
    (tmp_path / "link").symlink_to(root)
    for path, how in ((root, "is the root"), (tmp_path / "link", "is the root"), (root / "happy", "lies inside"),
                      (tmp_path, "contains")):  # fmt: skip
        with pytest.raises(UserError, match=f"path: .* {how}"):
            from_folder(root, path, "emotion=happy")
    assert not (root / "manifest.jsonl").exists()


@pytest.mark.slow
def test_each_face_of_a_picture_is_a_crop(tmp_path: Path) -> None:
    """Also where a kill came between the records of one picture."""
    path, root = tmp_path / "own", tmp_path / "data"
    write(path / "happy" / "a.png", np.hstack([drawn(0), drawn(1), drawn(4)]))
    assert from_folder(tmp_path / "one", path)["happy"].rejected == {"several faces": 1}
    assert from_folder(tmp_path / "largest", path, "faces=largest")["happy"].kept == 1
    assert from_folder(root, path, "faces=all")["happy"].kept == 3
    whole, files = lines(root), pictures(root)
    assert [(r["face"], r["of"]) for r in whole] == [(0, 3), (1, 3), (2, 3)]
    manifest = root / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[: manifest.read_bytes().index(b"\n") + 30])
    assert from_folder(root, path, "faces=all")["happy"].kept == 3
    assert pictures(root) == files
    assert [r["file"] for r in lines(root)] == [r["file"] for r in whole]


@pytest.mark.slow
def test_one_folder_of_one_emotion(tmp_path: Path) -> None:
    path = own(tmp_path / "own", happy=range(2)) / "happy"
    assert from_folder(tmp_path / "data", path, "emotion=sad")["sad"].kept == 2


@pytest.mark.slow
def test_commands_to_type_are_quoted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "my faces (1)"
    write(tmp_path / "own" / "sad" / "a.png", drawn(0))
    collect = compose("collect", "root=x", "source=folder", f"path={own(tmp_path / 'own', happy=range(1))}")
    collect.root = str(root)
    command.collect(collect)
    typed = [shlex.split(line) for line in capsys.readouterr().out.splitlines() if "python -m" in line]
    assert [words[2] for words in typed] == ["emotion.collect", "emotion.audit", "emotion.train"]
    assert cli.request("collect", typed[0][3:4]).cfg.root == str(root)
    assert compose("train", *typed[2][3:]).dataset.root == str(root)
    page = html.unescape((root / "review-happy.html").read_text())
    assert shlex.join(typed[0][:4]) in page


@pytest.mark.slow
def test_pictures_of_one_dataset_are_cut_alike(tmp_path: Path) -> None:
    path = own(tmp_path / "own", happy=range(1))
    from_folder(tmp_path / "data", path)
    for key, value in {"crop_margin": "0.2", "size": "64", "colour": "gray"}.items():
        with pytest.raises(UserError, match=f"{key}: the images in .* now it is {value}"):
            from_folder(tmp_path / "data", path, f"{key}={value}")


@pytest.mark.slow
def test_a_margin_that_was_measured_stays(tmp_path: Path) -> None:
    root, path = tmp_path / "data", own(tmp_path / "own", happy=range(1))
    from_folder(root, path)
    CropMargin(0.07, "emotion.audit", 1).save(root)
    from_folder(root, path)
    assert CropMargin.load(root) == CropMargin(0.07, "emotion.audit", 1)


# ------------------------------------------------------------------------------------------------------------ film


@pytest.mark.slow
def test_frames_of_a_film(tmp_path: Path) -> None:
    film = tmp_path / "film.avi"
    video = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (400, 400))
    for person in (0, 1, 4):
        for _ in range(20):
            video.write(drawn(person))
    video.release()
    root, asked_for = tmp_path / "data", ("source=video", f"path={film}", "emotion=happy", "stride=10")
    outcome = collected(root, *asked_for)
    assert (outcome["happy"].kept, outcome["happy"].rejected) == (3, {"duplicate": 3})
    assert [r["key"] for r in lines(root)] == [f"{film}#{i}" for i in range(0, 60, 10)]
    assert {r["label_source"] for r in lines(root)} == {"person"}
    assert collected(root, *asked_for)["happy"].rejected == {"duplicate": 3}
    assert len(lines(root)) == 6


# ---------------------------------------------------------------------------------------------------------- search


@pytest.mark.slow
def test_pictures_from_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    happy = [Entry(f"h{i}.jpg", jpeg(i), title=f"joy {i}") for i in range(4)]
    happy += [Entry("gone.jpg", fault="404"), Entry("page.jpg", fault="html"), Entry("copy.jpg", jpeg(0))]
    sad = [Entry(f"s{i}.jpg", jpeg(i + 10)) for i in range(2)] + [Entry("both.jpg", jpeg(3))]
    root = tmp_path / "data"
    caplog.set_level(logging.WARNING)
    with BingServer({"happy": happy, "sad": sad}) as server, server.installed():
        outcome = collected(root, "per_emotion=6", *QUICK, *asked())
        fetched = len(server.pictures())
        again = collected(root, "per_emotion=6", *QUICK, *asked())
        assert len(server.pictures()) == fetched
        complete = collected(root, "per_emotion=2", "emotion=sad", *QUICK, *asked())
        assert len(server.pictures()) == fetched
    said = capsys.readouterr().out
    assert (outcome["happy"].kept, outcome["sad"].kept) == (3, 2)
    assert (outcome["happy"].quarantined, outcome["sad"].quarantined) == (1, 1)  # one face under two emotions
    assert outcome["happy"].rejected == {"HTTP 404": 1, "not an image": 1, "duplicate": 1}
    assert again == complete == outcome
    assert "Fewer than per_emotion=6: " in said
    assert "Nothing to do: 2 images" in said
    assert "review-happy.html" in said
    assert unreviewed(root) == pictures(root)
    assert len(pictures(root)) == 5
    record = next(r for r in lines(root) if (r["image_url"] or "").endswith("h1.jpg"))
    assert (record["title"], record["query"], record["label_source"]) == ("joy 1", "happy face", "query")
    assert (record["page_url"], record["licence"]) == ("https://pages.test/shown-here", "any")
    assert list((root / ".staging").iterdir()) == []
    assert not [line for line in caplog.messages if line.startswith(("happy", "sad"))]


@pytest.mark.slow
def test_an_emotion_is_done_when_enough_is_kept(tmp_path: Path) -> None:
    entries = [Entry(f"{i}.jpg", jpeg(i)) for i in range(8)]
    root = tmp_path / "data"
    with BingServer({"happy": entries}) as server, server.installed():
        assert collected(root, "per_emotion=2", *QUICK, *asked("happy"))["happy"].kept == 2
        assert len(server.pictures()) == 2
        assert collected(root, "per_emotion=3", *QUICK, *asked("happy"))["happy"].kept == 3
        assert len(server.pictures()) == 3


@pytest.mark.slow
def test_an_address_found_for_two_emotions_is_a_conflict(tmp_path: Path) -> None:
    shown = Entry("same.jpg", jpeg(0))
    root = tmp_path / "data"
    with BingServer({"happy": [shown], "sad": [shown]}) as server, server.installed():
        outcome = collected(root, *QUICK, *asked())
        assert len(server.pictures()) == 1
    assert pictures(root) == set()
    assert outcome["happy"].quarantined + outcome["sad"].quarantined == 1
    assert lines(root)[-1]["reason"].startswith("label conflict: also found for ")


@pytest.mark.slow
def test_an_address_that_was_a_duplicate_can_be_a_conflict(tmp_path: Path) -> None:
    """Also in a later command."""
    copy = cv2.imencode(".jpg", drawn(0), [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes()
    root, second = tmp_path / "data", Entry("b.jpg", copy)
    with BingServer({"happy": [Entry("a.jpg", jpeg(0)), second], "sad": [second]}) as server, server.installed():
        assert collected(root, *QUICK, *asked("happy"))["happy"].kept == 1
        assert lines(root)[1]["duplicate_of"] == lines(root)[0]["file"]
        collected(root, *QUICK, *asked("sad"))
        assert len(server.pictures()) == 2
    assert pictures(root) == set()
    assert quarantined(root) == {lines(root)[0]["file"]}


def test_a_conflict_with_a_picture_in_the_making_survives_a_kill(tmp_path: Path) -> None:
    first = Collector(tmp_path, SCREEN, Manifest.open(tmp_path))
    for _ in range(2):
        first.again("a.jpg", "sad")
        first.again("a.jpg", "happy")
    assert len(lines(tmp_path)) == 2
    second = Collector(tmp_path, SCREEN, Manifest.open(tmp_path))
    (record,) = second.take(Candidate("a.jpg", "happy", "bing", None, drawn(0)))
    assert (record["decision"], record["reason"]) == ("quarantined", "label conflict: also found for sad")


def test_what_could_not_be_had_for_now_is_tried_again_next_time(tmp_path: Path) -> None:
    broken, gone = Entry("a.jpg", jpeg(0), fault="503"), Entry("b.jpg", fault="404")
    root = tmp_path / "data"
    with BingServer({"happy": [broken, gone]}) as server, server.installed():
        assert collected(root, *QUICK, *asked("happy"))["happy"].rejected == {"HTTP 503": 1, "HTTP 404": 1}
        server.catalogue["happy"] = [Entry("a.jpg", jpeg(0)), gone]
        outcome = collected(root, *QUICK, *asked("happy"))
        assert len(server.pictures("b.jpg")) == 1
    assert (outcome["happy"].kept, outcome["happy"].rejected) == (1, {"HTTP 404": 1})


@pytest.mark.slow
def test_a_query_that_fails_costs_its_own_pictures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    queries = "queries.happy=['joyful face','happy face']"
    root = tmp_path / "data"
    faults = {"joyful": "503"}
    catalogue = {"joyful": [], "happy": [Entry("a.jpg", jpeg(0))]}
    with BingServer(catalogue, index_faults=faults) as server, server.installed():
        assert collected(root, *QUICK, queries, "emotion=happy")["happy"].kept == 1
    assert "'joyful face': Bing's results cannot be downloaded (HTTP 503)" in caplog.text


@pytest.mark.slow
def test_the_deadline_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [Entry(f"{i}.jpg", jpeg(i)) for i in range(30)]
    with BingServer({"happy": entries}, delay=0.2) as server, server.installed():
        outcome = collected(tmp_path / "data", *QUICK, "search.deadline=1", *asked("happy"))
    assert outcome["happy"].kept < 30
    assert "the time limit of the whole collection" in capsys.readouterr().out


# -------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["root: no value given"]),
        (["source=bingo"], ["source: 'bingo'", "Did you mean 'bing'?"]),
        (["source=folder"], ["path: no value given", "source=folder"]),
        (["source=folder", "path=nope"], ["path: no such file or folder 'nope'"]),
        (["source=video", "path=."], ["emotion: no value given"]),
        (["path=photos"], ["path: source=bing reads none", "source=folder path=photos"]),
        (["against=https://faces.test/a"], ["against: no such file or folder 'https://faces.test/a'"]),
        (["against=nope"], ["against: no such file or folder 'nope'"]),
        (["queries.happy=[]"], ["queries.happy: []", "['happy face']"]),
        (["+queries.hapy=[a]"], ["queries.hapy: no such emotion", "'happy'"]),
        (["search.licence=free"], ["search.licence: 'free'", "public"]),
        (["faces=two"], ["faces: 'two'", "one, largest, all"]),
        (["per_emotion=0"], ["per_emotion: 0"]),
    ],
)
def test_mistakes_are_answered(
    arguments: list[str], parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = [f"root={tmp_path / 'data'}"] if arguments else []
    assert answered(command.main, *root, *arguments) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in parts), said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_mistakes_in_the_pictures(tmp_path: Path) -> None:
    root = tmp_path / "data"
    with pytest.raises(UserError, match="root: no such folder"):
        collected(root, "apply=nope.json")
    (own(tmp_path / "own", happy=range(1)) / "contempt").mkdir()
    with pytest.raises(UserError, match="no emotion is called contempt"):
        from_folder(root, tmp_path / "own")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no folders"):
        from_folder(root, tmp_path / "empty")
    with pytest.raises(UserError, match=r"path: .*is no video"):
        collected(root, "source=video", f"path={write(tmp_path / 'x.png', drawn(0))}", "emotion=happy")
    (tmp_path / "x.mp4").write_text("no film")
    with pytest.raises(UserError, match=r"^path: .*x\.mp4.* Give a video, or its address: path=\.\.\.$"):
        collected(root, "source=video", f"path={tmp_path / 'x.mp4'}", "emotion=happy")


def test_the_second_of_two_is_told_so(tmp_path: Path) -> None:
    root, path = tmp_path / "data", own(tmp_path / "own", happy=range(1))
    root.mkdir()
    with locks.held(root), pytest.raises(UserError, match="another collect is at work in"):
        from_folder(root, path)
    assert from_folder(root, path)["happy"].kept == 1


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("~/Downloads/decisions-*.json", str(Path.home() / "Downloads" / "decisions-*.json")),
        ("decisions-angry (1).json", "decisions-angry (1).json"),
        ("'decisions-*.json'", "decisions-*.json"),
        ("[a.json,'b (1).json']", ["a.json", "b (1).json"]),
    ],
)
def test_decisions_are_named_as_they_are_typed(given: str, meant: object, tmp_path: Path) -> None:
    asked_for = cli.request("collect", [f"root={tmp_path}", f"apply={given}"])
    assert asked_for.cfg is not None
    assert asked_for.cfg.apply == meant


def test_the_searchs_defaults_are_the_configs() -> None:
    search = compose("collect", "root=x").search
    assert Settings() == Settings(**{k: v for k, v in search.items() if k != "parallel"})
