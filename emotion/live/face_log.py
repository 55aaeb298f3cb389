"""What ``log=`` writes: one record a face a frame, as JSON Lines or as CSV."""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from io import FileIO, StringIO
from pathlib import Path
from types import TracebackType
from typing import Self

from emotion.base.errors import UserError
from emotion.faces.face import Face
from emotion.faces.images import Image
from emotion.live.sinks import Sink, check_target
from emotion.video.frame import Frame


def log_sink(path: str | Path, labels: Sequence[str]) -> Sink:
    """The log that a path's ending asks for: :class:`JsonLinesLog` for ``.jsonl``, :class:`CsvLog` for ``.csv``.

    Raises:
        UserError: Another ending, no such folder, or a file that cannot be written.
    """
    kinds = {".jsonl": JsonLinesLog, ".csv": CsvLog}
    kind = kinds.get(Path(path).suffix.lower())
    if kind is None:
        raise UserError(f"log: '{path}' must end in {' or '.join(kinds)}, such as log=faces.jsonl")
    return kind(path, labels)


class _FrameLog(ABC):
    """A file that grows by whole frames only: a reader, or a crash, finds each at once, and never a part of one.

    Args:
        path: An existing file is replaced.
        labels: The contract's.

    Raises:
        UserError: No such folder, or a file that cannot be written.
    """

    draws = False

    def __init__(self, path: str | Path, labels: Sequence[str]) -> None:
        self.path = Path(path).expanduser()
        check_target("log", self.path)
        self._labels = tuple(labels)
        self._file: FileIO | None = None
        self._whole = 0  # bytes of whole frames

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open("wb", buffering=0)
        except OSError as error:
            raise UserError(f"log: cannot write '{self.path}': {error.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        self._append(self._text(frame, faces))
        return True

    @abstractmethod
    def _text(self, frame: Frame, faces: Sequence[Face]) -> str:
        """A frame's lines."""

    def _append(self, text: str) -> None:
        assert self._file is not None, "used outside `with`"
        data = left = text.encode(errors="surrogateescape")  # file names need not be UTF-8
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._whole)
            raise UserError(f"log: cannot write '{self.path}': {error.strerror}") from None
        self._whole += len(data)


class JsonLinesLog(_FrameLog):
    """Writes JSON objects, each on a line of its own.

    Keys: ``frame`` (from 0), ``time`` (seconds), ``name`` (of a picture of several), ``track`` (null where frames stand
    alone), ``box`` (``[x, y, width, height]`` in the source's pixels), ``label``, ``confidence``, ``probabilities`` (by
    label, smoothed over the track) and ``raw`` (of this frame alone).
    """

    def _text(self, frame: Frame, faces: Sequence[Face]) -> str:
        return "".join(json.dumps(self._record(frame, face), allow_nan=False) + "\n" for face in faces)

    def _record(self, frame: Frame, face: Face) -> dict[str, object]:
        box = face.box
        return {
            "frame": frame.index,
            "time": round(frame.time, 6),
            **({} if frame.name is None else {"name": frame.name}),
            "track": face.track,
            "box": [box.x, box.y, box.width, box.height],
            "label": face.label,
            "confidence": round(face.confidence, 6),
            "probabilities": self._by_label(face.probabilities),
            "raw": self._by_label(face.raw or face.probabilities),
        }

    def _by_label(self, probabilities: Sequence[float]) -> dict[str, float]:
        return {label: round(p, 6) for label, p in zip(self._labels, probabilities, strict=True)}


class CsvLog(_FrameLog):
    """Writes CSV (RFC 4180): a header line, then a row a face a frame, with what :class:`JsonLinesLog` writes.

    Columns: ``frame``, ``time``, ``name`` (only where pictures have one), ``track`` (empty where frames stand alone),
    ``x``, ``y``, ``width``, ``height``, ``label``, ``confidence``, one for each label, and ``raw_<label>`` for each.
    """

    _named: bool | None = None  # None until the header is written, as only a frame tells

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._named is None and self._file is not None and kind is None:
                self._append(self._header(named=False))
        finally:
            super().__exit__(kind, error, trace)

    def _header(self, named: bool) -> str:
        self._named = named
        raw = (f"raw_{label}" for label in self._labels)
        name = ("name",) if named else ()
        columns = ("frame", "time", *name, "track", "x", "y", "width", "height", "label", "confidence")
        return _rows([(*columns, *self._labels, *raw)])

    def _text(self, frame: Frame, faces: Sequence[Face]) -> str:
        header = self._header(frame.name is not None) if self._named is None else ""
        return header + _rows([self._row(frame, face) for face in faces])

    def _row(self, frame: Frame, face: Face) -> tuple[object, ...]:
        box = face.box
        numbers = (*face.probabilities, *(face.raw or face.probabilities))
        return (
            frame.index,
            round(frame.time, 6),
            *((frame.name or "",) if self._named else ()),
            "" if face.track is None else face.track,
            *(box.x, box.y, box.width, box.height),
            face.label,
            round(face.confidence, 6),
            *(round(p, 6) for p in numbers),
        )


def _rows(rows: Sequence[Sequence[object]]) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
