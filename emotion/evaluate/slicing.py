"""By what a dataset's images are divided into slices: its metadata, and what is measured of the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from emotion.data import measuring, metadata
from emotion.data.examples import Examples
from emotion.metrics.slices import Texts, quarters

#: Numbers of a metadata column that has more different ones than this are divided into quarters.
_MOST_NUMBERS = 12


def columns(examples: Examples, dataset: DictConfig) -> dict[str, Texts]:
    """Name to the slice of each image, str ``[N]``; a column that does not divide the images is left out.

    Raises:
        UserError: A metadata table that cannot be read, or whose rows and the files do not belong together.
    """
    every = {**_metadata(examples, dataset), **_measured(examples, dataset)}
    return {name: values for name, values in every.items() if len(set(values.tolist()) - {""}) > 1}


def _metadata(examples: Examples, dataset: DictConfig) -> dict[str, Texts]:
    path = metadata.path_of(dataset)
    if path is None or examples.paths is None:
        return {}
    table = metadata.read(path, Path(str(dataset.root)).expanduser(), examples.paths)
    return {name: _divided(values) for name, values in table.items()}


def _divided(values: Texts) -> Texts:
    try:
        numbers = np.array([float(value) if value else np.nan for value in values.tolist()])
    except ValueError:
        return values
    return quarters(numbers) if len(np.unique(numbers[np.isfinite(numbers)])) > _MOST_NUMBERS else values


def _measured(examples: Examples, dataset: DictConfig) -> dict[str, Texts]:
    cache_dir = Path(str(dataset.cache_dir)).expanduser()
    root = Path(str(dataset.root)).expanduser().resolve() if dataset.get("root") else ""
    records = measuring.measure(examples, cache_dir, f"{dataset.name} {root}").records  # as the audit remembers them
    width, height = (records[side].astype(np.float64) for side in ("width", "height"))
    sides = np.sqrt(records["box"][:, 2] * width * records["box"][:, 3] * height)
    return {
        "brightness": quarters(records["brightness"]),
        "sharpness": quarters(records["sharpness"]),
        "face size": quarters(sides, " pixels"),
        "resolution": quarters(np.sqrt(width * height), " pixels"),
    }
