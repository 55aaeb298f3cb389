"""What ``log=`` writes: one record per face per frame, as JSON Lines or as CSV."""

from __future__ import annotations

import csv
import json
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from io import FileIO, StringIO
from pathlib import Path
from typing import Any, Self

from emotion.base.errors import UserError
from emotion.faces.images import Image
from emotion.faces.labelled import Face
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


class _FrameLog(Sink):
    """A file that grows by whole frames only: a reader, or a crash, finds each at once, and never a part of one.

    An existing file is replaced. Raises a UserError where there is no such folder or the file cannot be written.
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

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        self._append(self._text(frame, [self._record(frame, face) for face in faces]))
        return True

    @abstractmethod
    def _text(self, frame: Frame, records: Sequence[dict[str, Any]]) -> str:
        """A frame's lines."""

    def _record(self, frame: Frame, face: Face) -> dict[str, Any]:
        return {
            "frame": frame.index,
            "time": round(frame.time, 6),
            **({} if frame.name is None else {"name": frame.name}),
            "track": face.track,
            "box": [face.box.x, face.box.y, face.box.width, face.box.height],
            "label": face.label,
            "confidence": round(face.confidence, 6),
            "probabilities": self._by_label(face.probabilities),
            "raw": self._by_label(face.raw or face.probabilities),
        }

    def _by_label(self, probabilities: Sequence[float]) -> dict[str, float]:
        return {label: round(p, 6) for label, p in zip(self._labels, probabilities, strict=True)}

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

    Keys: ``frame`` (from 0), ``time`` (seconds), ``name`` (of an image of several), ``track`` (null where frames stand
    alone), ``box`` (``[x, y, width, height]`` in the source's pixels), ``label``, ``confidence``, ``probabilities`` (by
    label, smoothed over the track) and ``raw`` (of this frame alone).
    """

    def _text(self, frame: Frame, records: Sequence[dict[str, Any]]) -> str:
        return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)


class CsvLog(_FrameLog):
    """Writes CSV (RFC 4180): a header line, then one row per face per frame, with what :class:`JsonLinesLog` writes.

    Columns: ``frame``, ``time``, ``name`` (only where images have one), ``track`` (empty where frames stand alone),
    ``x``, ``y``, ``width``, ``height``, ``label``, ``confidence``, one for each label, and ``raw_<label>`` for each.
    """

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and not self._whole:
                self._append(_rows([self._columns(named=False)]))
        finally:
            super().__exit__(kind)

    def _columns(self, named: bool) -> list[str]:
        name = ("name",) if named else ()
        columns = ("frame", "time", *name, "track", "x", "y", "width", "height", "label", "confidence")
        return [*columns, *self._labels, *(f"raw_{label}" for label in self._labels)]

    def _text(self, frame: Frame, records: Sequence[dict[str, Any]]) -> str:
        header = [] if self._whole else [self._columns(frame.name is not None)]
        return _rows([*header, *map(_flat, records)])


def _flat(record: dict[str, Any]) -> list[object]:
    row: list[object] = []
    for value in record.values():
        row += value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return row


def _rows(rows: Sequence[Sequence[object]]) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)  # None is an empty field
    return text.getvalue()
