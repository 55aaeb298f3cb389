"""What a fit that is cut short leaves behind in its process."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
from tensorflow.python.data.ops.iterator_ops import OwnedIterator

from emotion import runs
from emotion.data import sources
from emotion.models.build import contract_of
from emotion.train import board, environment, fit
from emotion.train.balance import Balance
from tests.conftest import TINY, compose
from tests.helpers.tiers import rest_nightly


@pytest.mark.slow
@pytest.mark.parametrize("moment", rest_nightly(["on_train_batch_end", "on_test_batch_end"]))
def test_no_pipeline_is_left_running(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: object, batch: int, logs: Any = None) -> None:
        assert pipelines() > before, "one is running now"
        raise KeyboardInterrupt

    cfg = compose("train", *TINY, "augmentation=strong")
    run = runs.create(tmp_path / "run", tmp_path, cfg)
    environment.set_up(cfg.trainer, cfg.seed)
    monkeypatch.setattr(board.Scalars, moment, interrupt, raising=False)
    gc.collect()
    before = pipelines()
    # The exception is held while we count, as it is when a process ends with it.
    data = fit.Data.open(sources.load(cfg.dataset), contract_of(cfg.model, 0.0), cfg.dataset)
    with pytest.raises(KeyboardInterrupt) as held:
        fit.fit(cfg, run, data, Balance.of(cfg.trainer, data.splits), None)
    assert pipelines() == before
    assert held.tb is not None


def pipelines() -> int:
    """How many iterators over tf.data there are, each with threads of its own."""
    return sum(isinstance(thing, OwnedIterator) for thing in gc.get_objects())
