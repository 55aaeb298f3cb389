"""Hydra's sweeper as it is here: values for the jobs of one option alone."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from emotion.base.errors import UserError
from emotion.config import typed
from emotion.jobs.local import OptionSweeper


def jobs(*texts: str) -> list[list[str]]:
    sweeper = OptionSweeper.__new__(OptionSweeper)
    (batch,) = sweeper.split_arguments(OverridesParser.create().parse_overrides(list(texts)), None)
    return batch


def test_an_options_own_values_are_swept_for_its_jobs_alone() -> None:
    own = ("model.weights@mobilenet_v2=null", "model.alpha@mobilenet_v2=0.35,0.5", "model.dropout@mobilenet_v2=0.1")
    assert jobs("model=cnn,mobilenet_v2", "model.dropout=0.4", "seed=0", *own) == [
        ["model=cnn", "model.dropout=0.4", "seed=0"],
        ["model=mobilenet_v2", "seed=0", "model.weights=null", "model.alpha=0.35", "model.dropout=0.1"],
        ["model=mobilenet_v2", "seed=0", "model.weights=null", "model.alpha=0.5", "model.dropout=0.1"],
    ]


def test_an_option_that_no_job_has_is_a_mistake() -> None:
    with pytest.raises(UserError, match=r"model\.alpha@mobilenet_v2: no job of this sweep has model=mobilenet_v2"):
        jobs("model=cnn,cnn_fast", "model.alpha@mobilenet_v2=0.35")


def test_what_is_typed_comes_to_the_sweeper_as_from_a_config_file() -> None:
    bound = typed.bound("model.stages@cnn=[8,16],[16,32]")
    assert bound is not None
    (override,) = OverridesParser.create().parse_overrides(typed.for_sweeper((bound,)))
    assert override.value() == {"model.stages@cnn": "[8,16],[16,32]"}
    assert typed.bound("model@teacher=cnn") is None, "Hydra's own packages stay"
