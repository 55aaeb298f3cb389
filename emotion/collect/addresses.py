"""Web addresses as pages write them, with spaces, umlauts and stray percent signs, made fit for a request."""

from __future__ import annotations

import re
import urllib.parse

_SAFE = "!$&'()*+,;=:@/"  # RFC 3986: pchar and "/", beside letters, digits and "-._~"
_HOST = re.compile(r"[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\]")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def normalised(url: str) -> str:
    """An http(s) address in ASCII: host in lower case and Punycode, the rest percent-encoded once, no fragment.

    What is percent-encoded stays as it is. Normalising twice changes nothing.

    Raises:
        ValueError: ``not http(s)``; or ``bad address``: no host, a name and password, a port that is no number.
    """
    url = url.strip()
    scheme = url.split(":", 1)[0].lower()
    if scheme not in ("http", "https") or ":" not in url:
        raise ValueError("not http(s)")
    try:
        parts = urllib.parse.urlsplit(re.sub(r"[\t\r\n]", "", url))
        host = _host(parts.netloc)
    except ValueError:
        raise ValueError("bad address") from None
    path = _encoded(parts.path, _SAFE) or "/"
    return urllib.parse.urlunsplit((scheme, host, path, _encoded(parts.query, _SAFE + "?"), ""))


def _host(netloc: str) -> str:
    # urlsplit's own .hostname and .port accept "host:" and digits of other alphabets.
    name, colon, port = netloc.rpartition(":") if re.search(r":[^\]]*$", netloc) else (netloc, "", "")
    if colon and not re.fullmatch(r"[0-9]{0,5}", port):
        raise ValueError(netloc)
    if not name.isascii():
        name = name.encode("idna").decode()
    if len(name) > 253 or not _HOST.fullmatch(name) or int(port or 0) > 65535:
        raise ValueError(netloc)
    return name.lower() + (f":{port}" if port else "")


def _encoded(text: str, safe: str) -> str:
    return urllib.parse.quote(_STRAY_PERCENT.sub("%25", text), safe=safe + "%", errors="replace")
