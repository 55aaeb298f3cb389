"""The test images of another dataset, which must not be collected: ``against=<dataset root>``."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from emotion.base.errors import UserError
from emotion.collect.duplicates import HashTable
from emotion.config import schema
from emotion.data import fer2013, folder, similar, sources
from emotion.data.examples import Examples
from emotion.faces.labels import index_of

log = logging.getLogger(__name__)

_NUMBERING = "fer2013"  # what a number means does not matter here


class HeldOut:
    """Test images, by pixels and by perceptual hashes."""

    def __init__(self, name: str) -> None:
        self._name, self._pixels, self._hashes = name, set[bytes](), HashTable()

    def add(self, pixels: bytes, hashes: tuple[int, int]) -> None:
        """Add a test image."""
        self._pixels.add(pixels)
        self._hashes.add(hashes)

    def why_not(self, pixels: bytes, hashes: Iterable[tuple[int, int]]) -> str | None:
        """Why an image must not be collected, by any of its pairs of hashes; None if it may."""
        near = pixels in self._pixels or any(True for pair in hashes for _ in self._hashes.near(pair))
        return f"in the test split of {self._name}" if near else None


def load(place: str, root: Path) -> HeldOut:
    """Load a dataset's test split: its test folder, or what training on it would hold out.

    ``place`` is a dataset's folder, or FER2013's CSV file or its folder; ``root`` the folder that is collected to.
    """
    path = Path(place).expanduser()
    if path.resolve() == root.resolve():
        raise UserError(f"against: '{place}' is the root itself; give another dataset, or leave against out")
    try:
        test = _test_split(path)
    except UserError as error:
        message = str(error).removeprefix("dataset.root: ").replace("dataset.root", "against")
        raise UserError(f"against: {message}") from None
    held_out = HeldOut(place)
    for i in range(len(test)):
        if test.perceptual is not None:
            hashes = int(test.perceptual[i, 0]), int(test.perceptual[i, 1])
        else:
            hashes = similar.perceptual_hash(test.image(i))
        held_out.add(bytes(test.hashes[i]).ljust(16, b"\0"), hashes)
    log.info("%s: %s test images must not be collected", place, f"{len(test):,}")
    return held_out


def _test_split(path: Path) -> Examples:
    csv = _fer2013(path)
    if csv is not None and csv.is_file():
        return sources.load(_config("fer2013", path)).test
    splits = folder.split_folders(csv or path)
    cfg = _config("folder", path)
    if "test" not in splits:
        cfg.max_unreadable = 1.0
        cfg.ignore = sorted({name for split in splits.values() or [path] for name in _no_classes(split)})
        return sources.load(cfg).test
    content = folder.read(
        {"test": splits["test"]},
        numbering=_NUMBERING,
        ignore=_no_classes(splits["test"]),
        max_unreadable=1.0,
        cache_dir=Path(cfg.cache_dir).expanduser(),
    )
    for file, reason in content.unreadable:
        log.warning("against: %s: %s; left out", file, reason)
    return content.parts["test"]


def _fer2013(path: Path) -> Path | None:
    """FER2013's CSV file or folder, if there is one and no emotion folders beside it."""
    if path.is_dir() and any(_is_class(inside.name) for inside in folder.folders_in(path)):
        return None
    try:
        return fer2013.find(path)[0]
    except UserError:
        return None


def _no_classes(place: Path) -> list[str]:
    """The folders without images of our emotions; those with another name are logged."""
    inside = folder.folders_in(place)
    unknown = [path.name for path in inside if not _is_class(path.name)]
    if unknown:
        log.warning("against: %s: no emotion is called %s; left out", place, ", ".join(map(folder.show, unknown)))
    return unknown + [
        path.name for path in inside if path.name not in unknown and not any(map(_is_image, path.iterdir()))
    ]


def _is_image(path: Path) -> bool:
    return folder.may_be_image(path.name) and not path.is_dir()


def _is_class(name: str) -> bool:
    try:
        return index_of(name, _NUMBERING) >= 0
    except UserError:
        return False


def _config(name: str, path: Path) -> DictConfig:
    """The dataset's config with its defaults, as training uses it."""
    cfg = OmegaConf.load(schema.CONF / "dataset" / f"{name}.yaml")
    assert isinstance(cfg, DictConfig)
    del cfg["defaults"]
    cfg.root = str(path)
    return cfg
