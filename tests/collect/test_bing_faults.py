from __future__ import annotations

from pathlib import Path

import pytest

from emotion.collect import bing
from emotion.collect.candidates import staged
from tests.helpers.bing_server import FAULTS, INDEX_FAULTS, BingServer, Entry, drawn
from tests.helpers.searching import found, quick, some

# ------------------------------------------------------------------------------------------------- pictures' faults

#: What becomes of a picture, and how many requests it takes with two retries.
EXPECTED: dict[str, tuple[str | None, int]] = {
    "404": ("HTTP 404", 1),
    "503": ("HTTP 503", 3),
    "flaky": (None, 3),
    "busy": (None, 2),
    "html": ("not an image", 1),
    "empty": ("not an image", 1),
    "truncated": ("truncated", 3),
    "cut": (None, 1),  # as long as the server said, so only decoding it shows that it is not whole
    "silent": ("timed out", 1),
    "drip": ("timed out", 1),
    "drip_headers": ("timed out", 1),
    "huge": ("too large", 1),
    "huge_declared": ("too large", 1),
    "reset": ("connection lost", 3),
    "gzip": (None, 1),
    "gzip_bomb": ("too large", 1),
    "gzip_damaged": ("damaged encoding", 1),
    "brotli": ("unknown encoding", 1),
    "bomb": ("too many pixels", 1),
    "redirect": (None, 2),
    "redirect_file": ("not http(s)", 1),
    "redirect_ftp": ("not http(s)", 1),
    "redirect_loop": ("too many redirects", 6),
    "chunked": (None, 1),
    "no_length": (None, 1),
    "nonsense": ("no HTTP answer", 1),
}


def test_every_fault_is_expected() -> None:
    assert set(EXPECTED) == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_picture_costs_itself_alone(fault: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    failure, requests = EXPECTED[fault]
    hurry = {"timeout": 1} if failure == "timed out" else {}
    photo = drawn(0)
    with BingServer({"happy": [Entry("bad.jpg", photo, fault), Entry("good.jpg", drawn(1))]}) as server:
        with server.installed():
            bad, good = found(tmp_path, settings=quick(max_bytes=10_000_000, **hurry))
        assert len(server.pictures("bad.jpg")) == requests
    assert (bad.key, bad.failure, bad.title) == (f"{server.address}/pictures/bad.jpg", failure, "a face")
    assert good.path is not None
    assert good.path.read_bytes() == drawn(1)
    if failure is None:
        assert bad.path is not None
        assert bad.path.read_bytes() == (photo if fault != "cut" else photo[: len(photo) // 2])
    assert len(list(tmp_path.iterdir())) == (2 if failure else 4)  # with their facts; and nothing else is left
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("url", "failure"),
    [
        (Path(__file__).as_uri(), "not http(s)"),
        ("FILE:///etc/passwd", "not http(s)"),
        ("ftp://127.0.0.1/face.jpg", "not http(s)"),
        ("data:image/png;base64," + "A" * 10_000, "not http(s)"),
        ("http://name:word@pictures.test/a.jpg", "bad address"),
        ("http://[::1/a.jpg", "bad address"),
        ("http://nobody.example/a.jpg", "no connection"),
        ("http://" + "a" * 64 + ".ü/a.jpg", "bad address"),
    ],
)
def test_addresses_that_lead_nowhere(url: str, failure: str, tmp_path: Path) -> None:
    with BingServer({"happy": [Entry(url), *some(1)]}) as server, server.installed():
        bad, good = found(tmp_path)
    assert bad.failure == failure
    assert bad.path is None
    assert len(bad.key) <= 300
    assert good.path is not None


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("a face.jpg", "/pictures/a%20face.jpg"),
        ("a%20face%2Fb.jpg", "/pictures/a%20face%2Fb.jpg"),
        ("100%.jpg", "/pictures/100%25.jpg"),
        ("ähm'\"<>&amp;\\u0026|é.jpg", "/pictures/%C3%A4hm'%22%3C%3E&amp;%5Cu0026%7C%C3%A9.jpg"),
        ("../../../../pictures/escape.jpg", "/pictures/escape.jpg"),
        ("face.php?id=1&size=ü x#top", "/pictures/face.php"),
        ("%00\x07.jpg", "/pictures/%00%07.jpg"),
        ("x" * 2000 + ".jpg", f"/pictures/{'x' * 2000}.jpg"),
        ("http://bücher.test:8080/pictures/a.jpg", "/pictures/a.jpg"),
        ("HTTP://UPPER.test/pictures/a.jpg", "/pictures/a.jpg"),
    ],
)
def test_names_with_odd_characters(url: str, path: str, tmp_path: Path) -> None:
    entry = Entry(url.split("#")[0], drawn(1), title="\ue000odd\ue001\n\x00 \u202e“title” <b>")
    with BingServer({"happy": [entry]}) as server, server.installed():
        (candidate,) = found(tmp_path)
        (request,) = server.pictures()
    assert request.path == path
    assert candidate.failure is None
    assert candidate.path is not None
    assert candidate.path.parent == tmp_path
    assert candidate.path.read_bytes() == drawn(1)
    assert candidate.key.isascii()
    assert candidate.title == "odd “title” <b>"
    assert list(staged(tmp_path)) == [candidate]


# ------------------------------------------------------------------------------------------------------ pages' faults


@pytest.mark.parametrize("fault", ["flaky", "bad_utf8", "broken_facts", "repeat", "hole", "overlap", "gzip"])
def test_pages_with_faults_that_cost_nothing(fault: str, tmp_path: Path) -> None:
    entries = some(10 if fault == "repeat" else 23)
    with BingServer({"happy": entries}, index_faults={"happy": fault}) as server, server.installed():
        had = list(found(tmp_path))
        assert [c.key for c in had] == [server.url(e) for e in entries]
        assert len(server.pictures()) == len(entries)
        assert len(server.index()) <= 12
    assert all(c.failure is None for c in had)
    told = [c.title for c in had]
    assert told == [None if fault == "broken_facts" and i % 10 % 2 == 0 else e.title for i, e in enumerate(entries)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason", "requests"),
    [
        ("403", "HTTP 403", 1),
        ("503", "HTTP 503", 2),
        ("silent", "timed out", 2),
        ("drip", "timed out", 2),
        ("reset", "connection lost", 2),
    ],
)
def test_when_bing_cannot_be_had_the_query_is_given_up(
    fault: str, reason: str, requests: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = BingServer({"happy": some(2)}, index_faults={"happy": fault})
    with server, server.installed(), pytest.raises(bing.GaveUp, match="'a happy face'") as gave_up:
        list(found(tmp_path, settings=quick(retries=1, timeout=1 if reason == "timed out" else 20)))
    assert len(server.index()) == requests
    assert reason in str(gave_up.value)
    assert capfd.readouterr() == ("", "")


def test_what_was_found_before_bing_broke_down_is_kept(tmp_path: Path) -> None:
    with BingServer({"happy": some(25)}, index_faults={"happy": "dies"}) as server, server.installed():
        candidates = found(tmp_path)
        had = [next(candidates) for _ in range(10)]
        with pytest.raises(bing.GaveUp, match="HTTP 503"):
            next(candidates)
    assert sorted(staged(tmp_path), key=lambda c: c.key) == had


def test_every_index_fault_is_tried() -> None:
    cost_nothing = {"flaky", "bad_utf8", "broken_facts", "repeat", "hole", "overlap", "gzip"}
    assert set(INDEX_FAULTS) == cost_nothing | {"403", "503", "silent", "drip", "reset", "dies", "nothing"}


@pytest.mark.parametrize("fault", [None, "nothing"])
def test_no_results_at_all_are_told(fault: str | None, tmp_path: Path) -> None:
    faults = {"happy": fault} if fault else {}
    server = BingServer({"happy": some(2) if fault else []}, index_faults=faults)
    with server, server.installed(), pytest.raises(bing.GaveUp, match="Bing shows no results"):
        next(found(tmp_path))
    assert len(server.index()) == 3


def test_fewer_results_than_were_hoped_for_end_quietly(tmp_path: Path) -> None:
    with BingServer({"happy": some(2)}) as server, server.installed():
        assert len(list(found(tmp_path))) == 2
        assert len(server.index()) == 4


def test_pages_of_failures_do_not_hide_the_pages_behind_them(tmp_path: Path) -> None:
    entries = [Entry(f"gone{i}.jpg", fault="404") for i in range(20)] + some(3)
    with BingServer({"happy": entries}) as server, server.installed():
        had = list(found(tmp_path))
    assert [c.failure for c in had] == ["HTTP 404"] * 20 + [None] * 3
