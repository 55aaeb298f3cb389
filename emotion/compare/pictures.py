"""Finding images of a run's data again by the hashes of their pixels: changed data cannot show a wrong one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emotion.base.errors import UserError
from emotion.compare.board import Entry
from emotion.data import sources
from emotion.data.fingerprint import hash_pixels
from emotion.faces import decoding
from emotion.faces.formats import UnreadableImageError
from emotion.faces.images import Image


def find(entries: Sequence[Entry], hashes: Collection[bytes]) -> tuple[dict[bytes, Image], list[str]]:
    """Read the images with these hashes from the data that the entries' runs were made of.

    Args:
        entries: Their runs' configs are tried one after another until all images are there.
        hashes: As :class:`emotion.compare.disagreements.Predictions` holds them.

    Returns:
        The images, uint8 grey ``[H, W]`` or BGR ``[H, W, 3]``, and a sentence for each dataset that could not be read.
    """
    by_hash: dict[bytes, Image] = {}
    reasons: list[str] = []
    tried: set[str] = set()
    for run in (run for entry in entries for run in entry.runs):
        missing = {bytes(h) for h in hashes} - set(by_hash)
        if not missing:
            break
        try:
            dataset = run.config().dataset
            text = OmegaConf.to_yaml(dataset, sort_keys=True)
            if text not in tried:
                tried.add(text)
                by_hash |= _read(dataset, missing)
        except (UserError, OSError, ValueError, OmegaConfBaseException) as error:
            reasons.append(str(error).splitlines()[0])
    return by_hash, list(dict.fromkeys(reasons))


def _read(dataset: DictConfig, wanted: set[bytes]) -> dict[bytes, Image]:
    by_hash: dict[bytes, Image] = {}
    for hashes, pictures in _stored(dataset):
        for row in np.flatnonzero(np.isin(hashes, np.array(sorted(wanted - set(by_hash)), "S16"))):
            image = _image(pictures[row])
            # A file may have changed since its hash was taken.
            if image is not None and np.array(hash_pixels(image), "S16") == hashes[row]:
                by_hash[bytes(hashes[row])] = image
        if len(by_hash) == len(wanted):
            break
    return by_hash


def _image(stored: Any) -> Image | None:
    if isinstance(stored, np.ndarray):
        return stored
    try:
        return decoding.read(str(stored))
    except UnreadableImageError:
        return None


def _stored(dataset: DictConfig) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Hashes and images, or paths, of all images. Which split they are in does not matter to a hash."""
    if dataset.name == "fer2013" and dataset.root:
        from emotion.data import fer2013

        source, _ = fer2013.find(Path(dataset.root).expanduser())
        if source.is_file():  # dividing it would take longer than reading it
            table, hashes, _ = fer2013.read_csv(source, Path(dataset.cache_dir).expanduser())
            yield hashes, table.images
            return
    names = ("test", "validation", "train")  # those first that are scored
    if dataset.name == "synthetic":
        from emotion.data import synthetic

        splits = (synthetic.draw_split(dataset, name) for name in names)  # the training split takes most of the time
    else:
        loaded = sources.load(dataset)
        splits = (loaded[name] for name in names)
    for examples in splits:
        pictures = examples.images if examples.images is not None else examples.paths
        assert pictures is not None
        yield examples.hashes, pictures
