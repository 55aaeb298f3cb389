"""Who may ask: the names by which this server is called, the pages that may use it, and the token.

It stands before everything else. A WebSocket is no different: browsers do not hold it back as they do other requests.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected

from emotion.serve.errors import RefusedError
from emotion.serve.metrics import ROUTES, Metrics

log = logging.getLogger(__name__)

#: By these the browser keeps the page from loading or sending anything elsewhere.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
#: What browsers are told who ask for a page of another server, before they send what it wants.
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "authorization, content-type",
    "Access-Control-Max-Age": "600",
}
#: What is raised where a client has left.
_LEFT = (ClientDisconnect, ClientDisconnected, ConnectionError)
#: What is answered without a token: that the server is alive.
OPEN = ("/healthz", "/v2/health/live", "/v2/health/ready")


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        hosts: Names of this server, lower case, without port.
        origins: Pages of other servers that may ask, such as ``https://example.org``.
        token: None where none is needed.
    """

    hosts: Collection[str]
    origins: Collection[str] = ()
    token: str | None = None

    @property
    def cookie(self) -> str:
        """What the browser keeps in place of the token."""
        return hashlib.sha256(f"emotion.serve {self.token}".encode()).hexdigest()


class Guard:
    """ASGI middleware that lets no other request through, adds the headers, counts, and hides what goes wrong."""

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics) -> None:
        self._app, self._access, self._metrics = app, access, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        route = scope["path"].removeprefix("/v1/")
        route = "infer" if scope["path"].endswith("/infer") else route if route in ROUTES else "other"
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                started = True
                MutableHeaders(scope=message).update(HEADERS | self._shared_with(scope))
                self._metrics.add("emotion_requests_total", route=route, status=f"{message['status'] // 100}xx")
            elif message["type"] == "websocket.accept":
                started = True
                self._metrics.add("emotion_requests_total", route=route, status="2xx")
            await send(message)

        try:
            answer = self._checked(scope)
            if answer is None:
                await self._app(scope, receive, sending)
            else:
                await answer(scope, receive, sending)
        except Exception as error:
            # A fault of ours is for the log, and never for the client. Starlette takes each OSError for a client's.
            cause = error.__context__ if isinstance(error, ClientDisconnect) and error.__context__ else error
            if not isinstance(cause, _LEFT):
                log.error("a request could not be answered (%s: %s)", type(cause).__name__, cause, exc_info=cause)
            if not started and scope["type"] == "http":
                refused = RefusedError(500, "this is a fault of the server; its log says more")
                await refused.response()(scope, receive, send)

    def _checked(self, scope: Scope) -> Response | None:
        """What is answered instead, where the request is not let through."""
        headers = Headers(scope=scope)
        try:
            host = _host(headers.getlist("host"))
            if host not in self._access.hosts and host != _own_address(scope):
                raise RefusedError(403, "this server is not called that; add the name to hosts=", "Host")
            self._check_origin(scope, headers)
            if scope.get("method") == "OPTIONS" and self._shared_with(scope):
                return Response(None, 204, PREFLIGHT)
            return self._check_token(scope, headers)
        except RefusedError as refusal:
            self._metrics.add("emotion_refused_total", code=refusal.body["error"]["code"])
            return refusal.response()

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        own = f"{scheme}://{headers.get('host', '').lower()}"
        for origin in headers.getlist("origin"):
            if origin.lower() != own and origin not in self._access.origins:
                raise RefusedError(403, "pages of other servers may not ask; add theirs to origins=", "Origin")

    def _shared_with(self, scope: Scope) -> dict[str, str]:
        """The headers by which browsers hand the answer to a page of another server that may ask."""
        origin = Headers(scope=scope).get("origin")
        if origin is None or origin not in self._access.origins:
            return {}
        shared = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        return shared | {"Cross-Origin-Resource-Policy": "cross-origin"}

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        token = self._access.token
        if token is None or scope["path"] in OPEN:
            return None
        kind, _, sent = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _same(sent.strip(), token):
            return None
        if any(_same(value, self._access.cookie) for value in _cookies(headers, _cookie_name(scope))):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if any(key == "token" and _same(value, token) for key, value in query):
            return None if scope["path"] != "/" or scope["type"] != "http" else self._enter(scope, query)
        words = "the token is missing or wrong: open the address that the server printed, or send it as a Bearer token"
        raise RefusedError(401, words, "token", {"WWW-Authenticate": "Bearer"})

    def _enter(self, scope: Scope, query: list[tuple[str, str]]) -> Response:
        """The page without the token in its address, where it would stay in the history; a cookie stands for it."""
        rest = urlencode([(key, value) for key, value in query if key != "token"])
        answer = RedirectResponse(f"/?{rest}" if rest else "/", 303)
        secure = scope["scheme"] == "https"
        answer.set_cookie(_cookie_name(scope), self._access.cookie, httponly=True, samesite="strict", secure=secure)
        return answer


def _same(sent: str, expected: str) -> bool:
    return hmac.compare_digest(sent.encode(), expected.encode())


def _host(values: list[str]) -> str:
    """The name in the one ``Host`` header, lower case, without port and brackets."""
    if len(values) != 1:
        raise RefusedError(400, "there must be one Host header", "Host")
    match = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]+))(?::\d{1,5})?", values[0].lower())
    return (match[1] or match[2]) if match else ""


def _own_address(scope: Mapping[str, object]) -> str | None:
    """The address at which the request came in, where it is one: no name can be bound to it from outside."""
    server = scope.get("server")
    try:
        return str(ipaddress.ip_address(server[0])) if isinstance(server, tuple | list) and server else None
    except ValueError:
        return None


def _cookie_name(scope: Scope) -> str:
    """Cookies do not tell ports apart."""
    server = scope.get("server")
    return f"emotion-{server[1] if server else 0}"


def _cookies(headers: Headers, name: str) -> list[str]:
    pairs = (part.strip().partition("=") for value in headers.getlist("cookie") for part in value.split(";"))
    return [value for key, _, value in pairs if key == name]


async def health(scope: Scope, receive: Receive, send: Send) -> None:
    """That the server is alive."""
    await JSONResponse({"status": "ok"})(scope, receive, send)
