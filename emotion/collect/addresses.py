"""Web addresses as pages write them, with spaces, umlauts and stray percent signs, made fit for a request."""

from __future__ import annotations

import re

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

_LABEL = "[a-z0-9_~-]{1,63}"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*\.?|\[[0-9a-f:.]+\]")


def normalised(url: str) -> str:
    """An http(s) address in ASCII as browsers request it (RFC 3986, section 6.2.2), without a fragment.

    Normalising twice changes nothing.

    Raises:
        ValueError: ``not http(s)``; or ``bad address``: no host, a user name and password, a port that is no number.
    """
    url = re.sub(r"[\t\r\n]", "", url.strip())
    if not re.match("https?:", url, re.IGNORECASE):
        raise ValueError("not http(s)")
    try:
        parts = parse_url(url)
    except LocationParseError:
        raise ValueError("bad address") from None
    if parts.auth is not None or not _HOST.fullmatch(parts.host or ""):
        raise ValueError("bad address")
    return parts._replace(path=parts.path or "/", query=parts.query or None, fragment=None).url
