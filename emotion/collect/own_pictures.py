"""Candidates that are at hand: pictures in emotion folders, and the frames of a film."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from emotion.base.errors import UserError
from emotion.collect.candidates import Candidate
from emotion.data.folder import NO_PICTURES, folders_in, show
from emotion.faces.labels import EMOTIONS, index_of


def check(place: str, root: Path) -> None:
    """See that a dataset is not collected from itself.

    Raises:
        UserError: The folder of pictures is the dataset's, lies in it, or holds it.
    """
    path, goal = Path(place).expanduser().resolve(), root.resolve()
    if path == goal:
        how = "is the root itself"
    elif path.is_relative_to(goal):
        how = f"lies inside the root '{root}'"
    elif goal.is_relative_to(path):
        how = f"holds the root '{root}'"
    else:
        return
    raise UserError(f"path: '{place}' {how}. Give a folder of pictures apart from it, or set root=... to another place")


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
        if path.is_file() and not path.name.startswith(".") and path.suffix.lower() not in NO_PICTURES:
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
    from emotion.video import source

    film = place if "://" in place else str(Path(place).expanduser().absolute())
    try:
        with source.opened(place, None, stride, stopped=stop) as stream:
            if stream.kind != "video":
                hint = "source=folder reads pictures" if stream.kind == "pictures" else "source=camera reads cameras"
                raise UserError(f"path: '{place}' is no film; {hint}")
            for frame in stream.frames:
                key = f"{film}#{frame.index}"
                if key not in known:
                    yield Candidate(key, emotion, "video", None, frame.image)
    except UserError as error:
        raise of_live(error, "Give a film, or its address: path=...") from None


def of_live(error: UserError, advice: str) -> UserError:
    """What opening a source found wrong, in its first sentence, with advice; other errors as they are."""
    key, _, said = str(error).partition(": ")
    if key != "source":
        return error
    return UserError(f"path: {re.split(r'[.] (?=[A-Z])', said, maxsplit=1)[0].rstrip('.')}. {advice}")
