"""The test pictures of another dataset, which must not come in: ``against=<dataset root>``."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from emotion.base.errors import UserError
from emotion.collect.seen import Looks
from emotion.config import schema
from emotion.data import fer2013, folder, similar, sources
from emotion.data.examples import Examples
from emotion.faces.images import read
from emotion.faces.labels import index_of

log = logging.getLogger(__name__)

_NUMBERING = "fer2013"  # what a number means does not matter here


class HeldOut:
    """What a picture is compared with, by pixels and by look."""

    def __init__(self, name: str) -> None:
        self._name, self._pixels, self._looks = name, set[bytes](), Looks()

    def add(self, pixels: bytes, look: tuple[int, int]) -> None:
        """Add a test picture."""
        self._pixels.add(pixels)
        self._looks.add(look)

    def why_not(self, pixels: bytes, looks: Iterable[tuple[int, int]]) -> str | None:
        """Why a picture may not come in; None if it may."""
        near = pixels in self._pixels or any(True for look in looks for _ in self._looks.near(look))
        return f"in the test split of {self._name}" if near else None


def load(place: str, root: Path) -> HeldOut:
    """Load a dataset's test split: its test folder, or what training on it would hold out.

    Args:
        place: A dataset's folder, or FER2013's CSV file or its folder.
        root: Where is collected to.

    Raises:
        UserError: No dataset there.
    """
    path = Path(place).expanduser()
    if path.resolve() == root.resolve():
        raise UserError(f"against: '{place}' is the root itself; give another dataset, or leave against out")
    try:
        test = _test(path)
    except UserError as error:
        said = str(error).removeprefix("dataset.root: ").replace("dataset.root", "against")
        raise UserError(f"against: {said}") from None
    split = HeldOut(place)
    for i in range(len(test)):
        if test.perceptual is not None:
            look = int(test.perceptual[i, 0]), int(test.perceptual[i, 1])
        else:
            image = test.images[i] if test.images is not None else read(str(test.paths[i]))  # type: ignore[index]
            look = similar.perceptual_hash(image)
        split.add(bytes(test.hashes[i]).ljust(16, b"\0"), look)
    log.info("%s: %s test pictures must not come in", place, f"{len(test):,}")
    return split


def _test(path: Path) -> Examples:
    found = _fer2013(path)
    if found is not None and found.is_file():
        return sources.load(_node("fer2013", path)).test
    splits = folder.split_folders(found or path)
    if "test" not in splits:
        node = _node("folder", path)
        node.max_unreadable = 1.0
        node.ignore = sorted({name for each in splits.values() or [path] for name in _not_classes(each)})
        return sources.load(node).test
    cache = Path(_node("folder", path).cache_dir).expanduser()
    read_in = folder.read(
        {"test": splits["test"]},
        numbering=_NUMBERING,
        ignore=_not_classes(splits["test"]),
        max_unreadable=1.0,
        cache_dir=cache,
    )
    for file, reason in read_in.unreadable:
        log.warning("against: %s: %s; left out", file, reason)
    return read_in.parts["test"]


def _fer2013(path: Path) -> Path | None:
    """FER2013's CSV file or folder, where there is one and no emotion folders beside it."""
    if path.is_dir() and any(_is_class(each.name) for each in folder.folders_in(path)):
        return None
    try:
        return fer2013.find(path)[0]
    except UserError:
        return None


def _not_classes(place: Path) -> list[str]:
    """The folders that hold no pictures of our emotions; a note says which are not empty."""
    inside = folder.folders_in(place)
    unknown = [each.name for each in inside if not _is_class(each.name)]
    if unknown:
        log.warning("against: %s: no emotion is called %s; left out", place, ", ".join(map(folder.show, unknown)))
    return unknown + [
        each.name for each in inside if _is_class(each.name) and not any(map(_may_be_picture, each.iterdir()))
    ]


def _may_be_picture(path: Path) -> bool:
    return not path.name.startswith(".") and not path.name.lower().endswith(folder.NO_PICTURES) and not path.is_dir()


def _is_class(name: str) -> bool:
    try:
        return index_of(name, _NUMBERING) >= 0
    except UserError:
        return False


def _node(name: str, path: Path) -> DictConfig:
    """The dataset's config, as training on it with the defaults would have it."""
    node = OmegaConf.load(schema.CONF / "dataset" / f"{name}.yaml")
    assert isinstance(node, DictConfig)
    del node["defaults"]
    node.root = str(path)
    return node
