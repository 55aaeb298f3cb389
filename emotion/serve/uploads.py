"""Bodies of requests, counted while they come; and pictures, whose sizes are read before they are decoded."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import IO

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import Message

from emotion.base.errors import did_you_mean
from emotion.config.commands import ServeLimits
from emotion.faces import decoding
from emotion.faces.formats import UnreadableImageError, kind_of
from emotion.faces.images import Image
from emotion.serve.errors import RefusedError

# What clients send is told to them.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

#: Seconds that a body may take, and bytes a second by which more of it takes longer: a slow client holds a place.
PATIENCE, SLOWEST = 20.0, 20_000
#: The pictures that are taken.
KINDS = ("image/jpeg", "image/png", "image/webp")
MEGABYTE = 1 << 20
#: Fields of a form that are no files, which all are refused.
MOST_FIELDS = 8


class Body:
    """Receives a request's body within limits; to be put in the place of the request's own ``receive``.

    Raises:
        RefusedError: More bytes than announced as allowed, or too slow.
    """

    def __init__(self, request: Request, most: int) -> None:
        self._receive, self._most, self._read = request.receive, most, 0
        self._ends = asyncio.get_running_loop().time() + PATIENCE
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > most:
            raise self._too_large()

    async def __call__(self) -> Message:
        try:
            async with asyncio.timeout_at(self._ends):
                message = await self._receive()
        except TimeoutError:
            raise RefusedError(408, "the request came too slowly") from None
        part = len(message.get("body", b""))
        self._read, self._ends = self._read + part, self._ends + part / SLOWEST
        if self._read > self._most:
            raise self._too_large()
        return message

    def _too_large(self) -> RefusedError:
        return RefusedError(413, f"the request has more than {self._most / MEGABYTE:g} MiB")


async def body(request: Request, most: int) -> bytes:
    """A whole body of at most so many bytes."""
    bounded = Request(request.scope, Body(request, most))
    with request.app.state.service.reading():
        return await bounded.body()


class _Form(MultiPartParser):
    """Refuses a body without its closing boundary: files may be missing, or cut."""

    _is_whole = False

    def on_end(self) -> None:
        self._is_whole = True

    async def parse(self) -> FormData:
        self.stream = self._to_the_end(self.stream)  # an error that comes out of it closes the files
        return await super().parse()

    async def _to_the_end(self, stream: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for part in stream:
            yield part
        if not self._is_whole:
            raise MultiPartException("its closing boundary is missing")


@asynccontextmanager
async def files(request: Request, field: str, most: int, number: int) -> AsyncIterator[list[tuple[str, IO[bytes]]]]:
    """The files of a multipart body: their names and open temporary files, which end with the block.

    Args:
        request: Multipart.
        field: The name of the fields that hold them.
        most: Bytes of the whole body.
        number: Of files.

    Raises:
        RefusedError: Not multipart or cut off, other fields, none or too many files, or too large.
    """
    bounded = Request(request.scope, Body(request, most))
    parser = _Form(request.headers, bounded.stream(), max_files=number, max_fields=MOST_FIELDS, max_part_size=1024)
    try:
        with request.app.state.service.reading():
            form = await parser.parse()
    except MultiPartException as error:
        raise RefusedError(400, f"not a whole multipart body: {error.message}", field) from None
    except OSError as error:
        raise disk(error) from None
    try:
        yield list(_named(form, field))
    finally:
        await form.close()


def _named(form: FormData, field: str) -> Iterator[tuple[str, IO[bytes]]]:
    if field not in form:
        raise RefusedError(422, f"there is no file in '{field}'", field)
    for key, value in form.multi_items():
        if key != field or isinstance(value, str):
            raise RefusedError(422, f"'{key[:60]}' is no file in '{field}', and nothing else is taken", key[:60])
        yield printable(value.filename or field), value.file


def disk(error: OSError) -> RefusedError:
    """What a client is told when a temporary file cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RefusedError(507, "the server's disk is full; try again later")
    raise error


def printable(name: str) -> str:
    """A file's name without folders and without characters that cannot be shown."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c if c.isprintable() else "?" for c in last)[:200]


def decoded(data: bytes, limits: ServeLimits) -> Image:
    """A picture, uint8 BGR ``[H, W, 3]``.

    Raises:
        RefusedError: Another format, too large in bytes or in pixels, or damaged.
    """
    if len(data) > limits.picture_mib * MEGABYTE:
        raise RefusedError(413, f"the picture has more than {limits.picture_mib:g} MiB")
    if kind_of(data) not in ("jpeg", "png", "webp"):
        raise RefusedError(415, f"not one of {', '.join(KINDS)}")
    found = decoding.header(data)
    if found is None:
        raise RefusedError(400, "the picture is damaged: its size cannot be read")
    if found.width * found.height > limits.megapixels * 1e6:
        size = f"{found.width}x{found.height}"
        raise RefusedError(413, f"the picture has {size} pixels, more than {limits.megapixels:g} million")
    try:
        return decoding.decode(data)
    except UnreadableImageError as error:
        raise RefusedError(400, f"the picture is damaged: {error}") from None


def options(request: Request, allowed: Iterable[str]) -> dict[str, str]:
    """The query's values.

    Raises:
        RefusedError: A key that there is not.
    """
    values = {key: value for key, value in request.query_params.items() if key != "token"}
    for key in values.keys() - set(allowed):
        raise RefusedError(422, f"there is no '{key}' here.{did_you_mean(key, allowed)}", key[:60])
    return values


def number(values: dict[str, str], key: str, default: float, low: float, high: float) -> float:
    """A number among the query's values.

    Raises:
        RefusedError: It is none, or out of range.
    """
    text = values.get(key)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise RefusedError(422, f"{key} is '{(text or '')[:40]}', must be a number from {low:g} to {high:g}", key)
    return value
