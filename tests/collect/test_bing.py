from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bing_image_downloader.bing import Bing

from emotion.collect import bing, fetching
from emotion.collect.candidates import Candidate, staged
from emotion.config import commands
from emotion.faces import decoding
from tests.conftest import REPOSITORY
from tests.helpers.bing_server import BingServer, Entry, drawn, photos
from tests.helpers.searching import HOURS, found, quick, some


@pytest.mark.slow
def test_every_picture_is_had_once_with_what_bing_says_of_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    entries = some(60)  # more than one page can ask for
    with BingServer({"happy": entries}) as server, server.installed():
        had = list(found(tmp_path, settings=quick(licence="share", size="large")))
        assert [c.key for c in had] == [server.url(e) for e in entries]
        assert sorted(r.path for r in server.pictures()) == sorted(f"/pictures/{e.url}" for e in entries)
    for entry, candidate in zip(entries, had, strict=True):
        assert candidate == Candidate(
            key=candidate.key,
            emotion="happy",
            source="bing",
            path=candidate.path,
            query="a happy face",
            page_url="https://pages.test/shown-here",
            image_url=candidate.key,
            title=entry.title,
            licence="share",
        )
        assert candidate.path is not None
        assert candidate.path.suffix == ".jpg"
        assert candidate.path.read_bytes() == entry.content
    assert capfd.readouterr() == ("", "")


def test_real_photos_of_several_formats_come_through_unchanged(tmp_path: Path, shared: Path) -> None:
    contents = photos(shared)
    entries = [Entry(f"photo{i}.jpg", content) for i, content in enumerate(contents)]  # whatever they are
    with BingServer({"happy": entries}) as server, server.installed():
        paths = [c.path for c in found(tmp_path) if c.path is not None]
    assert [p.read_bytes() for p in paths] == contents
    assert [p.suffix for p in paths] == [".bmp", ".jpg", ".jpg", ".jpg"]
    assert all(decoding.read(p).ndim == 3 for p in paths)


@pytest.mark.parametrize(
    ("settings", "adult", "filters"),
    [
        ({}, "strict", "+filterui:face-face+filterui:imagesize-medium"),
        ({"adult_filter": False, "face": None, "size": None}, "off", ""),
        (
            {"face": "portrait", "licence": "modify_commercially", "size": "wallpaper"},
            "strict",
            "+filterui:face-portrait+filterui:license-L2_L3+filterui:imagesize-wallpaper",
        ),
    ],
)
def test_filters_reach_bing(tmp_path: Path, settings: dict[str, Any], adult: str, filters: str) -> None:
    with BingServer({"happy": some(1)}) as server, server.installed():
        next(found(tmp_path, settings=quick(**settings)))
        (request,) = server.index()
    assert request.host == "www.bing.com"
    assert request.query == {"q": "a happy face", "first": "0", "count": "50", "adlt": adult, "qft": filters}


def test_every_licence_of_the_config_is_known_to_bing() -> None:
    filters = {
        licence: bing._filters(fetching.Settings(licence=licence, face=None, size=None))
        for licence in commands.LICENCES
    }
    assert filters.pop("any") == ""
    assert len(set(filters.values())) == len(filters)


def test_nothing_is_downloaded_before_it_is_asked_for(tmp_path: Path) -> None:
    with BingServer({"happy": some(8)}) as server, server.installed():
        candidates = found(tmp_path)
        assert not server.requests
        first = next(candidates)
        next(candidates)
        candidates.close()  # type: ignore[attr-defined]
        assert [r.path for r in server.pictures()] == ["/pictures/0.jpg", "/pictures/1.jpg"]
    assert first.path is not None


def test_known_pictures_need_no_request(tmp_path: Path) -> None:
    skipped: list[str] = []
    with BingServer({"happy": some(12)}) as server, server.installed():
        known = tuple(f"{server.address}/pictures/{i}.jpg" for i in range(11))
        had = list(found(tmp_path, known=known, again=skipped.append))
        assert [c.key for c in had] == [f"{server.address}/pictures/11.jpg"]
        assert len(server.pictures()) == 1
    assert skipped == list(known)


def test_pictures_that_several_threads_find_are_downloaded_by_one(tmp_path: Path) -> None:
    both = some(12, "both")
    settings = quick(min_interval=0.001)
    skipped: list[str] = []
    catalogue = {word: [*some(4, word), *both] for word in ("happy", "sad", "angry")}
    with BingServer(catalogue, delay=0.005) as server, server.installed(), ThreadPoolExecutor(3) as pool:

        def collect(word: str) -> list[Candidate]:
            return list(found(tmp_path, word, settings, again=skipped.append))

        had = [c for part in pool.map(collect, catalogue) for c in part]
        assert len(server.pictures()) == 24
    assert len({c.key for c in had}) == len(had) == 24
    assert len(skipped) == 24
    assert len(list(staged(tmp_path))) == 24


def test_every_request_waits_for_its_host(tmp_path: Path) -> None:
    hosts: list[tuple[str, float]] = []

    class Recording(fetching.Pace):
        def reserve(self, host: str, interval: float) -> float:
            hosts.append((host, interval))
            return super().reserve(host, interval)

    entries = [Entry("a.jpg", drawn(1), "redirect"), Entry("b.jpg", fault="503"), Entry("http://c.test/pictures/c.jpg")]
    with BingServer({"happy": entries}) as server, server.installed():
        list(found(tmp_path, settings=quick(min_interval=0.01, pace=Recording())))
        assert len(hosts) == len(server.requests)
    assert [h for h, _ in hosts] == ["www.bing.com"] + 5 * ["127.0.0.1"] + ["c.test"] + 3 * ["www.bing.com"]
    assert {interval for _, interval in hosts} == {0.01}


# ------------------------------------------------------------------------------------------------------- being stopped


def test_stopped_while_a_picture_hangs(tmp_path: Path) -> None:
    entries = [*some(1), Entry("hangs.jpg", fault="silent")]
    with BingServer({"happy": entries}) as server, server.installed():
        had = list(found(tmp_path, settings=quick(timeout=HOURS), stop=lambda: "/pictures/hangs.jpg" in server.asked))
    assert [c.failure for c in had] == [None]


def test_the_total_time_bounds_everything(tmp_path: Path) -> None:
    settings = quick(timeout=HOURS, deadline=0.5)
    with BingServer({"happy": [Entry("hangs.jpg", fault="silent")]}) as server, server.installed():
        with pytest.raises(bing.OutOfTime):
            list(found(tmp_path, settings=settings))
        assert settings.expired
        before = len(server.index())
        with pytest.raises(bing.OutOfTime):
            list(found(tmp_path, "sad", settings))
        assert len(server.index()) == before


def test_what_was_interrupted_can_be_had_by_another_search(tmp_path: Path) -> None:
    settings = quick(timeout=HOURS)
    with BingServer({"happy": some(1)}, delay=0.2) as server, server.installed():
        assert list(found(tmp_path, settings=settings, stop=lambda: "/pictures/0.jpg" in server.asked)) == []
        (candidate,) = found(tmp_path, settings=settings)
    assert candidate.path is not None


@pytest.mark.slow
def test_threads_of_requests_that_were_given_up_end(tmp_path: Path) -> None:
    with BingServer({"happy": [Entry("hangs.jpg", fault="silent")]}) as server, server.installed():
        list(found(tmp_path, settings=quick(timeout=1)))
    for thread in threading.enumerate():
        if thread.name == "fetching":
            thread.join(30)
            assert not thread.is_alive()


# ------------------------------------------------------------------------------------------------------- the package


@pytest.mark.slow
def test_a_stray_module_called_bing_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "bing.py").write_text("raise SystemExit('the stray module was run')")
    code = "from emotion.collect import bing; print(bing._private_module(print).Bing.__name__)"
    line = [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; {code}"]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Bing\n"), done.stderr


def test_the_package_itself_stays_as_it_is() -> None:
    assert "print" not in vars(sys.modules[Bing.__module__])
    assert sys.modules[Bing.__module__].urllib.__name__ == "urllib"
