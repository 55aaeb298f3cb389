"""Which servers a download may reach: public ones, by the address that a name resolves to when it is connected to.

A page or a redirect may name a router, a cloud's metadata service or a service of this machine (server-side request
forgery). The check and the connection use one answer of the name server, so that a second one cannot differ.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class PrivateAddressError(OSError):
    """A name leads to this machine, to its network, or to no single machine."""


def is_public(address: str) -> bool:
    """Whether an IP address is of the internet: not loopback, link-local, private, shared, reserved or multicast."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    return ip.is_global and not ip.is_multicast and (inner is None or is_public(str(inner)))


class _Public:
    """Connects to public addresses only; through a proxy, which resolves names itself, to names of any."""

    def _new_conn(self) -> socket.socket:
        connection: Any = self
        connect: Callable[[], socket.socket] = super()._new_conn  # type: ignore[misc]
        if connection.proxy is not None:
            return connect()
        name = connection._dns_host
        try:
            found = socket.getaddrinfo(name.strip("[]"), connection.port, type=socket.SOCK_STREAM)
        except OSError:
            found = []  # urllib3 says so
        addresses = [str(info[4][0]) for info in found]
        if not all(map(is_public, addresses)):
            raise PrivateAddressError(f"{name} is at {addresses[0]}")
        try:
            connection._dns_host = addresses[0] if addresses else name
            return connect()
        finally:
            connection._dns_host = name  # which the certificate must be for


class _Connection(_Public, HTTPConnection):
    pass


class _SecureConnection(_Public, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


def public_only(session: requests.Session) -> None:
    """Let a session reach public addresses alone; :class:`PrivateAddressError` is among the causes of its errors."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
