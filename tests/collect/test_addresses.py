"""Downloads reach the internet alone: no server of this machine or of its network."""

from __future__ import annotations

import http.server
import socket
import threading
from typing import Any

import pytest

from emotion.collect import addresses
from emotion.collect.fetching import Fetcher, FetchError, Settings

PRIVATE = ("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254",
           "100.64.0.1", "[::1]", "[fe80::1]", "[fd00::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]",
           "[2002:7f00:1::]", "224.0.0.1",
           "localhost", "localhost.", "2130706433", "0x7f000001", "127.1")  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_no_address_of_this_machine_or_its_network_is_connected_to(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected.append(address))
    with pytest.raises(FetchError, match=r"private address|bad address|no connection"):
        Fetcher(Settings(retries=0, min_interval=0.0), lambda: False).get(f"http://{host}:8/", {}, 1000)
    assert connected == []


def test_a_name_is_refused_by_what_it_resolves_to(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]
    outside = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 80))]
    connected: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    answers = [outside + inside, outside, inside]
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: answers[0] if "meta" in host else outside)
    fetcher = Fetcher(Settings(retries=0, min_interval=0.0), lambda: False)
    with pytest.raises(FetchError, match="private address"):
        fetcher.get("http://meta.test/", {}, 1000)
    assert connected == []
    with pytest.raises(FetchError, match="no connection"):
        fetcher.get("http://public.test/", {}, 1000)
    assert connected == [("93.184.216.34", 80)]


def test_a_redirect_into_the_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Redirects(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.2:8/secret")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirects)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    try:
        with pytest.raises(FetchError, match="private address"):
            Fetcher(Settings(retries=0, min_interval=0.0), lambda: False).get(
                f"http://127.0.0.1:{server.server_address[1]}/", {}, 1000
            )
    finally:
        server.shutdown()
        server.server_close()
