"""What ``log=`` writes: one record per face per frame, and one per image without a face, as JSON Lines or as CSV."""

from __future__ import annotations

import csv
import json
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from io import FileIO, StringIO
from pathlib import Path
from typing import Any

from emotion.base.errors import UserError
from emotion.base.words import cell
from emotion.faces.images import Image
from emotion.faces.labelled import Face, flat
from emotion.live.sinks import Sink, check_target
from emotion.video.frame import Frame, Stream

#: The keys of a record that are null where there is no face.
_OF_A_FACE = ("track", "box", "label", "confidence", "top", "probabilities", "raw")


def log_sink(path: str | Path, labels: Sequence[str], stream: Stream | None = None) -> Sink:
    """The log that a path's ending asks for: :class:`JsonLinesLog` for ``.jsonl``, :class:`CsvLog` for ``.csv``.

    Args:
        path, labels: The file, and the contract's labels.
        stream: The source. Where that is images, each has a record, whether it shows a face, and can be read, or not.

    Raises:
        UserError: Another ending, no such folder, or a file that cannot be written.
    """
    kinds = {".jsonl": JsonLinesLog, ".csv": CsvLog}
    kind = kinds.get(Path(path).suffix.lower())
    if kind is None:
        raise UserError(f"log: '{path}' must end in {' or '.join(kinds)}, such as log=faces.jsonl")
    return kind(path, labels, stream)


class _FrameLog(Sink):
    """A file that grows by whole frames only: a reader, or a crash, finds each at once, and never a part of one.

    An existing file is replaced. Raises a UserError where there is no such folder or the file cannot be written.
    """

    draws = False

    def __init__(self, path: str | Path, labels: Sequence[str], stream: Stream | None = None) -> None:
        self.path = Path(path).expanduser()
        check_target("log", self.path)
        self._labels = tuple(labels)
        self._stream, self._skipped = stream if stream and stream.independent else None, 0
        self._file: FileIO | None = None
        self._whole = 0  # bytes of whole frames

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._append_skipped(None)
            self._open()
        if self._file is not None:
            self._file.close()

    def _open(self) -> FileIO:
        """The file, emptied once there is a frame: a source that cannot be read leaves the old one as it was."""
        if self._file is None:
            try:
                self._file = self.path.open("wb", buffering=0)
            except OSError as error:
                raise UserError(f"log: cannot write '{self.path}': {error.strerror}") from None
        return self._file

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        self._append_skipped(frame.index)
        head = self._head(frame.index, frame.time, frame.name)
        records = [head | self._record(face) for face in faces]
        if self._stream and not faces:
            records = [head | self._nothing("no face")]
        self._append(self._text(records))
        return True

    @abstractmethod
    def _text(self, records: Sequence[dict[str, Any]]) -> str:
        """The lines of a frame."""

    def _append_skipped(self, before: int | None) -> None:
        """Records of the images, up to one, that could not be read."""
        skipped = self._stream.unreadable[self._skipped :] if self._stream else []
        for image in skipped:
            if before is None or image.index < before:
                head = self._head(image.index, float(image.index), image.name)
                self._append(self._text([head | self._nothing(f"cannot be read: {image.reason}")]))
                self._skipped += 1

    def _head(self, index: int, time: float, name: str | None) -> dict[str, Any]:
        return {"frame": index, "time": round(time, 6), **({} if name is None else {"name": name})}

    def _record(self, face: Face) -> dict[str, Any]:
        return face.record(self._labels) | ({"note": None} if self._stream else {})

    def _nothing(self, note: str) -> dict[str, Any]:
        return dict.fromkeys(_OF_A_FACE) | {"note": note}

    def _append(self, text: str) -> None:
        file = self._open()
        data = left = text.encode(errors="surrogateescape")  # file names need not be UTF-8
        try:
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            with suppress(OSError):
                file.truncate(self._whole)
            raise UserError(f"log: cannot write '{self.path}': {error.strerror}") from None
        self._whole += len(data)


class JsonLinesLog(_FrameLog):
    """Writes JSON objects, each on a line of its own.

    Keys: ``frame`` (from 0), ``time`` (seconds), ``name`` (of an image of several), ``track`` (null where frames stand
    alone), ``box`` (``[x, y, width, height]`` in the source's pixels), ``label`` (what is shown: by the rule of
    :class:`emotion.video.smoothing.Smoother`), ``confidence`` (its smoothed probability), ``top`` (the most probable
    label of this frame alone), ``probabilities`` (by label, smoothed over the track) and ``raw`` (of this frame alone).

    Of images also ``note``: null, ``no face``, or why the image cannot be read; then all that is of a face is null.
    """

    def _text(self, records: Sequence[dict[str, Any]]) -> str:
        return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)


class CsvLog(_FrameLog):
    """Writes CSV (RFC 4180): a header line, then rows with what :class:`JsonLinesLog` writes; null is an empty field.

    Columns: ``frame``, ``time``, ``name`` (only where images have one), ``track``, ``x``, ``y``, ``width``, ``height``,
    ``label``, ``confidence``, ``top``, one for each label, ``raw_<label>`` for each, and ``note`` (only of images).
    """

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and not self._whole:
                self._append(_rows([self._columns(named=False)]))
        finally:
            super().__exit__(kind)

    def _columns(self, named: bool) -> list[str]:
        name = ("name",) if named else ()
        columns = ("frame", "time", *name, "track", "x", "y", "width", "height", "label", "confidence", "top")
        note = ("note",) if self._stream else ()
        return [*columns, *self._labels, *(f"raw_{label}" for label in self._labels), *note]

    def _text(self, records: Sequence[dict[str, Any]]) -> str:
        if not records:
            return ""
        columns = self._columns("name" in records[0])
        header = [] if self._whole else [columns]
        return _rows([*header, *([flat(record).get(column) for column in columns] for record in records)])


def _rows(rows: Sequence[Sequence[object]]) -> str:
    text = StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)  # None is an empty field
    return text.getvalue()
