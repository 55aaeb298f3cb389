"""The images that an export is made and compared on: training images for int8's scales, the validation split."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emotion import runs
from emotion.base.errors import UserError
from emotion.data.examples import Examples, Splits
from emotion.faces.contract import Contract
from emotion.inference.runtimes import Batch

log = logging.getLogger(__name__)


def load(run: runs.Run, dataset: DictConfig | None, *, needed: bool) -> Splits | None:
    """A run's data.

    Args:
        dataset: Where the data is now; None is where the run's config says.
        needed: Whether the export cannot be judged without; else it is compared on drawn faces, and the log says so.

    Raises:
        UserError: It is needed, or was named, and is gone, cannot be read, or is other data than the run was made with.
    """
    run.record(), run.config()  # what is damaged is an error, not missing data
    try:
        splits = of_run(run, dataset)
        if not len(splits.validation):
            raise UserError("its validation split has no images")
    except (UserError, OmegaConfBaseException) as error:
        if needed or dataset is not None:
            raise UserError(
                f"run {run.id}: {error}. Without its validation split an export cannot be shown to be as good as its "
                f"checkpoint. Say where the data is: dataset=... dataset.root=..."
            ) from None
        log.warning("run %s: %s. Comparing on drawn faces instead, without an accuracy", run.id, error)
        return None
    return splits


def of_run(run: runs.Run, dataset: DictConfig | None = None) -> Splits:
    """The data that a run was made with; ``dataset`` as for :func:`load`.

    Raises:
        UserError: It is gone, cannot be read, or is other data; gives the reason alone.
    """
    from emotion.data import sources

    pixels, chosen = run.record().pixels, run.config().dataset if dataset is None else dataset
    if chosen is None:
        raise UserError("it was adopted without data")
    root = OmegaConf.select(chosen, "root")
    if root is not None and not Path(str(root)).expanduser().exists():
        raise UserError(f"its data is not at '{root}' any more")
    splits = sources.load(chosen)
    current = splits.fingerprint["pixels"]
    if pixels not in (None, current):
        raise UserError(
            f"'{root or chosen.name}' holds other data than it was made with (fingerprint {pixels[:12]}, now "
            f"{current[:12]})"
        )
    return splits


def representative(train: Examples, contract: Contract, count: int) -> Batch:
    """At most ``count`` images to calibrate int8 on, uint8 ``[N, H, W, C]``, always the same training images."""
    rows = np.sort(np.random.default_rng(0).permutation(len(train))[:count])
    return read(train.take(rows), contract)


def read(examples: Examples, contract: Contract) -> Batch:
    """All images of a split, prepared by the contract: uint8 ``[N, H, W, C]``.

    Raises:
        UserError: A file can no longer be read.
    """
    from emotion.data import cache

    store = cache.open_store(examples, contract, cache="memory", cache_dir="")
    return store.read(np.arange(len(examples)))
