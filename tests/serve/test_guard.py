"""Who may ask: names, pages and tokens, over HTTP and over sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from emotion.serve.guard import HEADERS, Access
from tests.helpers.serving import PATIENCE, Serving, face, serving

HOSTS = frozenset({"localhost", "127.0.0.1", "faces.lan"})
TOKEN = "0123456789abcdefÄ"[:16]


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving(Access(HOSTS, origins=("https://example.org",))) as running:
        yield running


@pytest.fixture(scope="module")
def closed() -> Iterator[Serving]:
    with serving(Access(HOSTS, token=TOKEN)) as running:
        yield running


def _get(server: Serving, path: str = "/v1/model", **headers: str) -> httpx.Response:
    return httpx.get(server.url + path, headers=headers, timeout=PATIENCE)


def _socket(server: Serving, **options: Any) -> int:
    """The status by which a visitor is let in (101) or refused."""
    with ExitStack() as stack:
        try:
            visitor = stack.enter_context(server.visitor(**options))
        except InvalidStatus as error:
            refused = error.response
        else:
            assert visitor.ask(face())["faces"]
            return 101
    assert b'"error"' in refused.body
    return refused.status_code


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:9", "faces.lan", "faces.lan:443"])
def test_names_of_this_server(server: Serving, host: str) -> None:
    assert _get(server, Host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.org", "127.0.0.1.evil.org", "localhost.evil.org", "evil.org:127", "127.0.0.2", "", "[::2]:80", "0.0.0.0",
     "faces.lan.", "xfaces.lan", "localhost:80@evil.org", "127.1"],
)  # fmt: skip
def test_any_other_name_is_refused(server: Serving, host: str) -> None:
    answer = _get(server, Host=host)
    assert answer.status_code == 403
    assert answer.json()["error"]["field"] == "Host"


def test_a_socket_by_another_name_is_refused(server: Serving) -> None:
    address = f"http://{server.host}/v1/live"
    upgrade = {
        "Host": "evil.org", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    assert httpx.get(address, headers=upgrade).status_code == 403
    assert httpx.get(address, headers=upgrade | {"Host": server.host, "Origin": "http://evil.org"}).status_code == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://{host}", 101), ("https://example.org", 101), ("https://{host}", 403), ("http://localhost", 403),
        ("null", 403), ("http://evil.org", 403), ("https://example.org.evil.org", 403), ("http://example.org", 403),
        ("http://{host}.evil.org", 403), ("", 403), ("https://example.org:444", 403),
    ],
)  # fmt: skip
def test_pages_of_other_servers_may_not_ask(server: Serving, origin: str, status: int) -> None:
    origin = origin.format(host=server.host)
    assert _socket(server, additional_headers={"Origin": origin}) == status
    assert _get(server, Origin=origin).status_code == (200 if status == 101 else 403)
    posted = httpx.post(
        f"{server.url}/v1/pictures", content=face(), headers={"Content-Type": "image/jpeg", "Origin": origin}
    )
    assert posted.status_code == (200 if status == 101 else 403)


def test_a_page_that_is_listed_may_read_the_answer(server: Serving) -> None:
    listed = "https://example.org"
    asked = {"Access-Control-Request-Method": "POST"}
    before = httpx.options(f"{server.url}/v1/pictures", headers={"Origin": listed} | asked)
    assert before.status_code == 204
    assert before.headers["access-control-allow-methods"] == "GET, POST"
    assert {a.headers["access-control-allow-origin"] for a in (before, _get(server, Origin=listed))} == {listed}
    for origin in ("http://evil.org", f"http://{server.host}"):
        answers = _get(server, Origin=origin), httpx.options(server.url, headers={"Origin": origin} | asked)
        assert all("access-control-allow-origin" not in answer.headers for answer in answers)


def test_every_answer_has_the_headers(server: Serving, closed: Serving) -> None:
    answers = [_get(server, path) for path in ("/", "/page.js", "/v1/model", "/nothing")]
    answers += [_get(server, Host="evil.org"), _get(closed), _get(closed, f"/?token={TOKEN}")]
    for answer in answers:
        assert HEADERS.items() <= {key: answer.headers.get(key) for key in HEADERS}.items()
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("sent", ["Bearer wrong", "Bearer", "Basic x", TOKEN, f"Bearer {TOKEN}x", "Bearer ä", ""])
def test_a_wrong_token(closed: Serving, sent: str) -> None:
    for path in ("/", "/page.js", "/v1/model", "/metrics", "/openapi.json", "/v2", "/nothing"):
        answer = httpx.get(closed.url + path, headers={b"Authorization": sent.encode()})
        assert answer.status_code == 401, path
        assert answer.json()["error"]["code"] == "token"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert _socket(closed, additional_headers={"Authorization": sent.encode("ascii", "replace").decode()}) == 401


def test_a_right_token(closed: Serving) -> None:
    for kind in ("Bearer", "bearer"):
        assert _get(closed, Authorization=f"{kind} {TOKEN}").status_code == 200
    assert _get(closed, f"/v1/model?token={TOKEN}").status_code == 200
    assert _socket(closed, additional_headers={"Authorization": f"Bearer {TOKEN}"}) == 101
    assert _get(closed, "/v1/model?token=").status_code == 401
    assert _get(closed, f"/v1/model?token=a&token={TOKEN}x").status_code == 401


def test_whether_it_is_alive_is_no_secret(closed: Serving) -> None:
    assert _get(closed, "/healthz").json() == {"status": "ok"}
    assert _get(closed, "/healthz", Host="evil.org").status_code == 403


def test_the_page_gets_a_cookie_for_the_token(closed: Serving) -> None:
    with httpx.Client(base_url=closed.url) as browser:
        entered = browser.get(f"/?token={TOKEN}&a=1")
        assert (entered.status_code, entered.headers["location"]) == (303, "/?a=1")
        cookie = entered.headers["set-cookie"]
        assert TOKEN not in cookie
        assert {"httponly", "samesite=strict"} <= {part.strip().lower() for part in cookie.split(";")}
        assert browser.get("/").status_code == browser.get("/v1/model").status_code == 200
        pair = cookie.partition(";")[0]
    assert _socket(closed, additional_headers={"Cookie": pair}) == 101
    assert _socket(closed, additional_headers={"Cookie": pair[:-1]}) == 401
    assert _get(closed, Cookie=f"emotion-{closed.port}={TOKEN}").status_code == 401
