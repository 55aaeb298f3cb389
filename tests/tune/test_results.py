"""What a search shows while it runs."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from emotion.tune.history import Trial
from emotion.tune.results import Reporter
from tests.conftest import compose

_TRIAL = Trial(3, {"trainer.learning_rate": 0.00123}, "running", None, None, None, None, 0.0, "", Path("3"))


@pytest.mark.slow
def test_bars_show_the_epochs_of_the_trials_in_training(tmp_path: Path) -> None:
    cfg = compose("tune", "trainer.epochs=6", "tuner.executions=2")
    display = Progress(console=Console(file=io.StringIO(), force_terminal=True))
    reporter = Reporter(tmp_path, cfg, 10, display)
    shorter = replace(_TRIAL, number=4, epochs=2)
    reporter.update([_TRIAL, shorter])
    reporter.update([replace(_TRIAL, trained=5), shorter])
    assert [(task.description, task.completed, task.total) for task in display.tasks] == [
        ("trials", 0, 10),
        ("trial 3, epochs", 5, 12),
        ("trial 4, epochs", 0, 4),
    ]
    assert display.tasks[1].fields["info"] == "trainer.learning_rate=0.00123"
    reporter.update([replace(_TRIAL, status="completed", objective=0.5), replace(shorter, trained=1)])
    assert [(task.description, task.completed) for task in display.tasks] == [("trials", 1), ("trial 4, epochs", 1)]
