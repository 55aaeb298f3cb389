"""Recorded commands, typed into a shell: the new run's config is the old one's, and so are its answers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion import runs
from tests.conftest import TINY, emotion
from tests.helpers import commands
from tests.helpers.trainings import MINE, plain

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

SHORT = (*(o for o in TINY if not o.startswith(("model.", "trainer.epochs"))), "trainer.epochs=1",
         "trainer.deterministic=true")  # fmt: skip
STAGES = "model.stages=[8,16]"


def typed(line: str, folder: Path) -> runs.Run:
    """The run that a line makes, typed into a shell in this folder."""
    before = {run.id for run in runs.listing(folder / "outputs")}
    search = os.pathsep.join([str(Path(commands.interpreter()).parent), os.environ["PATH"]])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PATH": search}
    done = subprocess.run(["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    (new,) = (run for run in runs.listing(folder / "outputs") if run.id not in before)
    return new


def content(run: runs.Run) -> dict[str, Any]:
    return plain(run.config())


def repeated(run: runs.Run, folder: Path) -> runs.Run:
    """What a run's recorded command makes; held against the run."""
    new = typed(run.record().command, folder)
    assert content(new) == content(run), run.record().command
    assert new.record().command == run.record().command, "and so on for ever"
    with np.load(run.path / "predictions.npz") as old, np.load(new.path / "predictions.npz") as predictions:
        np.testing.assert_array_equal(predictions["test_probabilities"], old["test_probabilities"])
    return new


def test_recorded_commands_repeat_their_runs(tmp_path: Path) -> None:
    for name, text in MINE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    outputs = tmp_path / "outputs"

    emotion("train", "--config-dir", "my conf", "model=mine", "augmentation=own", *SHORT, cwd=tmp_path)
    (own,) = runs.listing(outputs)
    assert content(own)["augmentation"]["mixup"] == 0.125
    repeated(own, tmp_path)
    alone = f"python -m emotion.train again=outputs/{own.id}"
    refused = subprocess.run(
        [commands.interpreter(), *alone.split()[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "add model._target_=my_models.build" in refused.stderr
    new = typed(f"{alone} model._target_=my_models.build", tmp_path)
    assert content(new) == content(own)
    repeated(new, tmp_path)

    sweep = ["-m", *SHORT, STAGES, "hydra.sweep.dir=outputs/mine"]
    emotion("train", *sweep, "seed=4", cwd=tmp_path)
    emotion("train", *sweep, "seed=4,5", "resume=true", "compare=true", cwd=tmp_path)
    for number in ("0", "1"):
        job = runs.resolve(f"mine/{number}", outputs)
        assert f"seed={4 + int(number)}" in job.record().command
        repeated(job, tmp_path)


def test_a_trial_and_the_best_config_repeat(tmp_path: Path) -> None:
    for name, text in MINE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    outputs = tmp_path / "outputs"
    emotion(
        "tune", "--config-dir", "my conf", *SHORT, "model=choice(mine)", "augmentation=own", "tuner=random",
        "tuner.max_trials=1", "tuner.space=null", "trainer.learning_rate=choice(0.005,0.0025)", cwd=tmp_path,
    )  # fmt: skip
    (trial,) = runs.listing(outputs)
    assert "emotion.train --config-dir" in trial.record().command
    repeated(trial, tmp_path)
    (search,) = outputs.glob("*_tune")
    best = typed(f"python -m emotion.train --config-dir {search.relative_to(tmp_path)} experiment=best", tmp_path)
    assert content(best) == content(trial)
    repeated(best, tmp_path)
