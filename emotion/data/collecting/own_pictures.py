"""Candidates that are at hand: pictures in emotion folders, and the frames of a film."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from pathlib import Path

from emotion.data.collecting.candidates import Candidate
from emotion.data.folder import folders_in, show
from emotion.errors import UserError
from emotion.labels import EMOTIONS, index_of

_NO_PICTURES = (".txt", ".csv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".ini", ".db", ".html")


def count(place: str, emotion: str | None) -> dict[str, int]:
    """How many files a folder has of each emotion; see :func:`pictures`."""
    counts: dict[str, int] = {}
    for name, path in _files(place, emotion):
        counts[name] = counts.get(name, 0) + (path is not None)
    return counts


def pictures(place: str, emotion: str | None, known: Container[str]) -> Iterator[Candidate]:
    """The pictures of ``<place>/<emotion>/*``, whatever the folders call the emotions.

    Args:
        place: The folder. Where it has no folders, and an emotion is given, its own pictures are of this one.
        emotion: This one alone; None is all.
        known: Keys that are left out: a file's absolute path.

    Raises:
        UserError: No such folder, or none that an emotion is called after.
    """
    for name, path in _files(place, emotion):
        if str(path) not in known:
            yield Candidate(str(path), name, "folder", path)


def _files(place: str, emotion: str | None) -> Iterator[tuple[str, Path]]:
    root = Path(place).expanduser().absolute()
    if not root.is_dir():
        raise UserError(f"path: '{place}' is a file, must be a folder of pictures; a film goes with source=video")
    inside = folders_in(root)
    if not inside and emotion is not None:
        yield from ((emotion, path) for path in _in(root))
        return
    found, unknown = [], []
    for folder in inside:
        try:
            found.append((EMOTIONS[index_of(folder.name)], folder))
        except UserError:
            unknown.append(folder.name)
    if unknown:
        raise UserError(
            f"path: in '{place}' no emotion is called {', '.join(map(show, unknown[:5]))}. Rename these folders after "
            f"{', '.join(EMOTIONS)}, move them away, or give one folder with its emotion: path=... emotion=..."
        )
    if not found:
        raise UserError(
            f"path: '{place}' has no folders. Sort your pictures into folders called {', '.join(EMOTIONS)}, or say "
            f"what all of them show: emotion=..."
        )
    for name, folder in sorted(found):
        if emotion in (None, name):
            yield from ((name, path) for path in _in(folder))


def _in(folder: Path) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"path: '{folder}' cannot be listed ({error.strerror})") from None
    for path in paths:
        if path.is_file() and not path.name.startswith(".") and path.suffix.lower() not in _NO_PICTURES:
            yield path


def frames(
    place: str, emotion: str, stride: int, known: Container[str], stop: Callable[[], bool]
) -> Iterator[Candidate]:
    """Every ``stride``-th frame of a film.

    Args:
        place: The film, or its address.
        emotion: What its faces show.
        stride: Frames from one that is looked at to the next.
        known: Keys that are left out: ``<film>#<frame>``.
        stop: Asked while nothing can be decoded.

    Raises:
        UserError: No such film, or nothing in it that can be decoded.
    """
    from emotion.live import source

    film = place if "://" in place else str(Path(place).expanduser().absolute())
    try:
        with source.opened(place, None, stride, stopped=stop) as stream:
            if stream.kind != "video":
                hint = "source=folder reads pictures" if stream.kind == "pictures" else "source=camera reads cameras"
                raise UserError(f"source: '{place}' is no film; {hint}")
            for frame in stream.frames:
                key = f"{film}#{frame.index}"
                if key not in known:
                    yield Candidate(key, emotion, "video", None, frame.image)
    except UserError as error:
        raise UserError(str(error).replace("source:", "path:", 1)) from None
