"""Listening: an address, TLS, one process or several, until a signal comes."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from emotion.base.errors import UserError
from emotion.base.interrupts import Stop, interruption

#: Seconds in which a client must have sent the head of a request.
HEAD = 10.0
#: Seconds after which an answer that the client does not read ends the connection.
UNREAD = 10.0
#: Seconds that requests have to end after a signal.
GRACE = 1
#: Bytes of a message of a visitor's socket at most: a time, and a picture.
MESSAGE = 1 << 20
#: Connections of one process; more are answered with 503.
CONNECTIONS = 512


class _Impatient(H11Protocol):
    """Closes connections whose next request's head does not come, or whose client does not read the answer; uvicorn
    waits for ever."""

    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD, self.transport.abort)  # to close would wait for the client

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD, transport.close)

    def handle_events(self) -> None:
        super().handle_events()
        self._wait(self.conn.trailing_data[0] != b"" and self.scope is not None and self._is_between())

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(False)
        super().connection_lost(exc)

    def _is_between(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self, is_wanted: bool) -> None:
        """Stop the clock once a head has come whole; start it where a part of the next one has."""
        if is_wanted and self._late is None:
            self._late = self.loop.call_later(HEAD, self.transport.close)
        elif not is_wanted and self._late is not None and self.scope is not None:
            self._late.cancel()
            self._late = None


class _Server(uvicorn.Server):
    """Ends when the house's own flag says so; uvicorn would take the signals over."""

    def __init__(self, config: uvicorn.Config, stop: Stop, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop, self._announce = stop, started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    async def on_tick(self, counter: int) -> bool:
        self.should_exit = self.should_exit or self._stop()
        return await super().on_tick(counter)


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address; port 0 takes any free one.

    Raises:
        UserError: The port is taken or not allowed, or there is no such address here.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UserError(f"host: '{host}' is no address or name of this machine ({error.strerror})") from None
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(1024)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port: {port} is taken by another program (ss -ltnp 'sport = :{port}' names it). "
                f"End that, or choose another: port={port + 1 if port < 65535 else 8000}, or port=0 for any free one"
            ) from None
        if error.errno == errno.EACCES:
            raise UserError(f"port: you may not listen on {port}; choose one from 1024 to 65535") from None
        raise UserError(f"host: cannot listen on {host} port {port} ({error.strerror})") from None
    bound.setblocking(False)
    return bound


def check_tls(cert: str | None, key: str | None) -> None:
    """Read a certificate and its key once, so that a mistake is told before anything is opened.

    Raises:
        UserError: One is missing, cannot be read, or they do not belong together.
    """
    if (cert is None) != (key is None):
        raise UserError("tls: set both tls.cert=<certificate, PEM> and tls.key=<its private key, PEM>")
    for name, value in (("cert", cert), ("key", key)):
        if value is not None and not Path(value).is_file():
            raise UserError(f"tls.{name}: no such file '{value}'")
    if cert is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
        except (ssl.SSLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise UserError(f"tls: '{cert}' and '{key}' are no certificate with its key ({reason})") from None


def serve(
    app: ASGIApp, bound: socket.socket, tls: tuple[str, str] | None, stop: Stop, started: Callable[[], None]
) -> None:
    """Serve until the flag is up; then within about :data:`GRACE` seconds."""
    config = uvicorn.Config(
        app,
        http=_Impatient,
        ws="websockets-sansio",
        ws_max_size=MESSAGE,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="critical",  # what clients do wrong is counted, and the guard logs what goes wrong here
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=16_384,
        ssl_certfile=tls and tls[0],
        ssl_keyfile=tls and tls[1],
    )
    asyncio.run(_Server(config, stop, started).serve([bound]))


def in_processes(workers: int, work: Callable[[int, Stop], None], died: Callable[[int], None], stop: Stop) -> None:
    """Run a function in forked processes until the flag is up; one that dies is started again, after a second.

    Args:
        workers: How many.
        work: Gets the process's number, from 0, and its own flag.
        died: Gets the number of a process that is to be started again.
        stop: Passed on to them as SIGTERM.
    """
    running = {_fork(number, work, stop): number for number in range(workers)}
    while not stop():
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in running:
            number = running.pop(pid)
            died(number)
            print(f"process {number} ended with {os.waitstatus_to_exitcode(status)}; starting it again", flush=True)
            time.sleep(1)
            running[_fork(number, work, stop)] = number
        elif not pid:
            time.sleep(0.1)
    for pid in running:
        os.kill(pid, signal.SIGTERM)
    for pid in running:
        os.waitpid(pid, 0)


def _fork(number: int, work: Callable[[int, Stop], None], stop: Stop) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        with interruption() as own:
            work(number, _Asked((own, stop), os.getppid()))
        code = 0
    finally:
        os._exit(code)


class _Asked(Stop):
    """A process's flag: its own; its parent's, as a signal may come before it has its own; or the parent's death."""

    def __init__(self, flags: Sequence[Stop], parent: int) -> None:
        super().__init__()
        self._flags, self._parent = flags, parent

    def __call__(self) -> bool:
        return any(flag() for flag in self._flags) or os.getppid() != self._parent
