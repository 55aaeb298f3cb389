"""Candidates on this machine: images in one folder per emotion, and the frames of a video."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from emotion.base.errors import UserError
from emotion.collect.candidates import Candidate
from emotion.data.folder import folders_in, may_be_image, show
from emotion.faces.labels import EMOTIONS, index_of


def check(place: str, emotion: str | None, root: Path) -> None:
    """Check a folder of images before anything is written; UserError as for :func:`images`, or if ``root`` overlaps."""
    path, target = Path(place).expanduser().resolve(), root.resolve()
    if path == target:
        how = "is the root itself"
    elif path.is_relative_to(target):
        how = f"lies inside the root '{root}'"
    elif target.is_relative_to(path):
        how = f"contains the root '{root}'"
    else:
        if not count(place, emotion):
            raise UserError(f"path: no images in '{place}'" + (f" of {emotion}" if emotion else ""))
        return
    raise UserError(f"path: '{place}' {how}. Give a folder of images apart from it, or set root=... to another place")


def count(place: str, emotion: str | None) -> dict[str, int | None]:
    """How many files a folder has of each emotion; see :func:`images`."""
    names = [name for name, _ in _files(place, emotion)]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def images(place: str, emotion: str | None, known: Container[str]) -> Iterator[Candidate]:
    """The images of ``<place>/<emotion>/*``, by any name of the emotion.

    Args:
        place, emotion: The folder, and the emotion to take or None for all. Images in a folder without folders show it.
        known: Keys that are left out: a file's absolute path.

    Raises:
        UserError: No such folder, or none that is named after an emotion.
    """
    for name, path in _files(place, emotion):
        if str(path) not in known:
            yield Candidate(str(path), name, "folder", path)


def _files(place: str, emotion: str | None) -> Iterator[tuple[str, Path]]:
    root = Path(place).expanduser().absolute()
    if not root.is_dir():
        raise UserError(f"path: '{place}' is a file, must be a folder of images; for a video add source=video")
    inside = folders_in(root)
    folders, unknown = [], []
    for folder in inside:
        try:
            folders.append((EMOTIONS[index_of(folder.name)], folder))
        except UserError:
            unknown.append(folder.name)
    if unknown:
        raise UserError(
            f"path: in '{place}' no emotion is called {', '.join(map(show, unknown[:5]))}. Rename these folders after "
            f"{', '.join(EMOTIONS)}, move them away, or give one folder with its emotion: path=... emotion=..."
        )
    if not folders and emotion is None:
        raise UserError(
            f"path: '{place}' has no folders. Sort your images into folders called {', '.join(EMOTIONS)}, or say "
            f"what all of them show: emotion=..."
        )
    for name, folder in sorted(folders) if folders else [(str(emotion), root)]:
        if emotion in (None, name):
            try:
                paths = sorted(folder.iterdir())
            except OSError as error:
                raise UserError(f"path: '{folder}' cannot be listed ({error.strerror})") from None
            for path in paths:
                if path.is_file() and may_be_image(path.name):
                    yield name, path


def frames(
    place: str, emotion: str, stride: int, known: Container[str], stop: Callable[[], bool]
) -> Iterator[Candidate]:
    """Every ``stride``-th frame of a video.

    Args:
        place, emotion: A file or an address, and what its faces show.
        stride: Frames from one that is used to the next.
        known: Keys that are left out: ``<video>#<frame>``.
        stop: Polled while nothing can be decoded.

    Raises:
        UserError: No such video, or nothing in it that can be decoded.
    """
    from emotion.video import diagnose, source

    video = diagnose.shown(place) if "://" in place else str(Path(place).expanduser().absolute())
    try:
        with source.opened(place, None, stride, stopped=stop) as stream:
            if stream.kind != "video":
                hint = "source=folder reads images" if stream.kind == "pictures" else "source=camera reads cameras"
                raise UserError(f"path: '{diagnose.shown(place)}' is no video; {hint}")
            for frame in stream.frames:
                key = f"{video}#{frame.index}"
                if key not in known:
                    yield Candidate(key, emotion, "video", None, frame.image)
    except UserError as error:
        raise of_path(error, "Give a video, or its address: path=...") from None


def of_path(error: UserError, advice: str) -> UserError:
    """An error in opening a source as one of the key ``path``: its first sentence, with advice; others unchanged."""
    key, _, message = str(error).partition(": ")
    if key != "source":
        return error
    return UserError(f"path: {re.split(r'[.] (?=[A-Z])', message, maxsplit=1)[0].rstrip('.')}. {advice}")
