"""The test pictures of another dataset, which must not come in: ``against=<dataset root>``."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from emotion import config
from emotion.data import similar, sources
from emotion.data.collecting.seen import Looks
from emotion.errors import UserError
from emotion.faces import read

log = logging.getLogger(__name__)


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
    """Load a dataset's test split.

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
        splits = sources.load(_node(path))
    except UserError as error:
        raise UserError(f"against: {error}") from None
    test = splits.test
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


def _node(path: Path) -> DictConfig:
    """The dataset's config, as training on it with the defaults would have it."""
    folders = [path, *(p for p in sorted(path.iterdir()) if p.is_dir())] if path.is_dir() else []
    is_csv = path.is_file() or any((f / name).is_file() for f in folders for name in _CSV_FILES)
    node = OmegaConf.load(config.CONF / "dataset" / ("fer2013.yaml" if is_csv else "folder.yaml"))
    assert isinstance(node, DictConfig)
    del node["defaults"]
    node.root = str(path)
    return node


_CSV_FILES = ("fer2013.csv", "icml_face_data.csv")
