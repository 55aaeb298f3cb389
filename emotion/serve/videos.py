"""``POST /v1/videos``: a video in; its faces out, a line of JSON for each frame, while it is worked on."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

import cv2
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from emotion.base import files
from emotion.base.errors import UserError
from emotion.faces.quiet import quiet
from emotion.serve import uploads
from emotion.serve.errors import RefusedError
from emotion.serve.service import Service
from emotion.serve.uploads import MEGABYTE
from emotion.video import capture, source
from emotion.video.frame import Frame, Stream

#: First bytes of the videos that are taken: MP4 and MOV, WebM and Matroska, AVI. Playlists and other texts, which name
#: further files and addresses, are none.
_FORMATS = {4: (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"), 0: (b"\x1a\x45\xdf\xa3",), 8: (b"AVI ",)}


async def post(request: Request) -> Response:
    """Multipart ``video``, or the body itself; ``stride`` and ``max_frames`` are as for ``emotion.live``."""
    service: Service = request.app.state.service
    service.admit(request)
    values = uploads.options(request, ("stride", "max_frames"))
    stride = int(uploads.number(values, "stride", 1, 1, 1e6))
    most_frames = int(uploads.number(values, "max_frames", service.limits.video_frames, 1, service.limits.video_frames))
    most = int(service.limits.video_mib * MEGABYTE)
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with uploads.files(request, "video", most, 1) as [(_, file)]:
            return await _opened(service, _Film(service, file, stride, most_frames))
    with tempfile.TemporaryFile() as file:
        await _save(request, file, most)
        return await _opened(service, _Film(service, file, stride, most_frames))


async def _opened(service: Service, film: _Film) -> Response:
    """Answer once the first frame is there: what cannot be opened is answered with a status."""
    with ExitStack() as stack:
        stack.enter_context(film)
        first = await service.work(film.next)
        opened = stack.pop_all()
    return StreamingResponse(_lines(service, film, first, opened), media_type="application/x-ndjson")


async def _save(request: Request, file: IO[bytes], most: int) -> None:
    bounded = Request(request.scope, uploads.Body(request, most))
    try:
        with request.app.state.service.reading():
            async for part in bounded.stream():
                file.write(part)  # into the system's cache; no slower than the socket
    except OSError as error:
        raise uploads.disk(error) from None


async def _lines(service: Service, film: _Film, answer: dict[str, Any] | None, opened: ExitStack) -> AsyncIterator[str]:
    """A line for each frame; when the client leaves, this is closed and the work ends."""
    with opened:
        while answer is not None:
            seconds = answer.pop("seconds")
            service.metrics.worked("videos", seconds, [face["label"] for face in answer["faces"]])
            yield json.dumps(answer) + "\n"
            try:
                answer = await service.work(film.next, waits=True)
            except RefusedError as refusal:
                yield json.dumps(refusal.body) + "\n"
                return


class _Film:
    """A video's frames with their faces, one after the other. Once it is open, its file has no name any more."""

    def __init__(self, service: Service, file: IO[bytes], stride: int, most: int) -> None:
        self._service, self._file, self._stride, self._most = service, file, stride, most
        self._stack = ExitStack()
        self._frames: Iterator[Frame] | None = None

    def __enter__(self) -> _Film:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def next(self) -> dict[str, Any] | None:
        """The next frame's answer; None at the end."""
        began = time.perf_counter()
        try:
            if self._frames is None:
                self._session = self._service.session(self._service.settings)
                self._frames = self._open().frames
            frame = next(self._frames, None)
        except UserError as error:
            raise RefusedError(400, _worded(error), "video") from None
        if frame is None:
            return None
        if frame.image.shape[0] * frame.image.shape[1] > self._service.limits.megapixels * 1e6:
            raise self._too_large(frame.image.shape[1], frame.image.shape[0])
        faces = self._session.step(frame.image, frame.time)
        return {
            "frame": frame.index,
            "time": round(frame.time, 6),
            "width": frame.image.shape[1],
            "height": frame.image.shape[0],
            "faces": [face.record(self._service.model.labels) for face in faces],
            "seconds": time.perf_counter() - began,
        }

    def _open(self) -> Stream:
        """Give the file a name for as long as FFmpeg needs to open it."""
        self._file.seek(0)
        head = self._file.read(16)
        if not any(head[at:].startswith(magic) for at, magics in _FORMATS.items() for magic in magics):
            raise RefusedError(415, "not a video of a known kind: MP4, MOV, WebM, MKV or AVI", "video")
        self._file.seek(0)
        try:
            with files.temporary_folder() as folder:
                path = folder / "the video"
                with path.open("wb") as named:
                    shutil.copyfileobj(self._file, named, MEGABYTE)
                self._check_size(path)
                return self._stack.enter_context(source.opened(path, self._most, self._stride))
        except OSError as error:
            raise uploads.disk(error) from None

    def _check_size(self, path: Path) -> None:
        with quiet():
            opened = capture.file(path)
            width, height = (int(opened.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
            opened.release()
        if width * height > self._service.limits.megapixels * 1e6:
            raise self._too_large(width, height)

    def _too_large(self, width: int, height: int) -> RefusedError:
        most = self._service.limits.megapixels
        return RefusedError(413, f"the video has {width}x{height} pixels, more than {most:g} million", "video")


def _worded(error: UserError) -> str:
    """The reader's message without the name that its file had here."""
    words = str(error).removeprefix("source: ").split("'")
    with suppress(IndexError):
        words[1] = words[1] if os.sep not in words[1] else words[1].rpartition(os.sep)[2]
    return "".join(words)
