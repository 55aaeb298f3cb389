"""``python -m emotion.serve`` as a person starts it."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from emotion.base.errors import UserError
from emotion.serve import serve, server
from emotion.serve.address import is_loopback
from tests.conftest import compose
from tests.helpers.live_command import Commands, Live, commands
from tests.helpers.serving import PATIENCE, Serving, face, model


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Commands]:
    with commands(tmp_path, tmp_path / "outputs", "emotion.serve") as starting:
        yield starting


def _address(live: Live) -> str:
    """Where it says that it listens."""
    end = time.monotonic() + PATIENCE
    while not (said := re.search(r"^run \S+ at (\S+)$", live.out, re.M)):
        live.check()
        assert time.monotonic() < end
        time.sleep(0.02)
    return said[1]


def _serving(live: Live) -> Serving:
    return Serving(int(_address(live).rpartition(":")[2].partition("/")[0]), None)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_serves_without_tensorflow_and_ends_with_visitors_connected(
    start: Commands, drawn: tuple[Path, object], number: int, code: int
) -> None:
    check = "import sys, atexit\nsys.modules['tensorflow'] = None\nfrom emotion.serve import main\nmain()\n"
    live = start("port=0", code=check)
    running = _serving(live)
    film = drawn[0].read_bytes()
    with (
        running.visitor() as visitor,
        httpx.stream("POST", f"{running.url}/v1/videos", content=film, timeout=PATIENCE) as video,
        socket.create_connection(("127.0.0.1", running.port)),
    ):
        assert len(visitor.ask(face(1))["faces"]) == 1
        assert next(video.iter_lines())
        live.process.send_signal(number)
        live.process.wait(PATIENCE)
    out, err = live.finish(code)
    assert "Nothing of a picture is stored" in out
    assert err == ""


@pytest.mark.slow
def test_a_run_that_is_deleted_is_served_from_memory(start: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "mine"
    from emotion.runs import resolve

    shutil.copytree(resolve("pretrained", "outputs").path, folder)
    live = start(f"run={folder}", "port=0")
    running = _serving(live)
    shutil.rmtree(folder)
    with running.visitor() as visitor:
        assert len(visitor.ask(face(1))["faces"]) == 1
    assert httpx.get(f"{running.url}/v1/model").json()["labels"] == list(model().labels)
    files = [("pictures", ("a", face(1)))]
    assert httpx.post(f"{running.url}/v1/pictures", files=files).json()["pictures"][0]["error"] is None


@pytest.mark.slow
def test_several_processes_share_a_port_and_count_together(start: Commands) -> None:
    live = start("port=0", "workers=2", "limits.sessions=2")
    running = _serving(live)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            assert httpx.get(f"{running.url}/healthz").status_code == 200
            break
        except httpx.TransportError:
            assert time.monotonic() < end
    with running.visitor() as one, running.visitor() as two, running.visitor() as three:
        assert one.ask(face(1))["faces"]
        assert two.ask(face(2))["faces"]
        assert three.answer()["error"]["code"] == "busy"
        for _ in range(6):
            with httpx.Client() as client:
                text = client.get(f"{running.url}/metrics").text
            assert "emotion_sessions 2\n" in text
            assert 'emotion_pictures_total{route="live"} 2\n' in text
    children = _children(live.process.pid)
    assert len(children) == 2
    subprocess.run(["kill", "-9", str(children[0])], check=True)
    live_said = time.monotonic() + PATIENCE
    while "starting it again" not in live.out:
        assert time.monotonic() < live_said
        time.sleep(0.05)
    with running.visitor() as visitor:
        assert visitor.ask(face(1))["faces"]
    children = _children(live.process.pid)
    live.process.terminate()
    live.finish(143)
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


@pytest.mark.slow
def test_tls_and_a_token_where_others_can_connect(start: Commands, tmp_path: Path) -> None:
    cert, key = _certificate(tmp_path)
    live = start("host=0.0.0.0", "port=0", f"tls.cert={cert}", f"tls.key={key}")
    address = _address(live)
    assert address.startswith(f"https://{socket.gethostname()}:")
    port, token = re.findall(r":(\d+)/\?token=(\S{32})$", address)[0]
    trusted = ssl.create_default_context(cafile=str(cert))
    with httpx.Client(base_url=f"https://localhost:{port}", verify=trusted) as client:
        assert client.get("/v1/model").status_code == 401
        entered = client.get("/", params={"token": token})
        assert entered.status_code == 303
        assert "secure" in entered.headers["set-cookie"].lower()
        assert client.get("/v1/model", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert token not in live.err


def _certificate(folder: Path) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def test_a_port_that_is_taken() -> None:
    with server.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"port: {port} is taken by another program .* port={port + 1}"):
            serve(compose("serve", f"port={port}"))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["host=192.0.2.1"], "host: cannot listen on 192.0.2.1"),
        (["host=no.such.name.invalid"], "host: 'no.such.name.invalid' is no address"),
        (["token=short"], "token: must be 16 or more"),
        (["token='0123456789 abcdef'"], "token: must be 16 or more"),
        (["tls.cert=a.pem"], "tls: set both"),
        (["tls.cert=a.pem", "tls.key=b.pem"], r"tls.cert: no such file 'a.pem'"),
        (["tls.cert=/etc/hostname", "tls.key=/etc/hostname"], "are no certificate with its key"),
        (["run=nothing", "port=0"], "run: "),
    ],
)
def test_mistakes(overrides: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        serve(compose("serve", *overrides))


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else found(name))
    with pytest.raises(UserError, match=r"serving needs uvicorn, .* pip install 'emotion\[serve\]'"):
        serve(compose("serve"))


def test_which_addresses_are_this_machine_alone() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", "example.org", "", "127.evil.org")))
