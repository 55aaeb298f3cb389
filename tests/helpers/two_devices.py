"""Train with one device and with two, in a process that has two: ``python -m tests.helpers.two_devices FOLDER``.

TensorFlow divides a machine's CPU into devices only before it starts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

from emotion import runs  # noqa: E402
from emotion.base import files  # noqa: E402
from emotion.base.errors import UserError  # noqa: E402
from emotion.data import sources  # noqa: E402
from emotion.models.build import contract_of  # noqa: E402
from emotion.train import (  # noqa: E402
    environment,
    fit,
    work,
)
from emotion.train.balance import Balance  # noqa: E402
from tests.conftest import TINY, compose  # noqa: E402

# Nothing random in the model. Pictures, their order and the weights of their classes are the same for both.
CONFIG = (*TINY, "model.dropout=0", "trainer.schedule=constant", "trainer.deterministic=true", "trainer.threads=1",
          "trainer.class_weight={angry: 3, disgusted: 2, fearful: 1, happy: 0.5, neutral: 1, sad: 1, surprised: 1}",
          "dataset.per_emotion=47", "trainer.ema=0.9")  # fmt: skip


def fitted(folder: Path, *overrides: str) -> runs.Run:
    """A run that was fitted, and stopped before its scores."""
    cfg = compose("train", *CONFIG, *overrides)
    run = runs.create(folder, folder.parent, cfg)
    environment.set_up(cfg.trainer, cfg.seed)
    data = fit.Data.open(sources.load(cfg.dataset), contract_of(cfg.model, 0.0), cfg.dataset)
    fit.fit(cfg, run, data, Balance.of(cfg.trainer, data.splits), None)
    return run


def main(folder: Path) -> None:
    fitted(folder / "one", "trainer.epochs=3")
    run = fitted(folder / "two", "trainer.epochs=2", "trainer.strategy=mirrored")
    work(compose("train", *CONFIG, "trainer.epochs=3", "trainer.strategy=mirrored"), run, resume=True)
    try:
        fitted(folder / "odd", "trainer.strategy=mirrored", "trainer.batch_size=33")
    except UserError as error:
        files.write_json(folder / "odd" / "said.json", {"error": str(error)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
