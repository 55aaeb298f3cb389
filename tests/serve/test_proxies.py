"""The proxies of the documentation, as they are printed: checked by their own programs, and passed through."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.sync import client as sockets
from websockets.typing import Origin

from emotion.serve.guard import Access
from tests.conftest import REPOSITORY
from tests.helpers.serving import PATIENCE, face, serving
from tests.serve.test_serve_command import _certificate

pytestmark = pytest.mark.slow

NAME, TOKEN = "faces.example.org", "a-long-secret-of-the-test"
ACCESS = Access(frozenset({NAME}), token=TOKEN)


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"needs {name}: tests/debian-packages.txt")
    return found


def _printed(title: str) -> str:
    page = (REPOSITORY / "docs" / "serving.md").read_text()
    return re.findall(rf"```\n# {title}\n(.*?)```", page, re.DOTALL)[0]


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])


@contextmanager
def _running(line: list[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "proxy.log").open("w+") as said:
        environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
        process = subprocess.Popen(line, stdout=said, stderr=said, cwd=folder, env=environment)
        try:
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    ended = process.poll() is not None or time.monotonic() > end
                    assert not ended, (folder / "proxy.log").read_text()
                    time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _visit(port: int, trusted: ssl.SSLContext | None, origin: str) -> None:
    """Pictures, a stream of lines and the socket, by the proxy's name."""
    address = f"{'https' if trusted else 'http'}://localhost:{port}"
    headers = {"Host": NAME, "Authorization": f"Bearer {TOKEN}", "Origin": origin}
    with httpx.Client(base_url=address, verify=trusted or True, headers=headers, timeout=PATIENCE) as client:
        assert client.get("/v1/model", headers={"Authorization": "Bearer another"}).status_code == 401
        assert client.get("/v1/model").json()["labels"]
        answer = client.post("/v1/pictures", content=face(), headers={"Content-Type": "image/jpeg"})
        assert len(answer.json()["pictures"][0]["faces"]) == 1
    scheme = "wss" if trusted else "ws"
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        sockets.connect(
            f"{scheme}://{NAME}/v1/live", sock=raw, ssl=trusted, server_hostname="localhost" if trusted else None,
            origin=Origin(origin), additional_headers={"Authorization": f"Bearer {TOKEN}"}, open_timeout=PATIENCE,
        ) as live,
    ):  # fmt: skip
        live.send(struct.pack(">d", 0.0) + face())
        assert len(json.loads(live.recv(PATIENCE))["faces"]) == 1


def test_nginx(tmp_path: Path) -> None:
    program, port = _program("nginx"), _free_port()
    cert, key = _certificate(tmp_path)
    with serving(ACCESS) as server:
        printed = _printed("nginx")
        for there, here in (
            ("/etc/ssl/faces.pem", str(cert)), ("/etc/ssl/faces.key", str(key)),
            ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"), ("127.0.0.1:8000", server.host),
        ):  # fmt: skip
            assert there in printed
            printed = printed.replace(there, here)
        folders = "".join(
            f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = tmp_path / "nginx.conf"
        config.write_text(
            f"daemon off; master_process off; pid {tmp_path}/pid; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off; {folders}\n{printed} }}\n"
        )
        checked = subprocess.run([program, "-t", "-c", config], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert "warn" not in checked.stderr
        with _running([program, "-c", str(config)], port, tmp_path):
            _visit(port, ssl.create_default_context(cafile=str(cert)), f"https://{NAME}")


def test_caddy(tmp_path: Path) -> None:
    program, port = _program("caddy"), _free_port()
    printed = _printed("Caddyfile")
    (tmp_path / "Caddyfile").write_text(printed)
    line = [program, "validate", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    checked = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    assert checked.returncode == 0, checked.stderr
    with serving(ACCESS) as server:
        # Its certificates come from the Internet: here it speaks plainly.
        printed = printed.replace(NAME, f"http://:{port}").replace("127.0.0.1:8000", server.host)
        (tmp_path / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + printed)
        line = [program, "run", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")]
        with _running(line, port, tmp_path):
            _visit(port, None, f"http://{NAME}")
