"""Why an address gives no video: found by asking the server itself, since OpenCV only reports failure."""

from __future__ import annotations

import base64
import http.client
import re
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

#: Seconds for each answer, and for all of it: a socket's own time-out starts again with every byte.
TIMEOUT, LONGEST = 2.0, 10.0

_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935}
_SILENT = "{place} takes the connection and sends nothing. Is it the right port, and does the server still work?"
_PASSWORD = "it wants a user and a password, or different ones: {scheme}://user:password@..."
_DIGEST = (
    "it asks for Digest authentication, which OpenCV supports but this check does not: either the user and the "
    "password are wrong, or the path '{path}' is"
)
_MISSING = "the server runs, but has nothing at '{path}' ({status}); check the path"
_NO_VIDEO = "the server answers, but what it sends cannot be decoded as video ({what}). Give the address of the stream"
_CHARACTERS = (
    "its user or password holds a character that means something else there: write ? as %3F, # as %23, / as %2F, @ as "
    "%40, [ as %5B, ] as %5D"
)
_NO_TCP = (
    "the server sends over UDP alone (to RTP over TCP it says: {status}), and over UDP nothing came; check that no "
    "firewall keeps UDP from this machine"
)
_SECRET = r"(?<![a-z])(?:pwd|pass|token|auth|key|secret|usr|user|login)"


class _Bounded:
    """A connection that is cut when an answer takes too long."""

    def connect(self) -> None:
        connection: Any = self
        super().connect()  # type: ignore[misc]
        timer = threading.Timer(LONGEST, _cut, [connection.sock])
        timer.daemon = True
        timer.start()


class _Connection(_Bounded, http.client.HTTPConnection):
    pass


class _SecureConnection(_Bounded, http.client.HTTPSConnection):
    pass


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # closed long since
        connection.shutdown(socket.SHUT_RDWR)


class _Plain(urllib.request.HTTPHandler):
    def http_open(self, req: Any) -> Any:
        return self.do_open(_Connection, req)


class _Secure(urllib.request.HTTPSHandler):
    def https_open(self, req: Any) -> Any:
        return self.do_open(_SecureConnection, req, context=self._context)  # type: ignore[attr-defined]


def opener(*handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """Opens http(s) addresses; an answer that takes more than :data:`LONGEST` seconds is cut off."""
    return urllib.request.build_opener(_Plain(), _Secure(), *handlers)


def shown(address: str) -> str:
    """An address without user and password, which some cameras take in the query.

    A password may hold any character, also those that should be written otherwise: all up to the last ``@`` is left out
    where a user and a password can stand before it.
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    if _holds_password(rest):
        rest = rest.rpartition("@")[2]
    place, query, parameters = rest.partition("?")
    hidden = re.sub(rf"({_SECRET}[^=&]*=)[^&#]*", r"\1...", parameters, flags=re.IGNORECASE)
    return f"{scheme}{mark}{place}{query}{hidden}"


def _holds_password(rest: str) -> bool:
    """Whether what follows ``://`` begins with a user, or with a host whose path merely holds an ``@``."""
    start = re.split(r"[/?#]", rest, maxsplit=1)[0]
    return "@" in rest and ("@" in start or ":" in start)


def diagnose(address: str) -> str:
    """Why an address gave no video and what to do, in one or two sentences."""
    rest = address.partition("://")[2]
    if _holds_password(rest) and re.search(r"[?#/@\[\]]", rest.rpartition("@")[0]):
        return _CHARACTERS
    try:
        parts = urlsplit(address)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:  # its message could hold a part of the password
        return "its port is not a number, or its host is malformed; check the address"
    if scheme not in _PORTS:
        return "check the address; rtsp://, http:// and https:// are tested, others depend on OpenCV's FFmpeg"
    if not host:
        return f"it names no host. Give {scheme}://<host>:<port>/<path>"
    port = port or _PORTS[scheme]
    place = f"{host}:{port}"
    try:
        socket.create_connection((host, port), TIMEOUT).close()
    except TimeoutError:
        return f"{place} does not answer. Is the machine on, in this network, and does its firewall allow it?"
    except socket.gaierror:
        return f"no host '{host}' is known; check the address"
    except OSError as error:
        return f"nothing listens at {place} ({error.strerror or error}). Is the server running, on that port?"
    try:
        if scheme == "rtsp":
            return _ask_rtsp(parts, host, port)
        if scheme in ("http", "https"):
            return _ask_http(parts, host)
    except TimeoutError:
        return _SILENT.format(place=place)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return f"{place} gave no proper answer ({error}); check the address"
    return "the server runs; check the path, user and password"


def _ask_rtsp(parts: SplitResult, host: str, port: int) -> str:
    target = parts._replace(netloc=f"{host}:{port}").geturl()
    question = _request("DESCRIBE", target, 1, "Accept: application/sdp", *_authorization(parts))
    with socket.create_connection((host, port), TIMEOUT) as connection:
        connection.settimeout(TIMEOUT)
        connection.sendall(question)
        answer, _, headers = connection.recv(1000).decode("latin-1").partition("\r\n")
    protocol, _, status = answer.strip().partition(" ")
    if not protocol.startswith("RTSP/"):
        return f"what listens at {host}:{port} does not speak RTSP; check the port"
    if status.startswith("2") and (refused := _setup_over_tcp(parts, host, port)).startswith("461"):
        return _NO_TCP.format(status=refused)
    return _by_status(parts, status, "what it announces", wants=headers.lower())


def refuses_tcp(address: str) -> bool:
    """Whether an RTSP server answers, and refuses to send over TCP (RFC 2326, status 461)."""
    try:
        parts = urlsplit(address)
        if parts.scheme.lower() != "rtsp" or not parts.hostname:
            return False
        return _setup_over_tcp(parts, parts.hostname, parts.port or _PORTS["rtsp"]).startswith("461")
    except (OSError, ValueError):
        return False


def _setup_over_tcp(parts: SplitResult, host: str, port: int) -> str:
    """The status with which a server answers the request for its video over TCP."""
    target = parts._replace(netloc=f"{host}:{port}").geturl()
    own = _authorization(parts)
    with socket.create_connection((host, port), TIMEOUT) as connection:
        connection.settimeout(TIMEOUT)
        connection.sendall(_request("DESCRIBE", target, 1, "Accept: application/sdp", *own))
        told = connection.recv(1 << 16).decode("latin-1")
        video = re.search(r"m=video.*?a=control:(\S+)", told, re.DOTALL)
        control = video[1] if video else ""
        track = control if "://" in control else f"{target.rstrip('/')}/{control}"
        connection.sendall(_request("SETUP", track, 2, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", *own))
        return connection.recv(1000).decode("latin-1").partition("\r\n")[0].partition(" ")[2]


def _request(kind: str, target: str, number: int, *headers: str) -> bytes:
    return ("\r\n".join([f"{kind} {target} RTSP/1.0", f"CSeq: {number}", *headers]) + "\r\n\r\n").encode()


def _ask_http(parts: SplitResult, host: str) -> str:
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
    request = urllib.request.Request(address)
    for line in _authorization(parts):
        request.add_unredirected_header(*line.split(": ", 1))  # the password is for this server alone
    try:
        with opener().open(request, timeout=TIMEOUT) as answer:
            kind = answer.headers.get_content_type()
            if kind == "text/html":
                return "the server sends a web page, not video. Give the address of the stream that the page shows"
            if not answer.read(1):
                kind = "nothing at all"
            return _by_status(parts, f"{answer.status}", kind)
    except urllib.error.HTTPError as error:
        with error:
            wants = f"www-authenticate: {error.headers.get('WWW-Authenticate', '')}".lower()
            return _by_status(parts, f"{error.code} {error.reason}", "", wants)
    except urllib.error.URLError as error:
        raise error.reason if isinstance(error.reason, OSError) else error from None


def _by_status(parts: SplitResult, status: str, what: str, wants: str = "") -> str:
    if status.startswith("401") and "www-authenticate: digest" in wants and parts.username is not None:
        return _DIGEST.format(path=parts.path or "/")
    if status.startswith(("401", "403")):
        return _PASSWORD.format(scheme=parts.scheme)
    if status.startswith(("404", "410", "454")):
        return _MISSING.format(path=parts.path or "/", status=status)
    if status.startswith("2"):
        return _NO_VIDEO.format(what=what)
    return f"the server answers '{status}'; check its own log"


def _authorization(parts: SplitResult) -> list[str]:
    if parts.username is None:
        return []
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return [f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}"]
