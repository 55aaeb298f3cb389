from __future__ import annotations

import socketserver
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emotion.collect.fetching import Fetcher, FetchError, Pace, Settings, Stopped, normalised
from tests.helpers.bing_server import BingServer, Entry, drawn

#: No test waits longer than this for what should not come.
HOURS = 10_000.0
MEGABYTE = 1_000_000


def fetcher(stop: Callable[[], bool] = lambda: False, **changes: Any) -> Fetcher:
    settings = {"timeout": 5.0, "retries": 0, "back_off": 0.01, "min_interval": 0.0, **changes}
    return Fetcher(Settings(**{"allow_private": True, **settings}), stop)


# --------------------------------------------------------------------------------------------------------- requests


@pytest.mark.parametrize("fault", [None, "gzip", "chunked", "no_length", "redirect"])
def test_a_body_comes_whole_however_it_is_sent(fault: str | None) -> None:
    photo = drawn(1)
    with BingServer({"happy": [Entry("a.jpg", photo, fault)]}) as server, server.installed():
        assert fetcher().get(f"{server.address}/pictures/a.jpg", {}, MEGABYTE) == photo


@pytest.mark.parametrize("fault", [None, "gzip", "chunked", "no_length"])
def test_the_size_cap_is_exact(fault: str | None) -> None:
    photo = drawn(1)
    with BingServer({"happy": [Entry("a.jpg", photo, fault)]}) as server, server.installed():
        url = f"{server.address}/pictures/a.jpg"
        # Compressed and framed it is sent with a few bytes more than the picture has.
        assert fetcher().get(url, {}, len(photo) + 100) == photo
        with pytest.raises(FetchError, match=r"^too large$"):
            fetcher().get(url, {}, len(photo) - 1)


def test_no_answer_in_hours_is_stopped_while_it_is_waited_for() -> None:
    with BingServer({"happy": [Entry("a.jpg", fault="silent")]}) as server, server.installed():
        patient = fetcher(lambda: bool(server.asked), timeout=HOURS, retries=3, back_off=HOURS)
        with pytest.raises(Stopped):
            patient.get(f"{server.address}/pictures/a.jpg", {}, MEGABYTE)


def test_a_pause_before_a_retry_is_stopped() -> None:
    with BingServer({"happy": [Entry("a.jpg", fault="503")]}) as server, server.installed():
        patient = fetcher(lambda: bool(server.pictures()), retries=3, back_off=HOURS)
        with pytest.raises(Stopped):
            patient.get(f"{server.address}/pictures/a.jpg", {}, MEGABYTE)
        assert len(server.pictures()) == 1


def test_when_the_time_for_everything_is_over_nothing_is_tried() -> None:
    with BingServer({"happy": [Entry("a.jpg", drawn(1))]}) as server, server.installed():
        with pytest.raises(Stopped):
            fetcher(deadline=0).get(f"{server.address}/pictures/a.jpg", {}, MEGABYTE)
        assert not server.requests


def test_the_whole_request_is_bounded_though_every_byte_comes_in_time() -> None:
    dripping = BingServer({"happy": [Entry("a.jpg", drawn(1), "drip_headers")]})
    with dripping as server, server.installed(), pytest.raises(FetchError, match=r"^timed out$"):
        fetcher(timeout=0.5).get(f"{server.address}/pictures/a.jpg", {}, MEGABYTE)


def test_requests_to_a_host_are_kept_apart_over_all_threads() -> None:
    pace, moments, lock = Pace(), [], threading.Lock()

    def reserve() -> None:
        for _ in range(20):
            moment = pace.reserve("a.test", 0.25)
            with lock:
                moments.append(moment)

    threads = [threading.Thread(target=reserve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.diff(sorted(moments)) == pytest.approx(0.25)
    assert pace.reserve("b.test", 0.25) < min(moments) + 0.25 * len(moments) / 2  # another host need not wait


def test_a_redirect_to_another_host_is_followed_and_paced_there() -> None:
    with BingServer({"happy": [Entry("a.jpg", drawn(1), "redirect")]}) as server, server.installed():
        assert fetcher().get("http://bücher.test/pictures/a.jpg", {}, MEGABYTE) == drawn(1)
        assert [r.host for r in server.requests] == ["xn--bcher-kva.test"] * 2


@contextmanager
def endless(head: bytes, block: bytes) -> Iterator[tuple[str, list[int]]]:
    """A server whose answer never ends: its address, and the number of bytes that each client took."""
    taken: list[int] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(head)
            taken.append(0)
            number = len(taken) - 1
            with suppress(OSError):
                while taken[number] < 100 * MEGABYTE:
                    self.request.sendall(block)
                    taken[number] += len(block)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", taken
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("head", "block", "reason"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: /next\r\n\r\n", b"x" * 65536, "too many redirects"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03",
         b"\0\0\0\xff\xff" * 10_000, "too large"),
    ],
    ids=["redirect", "empty blocks"],
)  # fmt: skip
def test_an_endless_answer_is_not_read_on(head: bytes, block: bytes, reason: str) -> None:
    with endless(head, block) as (address, taken):
        with pytest.raises(FetchError, match=reason):
            fetcher().get(address, {}, 100_000)
        assert taken
        assert max(taken) < 20 * MEGABYTE, "what the system's buffers hold, not what the server would send"


# -------------------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "HTTP://Bücher.Test:8080/ä b%20c?q=ü&x=%41#part",
            "http://xn--bcher-kva.test:8080/%C3%A4%20b%20c?q=%C3%BC&x=%41",
        ),
        ("https://h.test", "https://h.test/"),
        (" http://h.test/100%/x ", "http://h.test/100%25/x"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("http://h.test:/a/../b;c=1?", "http://h.test/b;c=1"),
    ],
)
def test_addresses_are_made_fit_for_a_request(url: str, expected: str) -> None:
    assert normalised(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://h.test/x",
        "data:image/png;base64,AA",
        "javascript:f()",
        "",
        "//h.test/x",
        "x.jpg",
        "http",
    ],
)
def test_only_http_is_an_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"^not http\(s\)$"):
        normalised(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///x",
        "http://u:p@h.test/",
        "http://h.test:x/",
        "http://h.test:99999/",
        "http://[::1/",
        "http://a b/",
    ],
)
def test_bad_addresses(url: str) -> None:
    with pytest.raises(ValueError, match=r"^bad address$"):
        normalised(url)


@given(st.text(), st.text())
@example("\ud800", "%")
@example("/..", "%zz")
def test_any_address_is_refused_or_comes_out_as_printable_ascii_that_stays_the_same(host: str, rest: str) -> None:
    for url in (f"http://h.test/{rest}", f"http://{host}/{rest}"):
        with suppress(ValueError):
            address = normalised(url)
            assert address.isascii()
            assert address.isprintable()
            assert " " not in address
            assert normalised(address) == address
            assert urllib.parse.urlsplit(address).hostname
