"""Why an address gives no video: found by asking the server itself, since OpenCV only reports failure."""

from __future__ import annotations

import base64
import http.client
import re
import socket
import urllib.error
import urllib.request
from urllib.parse import SplitResult, unquote, urlsplit

#: Seconds for each answer.
TIMEOUT = 2.0

_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935}
_SILENT = "{place} takes the connection and sends nothing. Is it the right port, and does the server still work?"
_PASSWORD = "it wants a user and a password, or different ones: {scheme}://user:password@..."
_DIGEST = (
    "it asks for Digest authentication, which OpenCV supports but this check does not: either the user and the "
    "password are wrong, or the path '{path}' is"
)
_MISSING = "the server runs, but has nothing at '{path}' ({status}); check the path"
_NO_VIDEO = "the server answers, but what it sends cannot be decoded as video ({what}). Give the address of the stream"
_SECRET = r"(?<![a-z])(?:pwd|pass|token|auth|key|secret|usr|user|login)"


def shown(address: str) -> str:
    """An address without user and password, which some cameras take in the query."""
    scheme, mark, rest = address.partition("://")
    place, query, parameters = rest.partition("?")
    hidden = re.sub(rf"({_SECRET}[^=&]*=)[^&#]*", r"\1...", parameters, flags=re.IGNORECASE)
    host, slash, path = place.partition("/")
    # A password with a slash in it, which should be written %2F, is cut in two here.
    is_cut = "@" not in host and "@" in path and not re.fullmatch(r"[^:]*(:\d*)?", host)
    place = place.rpartition("@")[2] if is_cut else f"{host.rpartition('@')[2]}{slash}{path}"
    return f"{scheme}{mark}{place}{query}{hidden}" if mark else address


def diagnose(address: str) -> str:
    """Why an address gave no video and what to do, in one or two sentences."""
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
    lines = [f"DESCRIBE {target} RTSP/1.0", "CSeq: 1", "Accept: application/sdp", *_authorization(parts)]
    with socket.create_connection((host, port), TIMEOUT) as connection:
        connection.settimeout(TIMEOUT)
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer, _, headers = connection.recv(1000).decode("latin-1").partition("\r\n")
    protocol, _, status = answer.strip().partition(" ")
    if not protocol.startswith("RTSP/"):
        return f"what listens at {host}:{port} does not speak RTSP; check the port"
    return _by_status(parts, status, "what it announces", wants=headers.lower())


def _ask_http(parts: SplitResult, host: str) -> str:
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
    request = urllib.request.Request(address)
    for line in _authorization(parts):
        request.add_unredirected_header(*line.split(": ", 1))  # the password is for this server alone
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
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
