"""What the server of ``bing_server`` has to show, and what it answers, rightly or with a fault."""

from __future__ import annotations

import gzip
import html
import json
import struct
import threading
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.helpers.pictures import png_bomb

if TYPE_CHECKING:
    from tests.helpers.bing_server import BingServer

#: What a picture's host can do wrong; see `Handler.picture`.
FAULTS = (
    "404", "503", "flaky", "busy", "html", "empty", "truncated", "cut", "silent", "drip", "drip_headers", "huge",
    "huge_declared", "reset", "gzip", "gzip_bomb", "gzip_damaged", "brotli", "bomb", "redirect", "redirect_file",
    "redirect_ftp", "redirect_loop", "chunked", "no_length", "nonsense",
)  # fmt: skip
HANGS = ("silent", "drip", "drip_headers", "huge", "huge_declared", "reset", "truncated", "nonsense")
#: What Bing's page of results can do wrong; see `Handler.index`.
INDEX_FAULTS = (
    "403", "503", "flaky", "silent", "drip", "reset", "bad_utf8", "broken_facts", "repeat", "hole", "overlap", "gzip",
    "nothing", "dies",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One result.

    Attributes:
        url: A path below ``/pictures/`` of the server as Bing would write it, or a whole address of any scheme.
        content: The file's bytes.
        fault: One of :data:`FAULTS`.
        title: What Bing calls it.
        page_url: The page that shows it.
    """

    url: str
    content: bytes = b""
    fault: str | None = None
    title: str = "a face"
    page_url: str = "https://pages.test/shown-here"


@dataclass(frozen=True)
class Request:
    """One request that the server had: its host, path (as sent) and query, and whether the body was sent whole."""

    host: str
    path: str
    query: dict[str, str]
    whole: bool
    began: float = field(compare=False)


class Handler(BaseHTTPRequestHandler):
    def __init__(self, owner: BingServer, *args: Any) -> None:
        self.owner = owner
        super().__init__(*args)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        self.began, self.noted, whole = time.monotonic(), False, False
        self.owner.answering.add(threading.current_thread())
        self.owner.asked.append(parts.path)
        try:
            if parts.path == "/images/async":
                whole = self.index(dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True)))
            else:
                whole = self.picture(self.owner.entry(self.path.removesuffix("?moved")), self.path.endswith("?moved"))
        except OSError:
            self.close_connection = True
        finally:
            self.note(whole)

    def note(self, whole: bool) -> None:
        """Write this request down, once."""
        if not self.noted:
            parts = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
            self.owner.record(Request(self.headers.get("Host", ""), parts.path, query, whole, self.began))
        self.noted = True
        self.owner.answering.discard(threading.current_thread())

    # ------------------------------------------------------------------------------------------------- the index

    def index(self, query: Mapping[str, str]) -> bool:
        owner = self.owner
        word = owner.word(query["q"])
        fault = owner.index_faults.get(word or "")
        entries = owner.catalogue[word] if word else []
        first, count = int(query["first"]), min(int(query["count"]), owner.page)
        if fault == "nothing":
            return self.send(200, b"", "text/html")
        if fault == "repeat":
            first = 0
        if fault == "overlap":
            first = max(0, first - count // 2)
        if fault == "hole":  # an empty page before each one that is not
            number = owner.count(f"hole {query['q']}")
            first, entries = number // 2 * count, entries if number % 2 else []
        page = page_of([(owner.url(e), e) for e in entries[first : first + count]], broken=fault == "broken_facts")
        body = page.encode()
        if fault == "flaky" and owner.count(f"index {query['q']}") < 2:
            return self.send(503, b"later", "text/plain")
        if fault == "dies" and first > 0:
            fault = "503"
        if fault in ("403", "503"):
            return self.send(int(fault), b"no", "text/plain")
        if fault in ("silent", "drip", "reset"):
            return self.hinder(fault, body)
        if fault == "bad_utf8":
            body = body.replace(b"<ul>", b"<ul>\xff\xfe")
        if fault == "gzip":
            return self.send(200, gzip.compress(body), "text/html", **{"Content-Encoding": "gzip"})
        return self.send(200, body, "text/html; charset=utf-8")

    # ---------------------------------------------------------------------------------------------- the pictures

    def picture(self, entry: Entry | None, moved: bool) -> bool:
        if self.owner.over.wait(self.owner.delay) or entry is None:
            return self.send(404, b"no such picture", "text/plain")
        fault, body = entry.fault, entry.content
        tries = self.owner.count(entry.url)
        if fault in ("404", "503"):
            return self.send(int(fault), b"no", "text/plain")
        if fault == "flaky" and tries < 2:
            return self.send(503, b"later", "text/plain")
        if fault == "busy" and tries < 1:
            return self.send(429, b"later", "text/plain", **{"Retry-After": "1"})
        if fault == "html":
            return self.send(200, b"<!DOCTYPE html><html><body>Sign in to see this</body></html>", "image/jpeg")
        if fault == "empty":
            return self.send(200, b"", "image/jpeg")
        if fault == "cut":
            return self.send(200, body[: len(body) // 2], "image/jpeg")
        if fault == "bomb":
            return self.send(200, png_bomb(50_000, 50_000), "image/png")
        if fault == "redirect" and not moved:
            return self.send(302, b"", "text/plain", Location=f"{self.path}?moved")
        if fault in ("redirect_file", "redirect_ftp"):
            target = {"redirect_file": Path(__file__).as_uri(), "redirect_ftp": "ftp://127.0.0.1:9/face.jpg"}[fault]
            return self.send(302, b"", "text/plain", Location=target)
        if fault == "redirect_loop":
            return self.send(302, b"", "text/plain", Location=self.path)
        if fault == "gzip":
            return self.send(200, gzip.compress(body), "image/jpeg", **{"Content-Encoding": "gzip"})
        if fault == "gzip_bomb":
            return self.send(
                200, gzip.compress(body + bytes(50_000_000), 1), "image/jpeg", **{"Content-Encoding": "gzip"}
            )
        if fault == "gzip_damaged":
            return self.send(200, b"no gzip" + body, "image/jpeg", **{"Content-Encoding": "gzip"})
        if fault == "brotli":
            return self.send(200, body, "image/jpeg", **{"Content-Encoding": "br"})
        if fault in ("chunked", "no_length"):
            return self.stream(body, chunked=fault == "chunked")
        return self.hinder(fault, body) if fault in HANGS else self.send(200, body, "image/jpeg")

    # ------------------------------------------------------------------------------------------------- the wires

    def send(self, code: int, body: bytes, kind: str, **headers: str) -> bool:
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        return True

    def stream(self, body: bytes, *, chunked: bool) -> bool:
        self.protocol_version = "HTTP/1.1" if chunked else "HTTP/1.0"
        self.send_response(200)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        for begin in range(0, len(body), 10_000):
            part = body[begin : begin + 10_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True
        return True

    def hinder(self, fault: str, body: bytes) -> bool:
        """Faults below HTTP; what hangs does so until the server ends."""
        self.close_connection = True
        self.note(whole=False)
        if fault == "silent":
            self.owner.over.wait()
            return False
        if fault == "reset":
            self.connection.setsockopt(*_LINGER)  # closing sends a reset
            return False
        if fault == "nonsense":
            self.wfile.write(b"\x00\x01\x02 not HTTP at all\r\n\r\n")
            return False
        if fault == "drip_headers":
            self.drip(b"HTTP/1.0 200 OK\r\nX-Wait: " + b"." * 10_000)
            return False
        self.send_response(200)
        if fault == "truncated":
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
        elif fault == "drip":
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.drip(body)
        elif fault == "huge_declared":
            self.send_header("Content-Length", str(10**12))
            self.end_headers()
            self.owner.over.wait()
        elif fault == "huge":
            self.end_headers()
            while not self.owner.over.is_set():
                self.wfile.write(body)
        return False

    def drip(self, data: bytes) -> None:
        for byte in data:
            if self.owner.over.wait(0.1):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()


_LINGER = (1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER


def page_of(results: Sequence[tuple[str, Entry]], broken: bool) -> str:
    """A page as Bing writes it."""
    lines = []
    for number, (url, entry) in enumerate(results):
        facts = {"cid": "x", "purl": entry.page_url, "murl": url, "turl": "https://thumbs.test/1", "t": entry.title}
        text = json.dumps(facts, separators=(",", ":"), ensure_ascii=False)
        if broken and number % 2 == 0:
            text = text[:-1] + ",,}"
        lines.append(f'<li><a class="iusc" href="#" m="{html.escape(text)}"><img src="x"></a></li>')
    return f'<div class="dgControl"><ul>{"".join(lines)}</ul></div>' if lines else "<div></div>"
