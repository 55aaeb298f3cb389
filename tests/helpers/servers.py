"""A real MJPEG server on loopback, in this process or, so that it can be killed, in one of its own.

python -m tests.helpers.servers <port>      prints its port; 0 takes a free one
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np

from emotion.data import synthetic

REPOSITORY = Path(__file__).resolve().parents[2]
SIZE = (320, 240)
COUNT = 7
#: Seconds between two frames.
PAUSE = 0.04


@lru_cache
def drawn() -> list[np.ndarray]:
    """One drawn face of each emotion, uint8 BGR."""
    return [synthetic.frame(3, emotion, SIZE)[0] for emotion in range(COUNT)]


@lru_cache
def _jpegs(scale: int = 1) -> list[bytes]:
    sized = [cv2.resize(image, None, fx=scale, fy=scale) for image in drawn()]
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in sized]


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/missing":
            self.send_error(404)
        elif path == "/private" and self.headers["Authorization"] != "Basic bWU6c2VjcmV0":  # me:secret
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/digest":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Digest realm="camera", nonce="1"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/told")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/told":
            self._send("text/html" if self.headers["Authorization"] else "text/plain", b"a word or two")
        elif path == "/page":
            self._send("text/html", b"<html><body>The camera is at /video</body></html>" * 40)
        elif path == "/empty":
            self._send("multipart/x-mixed-replace", b"")
        elif path in ("/clip", "/whole") and self.server.clip:
            self._send("video/mp4", self.server.clip.read_bytes(), ranges=path == "/clip")
        else:
            self._stream(path)

    def _send(self, kind: str, body: bytes, ranges: bool = False) -> None:
        """A whole body, or the end of it that the client asks for: enough for FFmpeg to find an MP4's index."""
        asked = re.match(r"bytes=(\d+)-", self.headers["Range"] or "")
        self.send_response(206 if ranges and asked else 200)
        if ranges and asked:
            start = int(asked[1])
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            body = body[start:]
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # who only looked has hung up
            self.wfile.write(body)

    def _stream(self, path: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        count = 0
        while not self.server.ended.wait(PAUSE):
            if path == "/stall" and count >= 5:
                continue  # the connection stays, and nothing comes
            if path == "/grow" and count >= 5 and not self.server.grown:
                self.server.grown = True  # whoever comes back gets larger frames
                return
            data = _jpegs(2 if path == "/grow" and self.server.grown else 1)[count % COUNT]
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            try:
                self.wfile.write(head + data + b"\r\n")
            except OSError:
                return
            count += 1


class Server(ThreadingHTTPServer):
    """Serves ``/video``, ``/stall``, ``/grow``, ``/private``, ``/digest``, ``/page``, ``/empty``, ``/missing``, a file
    as ``/clip``, and as ``/whole`` without byte ranges; ``/moved`` leads to a page that shows who brings a password."""

    daemon_threads = True

    def __init__(self, port: int = 0, clip: Path | None = None) -> None:
        _jpegs()
        self.clip, self.grown, self.ended = clip, False, threading.Event()
        super().__init__(("127.0.0.1", port), _Handler)


@contextmanager
def mjpeg(clip: Path | None = None) -> Iterator[str]:
    """A server in this process; gives its address without the path."""
    with Server(clip=clip) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def dripping() -> Iterator[int]:
    """The port of a server whose answer's head comes a byte at a time, and never ends."""
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Wait: ")
            while not ended.wait(0.05):
                connection.sendall(b".")

    def serve(server: socket.socket) -> None:
        with suppress(OSError):  # it is closed
            while True:
                threading.Thread(target=drip, args=[server.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=[server], daemon=True).start()
        yield server.getsockname()[1]
        ended.set()
        server.shutdown(socket.SHUT_RDWR)


def process(port: int = 0) -> subprocess.Popen[str]:
    """The server in a process of its own, which prints its port."""
    line = [sys.executable, "-m", "tests.helpers.servers", str(port)]
    return subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    with Server(int(sys.argv[1])) as serving:
        print(serving.server_port, flush=True)
        serving.serve_forever()
