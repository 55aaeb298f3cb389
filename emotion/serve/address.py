"""The address that a server listens on, and who may use it."""

from __future__ import annotations

import importlib.util
import ipaddress
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emotion.base.errors import UserError

if TYPE_CHECKING:
    from emotion.serve.guard import Access

#: The packages of the extra.
_PACKAGES = ("starlette", "uvicorn", "websockets", "python_multipart")
_SHORTEST_TOKEN = 16
#: Addresses that stand for all of this machine's.
_ALL = ("0.0.0.0", "::", "")


@dataclass(frozen=True)
class Opened:
    """An address that is listened on.

    Attributes:
        bound: The socket.
        access: Who may ask.
        tls: Files of a certificate and its key; None without TLS.
        url: For people; with the token, if one is needed.
    """

    bound: socket.socket
    access: Access
    tls: tuple[str, str] | None
    url: str


@contextmanager
def opened(cfg: Any) -> Iterator[Opened]:
    """Listen on an address, by the keys of :class:`emotion.config.commands.Address`.

    Raises:
        UserError: A port that is taken, a wrong token, wrong TLS files, or packages that are missing.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"serving needs {', '.join(missing)}, not installed here. pip install 'emotion[serve]'")
    from emotion.serve import server
    from emotion.serve.guard import Access

    server.check_tls(cfg.tls.cert, cfg.tls.key)
    token = _token(cfg)
    own = [cfg.host] if cfg.host not in _ALL else [socket.gethostname()]
    names = frozenset(str(name).lower() for name in (*own, *cfg.hosts, "localhost", "127.0.0.1", "::1"))
    access = Access(names, tuple(str(origin).rstrip("/") for origin in cfg.origins), token)
    with server.listen(cfg.host, cfg.port) as bound:
        tls = (cfg.tls.cert, cfg.tls.key) if cfg.tls.cert else None
        yield Opened(bound, access, tls, _url(own[0], bound.getsockname()[1], token, tls is not None))


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token(cfg: Any) -> str | None:
    """The token: as given; made up where one is needed, which is wherever others than this machine can connect."""
    if cfg.token is None:
        return None if is_loopback(cfg.host) else secrets.token_urlsafe(24)
    token = str(cfg.token)
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(f"token: must be {_SHORTEST_TOKEN} or more characters of ASCII without spaces; or leave it out")
    return token


def _url(host: str, port: int, token: str | None, is_tls: bool) -> str:
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if is_tls else 'http'}://{host}:{port}/{f'?token={token}' if token else ''}"
