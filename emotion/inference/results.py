"""What :mod:`emotion.inference.model` answers: the faces of a picture, and of several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, overload

from emotion.faces.images import Image
from emotion.faces.labelled import Face, flat
from emotion.video.palette import colour

#: Longer side in pixels of a picture in a notebook, and how many of several are shown.
SHOWN_PIXELS, SHOWN_PICTURES = 480, 12


@dataclass(frozen=True)
class Picture(Sequence[Face]):
    """The faces of a picture or of a frame, largest first; a sequence of :class:`emotion.faces.labelled.Face`.

    Attributes:
        faces: What was found; empty where there is no face, and where there is an error.
        labels: The contract's, in the order of the probabilities.
        width: Of the picture, in pixels; 0 where it could not be read.
        height: The same.
        frame: Its place among the inputs or in the video, from 0.
        time: Seconds in a video; the same number for pictures.
        name: The file as it was given; None for other inputs.
        error: Why it could not be read; None where it could.
    """

    faces: tuple[Face, ...]
    labels: tuple[str, ...]
    width: int = 0
    height: int = 0
    frame: int = 0
    time: float = 0.0
    name: str | None = None
    error: str | None = None
    _image: Callable[[], Image | None] = field(default=lambda: None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.faces)

    @overload
    def __getitem__(self, place: int) -> Face: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Face, ...]: ...
    def __getitem__(self, place: int | slice) -> Face | tuple[Face, ...]:
        return self.faces[place]

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state["_image"] = _nothing  # the picture itself does not travel
        return state

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary per face, as ``log=faces.jsonl`` writes them; none for an image without a face."""
        head = {"frame": self.frame, "time": round(self.time, 6), "name": self.name}
        return [head | face.record(self.labels) for face in self.faces]

    def to_rows(self) -> list[dict[str, Any]]:
        """One dictionary per face with the columns of ``log=faces.csv``, for ``pandas.DataFrame(rows)``."""
        return [flat(record) for record in self.to_records()]

    def _repr_html_(self) -> str:
        """The picture with its boxes, as notebooks show it; the table alone where the picture is not at hand."""
        return f'<figure style="display:inline-block;margin:0 1em 1em 0">{self._drawing()}{self._caption()}</figure>'

    def _drawing(self) -> str:
        from emotion.reports.html import data_uri

        image = None if self.error else self._image()
        if image is None:
            return ""
        shrunk = min(1.0, SHOWN_PIXELS / max(self.width, self.height))
        line, letters = 2 / shrunk, 14 / shrunk
        marks = "".join(
            f'<g fill="#{_hexadecimal(face.label)}" stroke="#{_hexadecimal(face.label)}"><rect x="{face.box.x}" '
            f'y="{face.box.y}" width="{face.box.width}" height="{face.box.height}" fill="none"/><text x="{face.box.x}" '
            f'y="{max(face.box.y - line, letters):.0f}" stroke="#141418" paint-order="stroke">{escape(face.label)} '
            f"{face.confidence:.0%}</text></g>"
            for face in self.faces
        )
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" width="{self.width * shrunk:.0f}" role="img" '
            f'aria-label="{escape(self._words())}" font-family="sans-serif" font-size="{letters:.0f}" '
            f'stroke-width="{line:.1f}"><image href="{data_uri(image, SHOWN_PIXELS, 90)}" width="{self.width}" '
            f'height="{self.height}"/>{marks}</svg>'
        )

    def _caption(self) -> str:
        return f"<figcaption>{escape(self._words())}</figcaption>"

    def _words(self) -> str:
        name = self.name or f"input {self.frame}"
        if self.error is not None:
            return f"{name}: {self.error}"
        said = ", ".join(f"{face.label} {face.confidence:.0%}" for face in self.faces) or "no face"
        return f"{name}: {said}"


@dataclass(frozen=True)
class Pictures(Sequence[Picture]):
    """A :class:`Picture` per input, in the inputs' order."""

    pictures: tuple[Picture, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    @overload
    def __getitem__(self, place: int) -> Picture: ...
    @overload
    def __getitem__(self, place: slice) -> Pictures: ...
    def __getitem__(self, place: int | slice) -> Picture | Pictures:
        return Pictures(self.pictures[place]) if isinstance(place, slice) else self.pictures[place]

    def __iter__(self) -> Iterator[Picture]:
        return iter(self.pictures)

    @property
    def errors(self) -> list[tuple[str, str]]:
        """Name and reason of each input that could not be read."""
        return [(p.name or f"input {p.frame}", p.error) for p in self.pictures if p.error is not None]

    def to_rows(self) -> list[dict[str, Any]]:
        """One dictionary per face; see :meth:`Picture.to_rows`. Inputs without a face have no row."""
        return [row for picture in self.pictures for row in picture.to_rows()]

    def _repr_html_(self) -> str:
        more = len(self) - SHOWN_PICTURES
        shown = "".join(picture._repr_html_() for picture in self.pictures[:SHOWN_PICTURES])
        return shown + (f"<p>and {more} more</p>" if more > 0 else "")


def _nothing() -> None:
    return None


def _hexadecimal(label: str) -> str:
    blue, green, red = colour(label)
    return f"{red:02x}{green:02x}{blue:02x}"
