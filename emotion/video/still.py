"""An address that gives one picture: a photo on a web server, or the snapshot of an ESP32 or IP camera."""

from __future__ import annotations

import http.client
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from urllib.parse import unquote, urlsplit

from emotion.base.errors import UserError
from emotion.faces import decoding
from emotion.faces.formats import UnreadableImageError
from emotion.faces.images import Image
from emotion.video import diagnose
from emotion.video.frame import Frame, Stream
from emotion.video.reconnect import RECONNECT_SECONDS, Worker

log = logging.getLogger(__name__)

#: Pictures a second that a snapshot address is asked for, seconds for an answer, and bytes of it at most.
RATE, TIMEOUT, MOST_BYTES = 4.0, 3.0, 64 << 20


def picture(address: str) -> bytes | None:
    """The picture that an address answers with; None for streams, films, pages, and where nothing comes."""
    if not address.lower().startswith(("http://", "https://")):
        return None
    try:
        parts = urlsplit(address)
        with _opener(address).open(
            parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), None, TIMEOUT
        ) as answer:
            if answer.headers.get_content_maintype() != "image":
                return None
            return bytes(answer.read(MOST_BYTES))
    except (OSError, ValueError, http.client.HTTPException):  # which is said when it is opened as a stream
        return None


def stream(address: str, first: bytes, again: bool, worker: Worker) -> Stream:
    """The picture as a source: one image, or with ``again`` asked for at a steady rate, until the worker is stopped.

    Raises:
        UserError: At the frame, where it cannot be decoded.
    """
    name = diagnose.shown(address)
    if not again:
        return Stream(name, "pictures", 1.0, _once(name, first), 1)
    return Stream(name, "stream", RATE, _repeated(name, address, worker))


def _once(name: str, data: bytes) -> Iterator[Frame]:
    yield Frame(0, 0.0, _decoded(name, data))


def _repeated(name: str, address: str, worker: Worker) -> Iterator[Frame]:
    started = answered = time.monotonic()
    index, has_shown = 0, False
    while not worker.stopped():
        due = started + index / RATE
        while (left := due - time.monotonic()) > 0 and not worker.stopped():
            time.sleep(min(left, 0.1))
        data = worker.do(lambda: picture(address))
        now, image = time.monotonic(), None
        with suppress(UserError) if has_shown else nullcontext():  # a picture that is cut off is none
            image = _decoded(name, data) if data else None
        if image is not None:
            answered, has_shown = now, True
            yield Frame(index, now - started, image)
        elif now - answered > RECONNECT_SECONDS and not worker.stopped():
            log.warning("%s: no picture came for %g s; ended after frame %d", name, RECONNECT_SECONDS, index)
            return
        index = max(index + 1, int((now - started) * RATE))  # what was missed is not made up for


def _decoded(name: str, data: bytes) -> Image:
    try:
        return decoding.decode(data)
    except UnreadableImageError as error:
        raise UserError(f"source: the picture at '{name}' cannot be decoded: {error}") from None


def _opener(address: str) -> urllib.request.OpenerDirector:
    """With the address's user and password, by the Basic or the Digest method, for this server alone."""
    parts = urlsplit(address)
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        place = parts._replace(netloc=parts.netloc.rpartition("@")[2], path="", query="", fragment="").geturl()
        passwords.add_password(None, place, unquote(parts.username), unquote(parts.password or ""))
    handlers = (urllib.request.HTTPBasicAuthHandler(passwords), urllib.request.HTTPDigestAuthHandler(passwords))
    return diagnose.opener(*handlers)
