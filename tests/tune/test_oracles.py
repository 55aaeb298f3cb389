"""What a search's oracle remembers, and what it does with trials that did not end."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from emotion.base.errors import UserError
from emotion.config import cli
from emotion.tune.plan import Plan

pytestmark = pytest.mark.slow


def oracle(folder: Path, *arguments: str) -> Any:
    """The oracle of a search over two values of one key, with its state in a folder."""
    from emotion.tune import oracles

    plan = Plan.of(cli.request("tune", ["tuner.space=null", "trainer.momentum=0.1,0.9", *arguments]))
    cfg = plan.compose()
    return oracles.build(cfg, plan.parameters(cfg), folder / "oracle")


def test_the_trial_of_a_worker_that_is_gone_goes_to_the_next(tmp_path: Path) -> None:
    first = oracle(tmp_path, "tuner=grid")
    trial = first.create_trial("gone")
    other = first.create_trial("other")
    assert other.trial_id != trial.trial_id
    first.take_from("gone")
    assert first.create_trial("other").trial_id == other.trial_id, "a worker keeps the trial that it has"
    again = first.create_trial("next")
    assert (again.trial_id, again.hyperparameters.values) == (trial.trial_id, trial.hyperparameters.values)


def test_a_resumed_oracle_begins_with_what_had_not_ended(tmp_path: Path) -> None:
    killed = oracle(tmp_path, "tuner=grid")
    trials = [killed.create_trial(name) for name in ("a", "b")]
    killed.save()
    resumed = oracle(tmp_path, "tuner=grid")
    assert [resumed.create_trial("c").trial_id, resumed.create_trial("d").trial_id] == [t.trial_id for t in trials]
    (tmp_path / "oracle" / "oracle.json").write_text("{}")
    with pytest.raises(UserError, match=r"oracle.json: damaged \(RuntimeError\); restore it, or begin a new search"):
        oracle(tmp_path, "tuner=grid")


def test_what_cannot_be_written_is_kept_for_the_search_to_raise(tmp_path: Path) -> None:
    full = oracle(tmp_path, "tuner=random", "tuner.max_trials=2")
    (tmp_path / "oracle").write_text("not a folder")
    full.save()
    assert isinstance(full.fault, OSError)


@pytest.mark.parametrize(("trials", "first", "warned"), [(1000, 3, False), (20, 1, False), (1, 1, True)])
def test_hyperband_begins_with_what_it_can_finish(
    trials: int, first: int, warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        made = oracle(tmp_path, "tuner=hyperband", "trainer.epochs=30", "tuner.factor=3", f"tuner.max_trials={trials}")
    assert made._current_bracket == first
    assert (made.trials_of(first) > trials) is warned
    assert ("ends before Hyperband's first promotion" in caplog.text) is warned
