"""The command that a run records gives its config again, and ``again=`` does so from the run's folder alone."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from emotion import runs
from emotion.base.errors import UserError
from emotion.config import checks, cli
from emotion.runs import creating, repeating
from emotion.tune import trial
from emotion.tune.plan import Plan
from tests.conftest import answered
from tests.helpers.trainings import MINE, OWN_FACTORY, config_of_command, plain


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, an augmentation, and a folder of images of a user's own."""
    monkeypatch.chdir(tmp_path)
    for name, text in MINE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "data, 1" / "faces").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def made(here: Path) -> Callable[..., runs.Run]:
    """The run that a command line makes, without its training."""

    def make(*arguments: str) -> runs.Run:
        asked = cli.request("train", list(arguments))
        folder = here / "outputs" / "made"
        cli.launch(
            asked.with_overrides(f"hydra.run.dir='{folder}'"), lambda cfg: runs.create(folder, here / "outputs", cfg)
        )
        return runs.Run(folder, "made")

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["seed=3", "trainer.epochs=2"], "python -m emotion.train seed=3 trainer.epochs=2"),
        (
            ["--config-dir", "my conf", "model=mine", "model.width=4", "augmentation=own"],
            "python -m emotion.train --config-dir 'my conf' model=mine model.width=4 augmentation=own",
        ),
        (["dataset=folder", "dataset.root=data, 1/faces"], None),
        (["dataset=folder", "dataset.root=./data, 1/../data, 1/faces", "dataset.group='^(S\\d+)_'"], None),
        (["dataset.cache_dir=${oc.env:EMOTION_TEST}"], "python -m emotion.train dataset.cache_dir=/5"),
        (["model.stages=[8,16]", "augmentation.ops=[{flip: {probability: 0.5}}]", "compare=true"], None),
        (["experiment=quickstart", "hydra.job.chdir=false", "outputs=elsewhere"], None),
    ],
)  # fmt: skip
def test_the_recorded_command_gives_the_config_again(
    made: Callable[..., runs.Run], arguments: list[str], command: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOTION_TEST", "/5")
    run = made(*arguments)
    recorded = run.record().command
    monkeypatch.setenv("EMOTION_TEST", "/6")
    assert config_of_command(recorded) == plain(run.config()) | {"compare": False}
    assert command in (None, recorded)


@pytest.mark.slow
def test_a_model_beside_the_user_needs_no_path_and_one_elsewhere_has_it(
    made: Callable[..., runs.Run], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "my code").mkdir()
    (here / OWN_FACTORY).rename(here / "my code" / OWN_FACTORY)
    monkeypatch.setenv("PYTHONPATH", f"/nowhere:{here}/my code")
    run = made("--config-dir", "my conf", "model=mine")
    assert run.record().command.startswith("PYTHONPATH='my code' python -m emotion.train --config-dir")
    changed = repeating.with_changes(run.record().command, {"trainer.epochs": 9, "dataset.root": "/a b"})
    assert changed.startswith("PYTHONPATH='my code' python -m emotion.train --config-dir")
    assert shlex.split(changed)[-2:] == ["trainer.epochs=9", "dataset.root=/a b"]
    changed = repeating.with_changes(changed, {"trainer.epochs": None})
    assert shlex.split(changed)[-2:] == ["dataset.root=/a b", "trainer.epochs=null"]


@pytest.mark.slow
def test_a_teacher_is_named_for_good(made: Callable[..., runs.Run]) -> None:
    run = made("seed=1")
    run.checkpoints.mkdir()
    run.best.write_bytes(b"only looked for here")
    asked = cli.request("train", ["trainer.teacher=latest"])
    assert asked.cfg is not None
    cfg = creating.with_absolute_paths(asked.cfg)
    line = repeating.line("train", asked.overrides, cfg)
    assert line == "python -m emotion.train trainer.teacher=outputs/made"
    assert config_of_command(line)["trainer"]["teacher"] == cfg.trainer.teacher


@pytest.mark.slow
def test_a_trial_records_a_line_of_train_with_its_values(here: Path) -> None:
    asked = cli.request(
        "tune", ["--config-dir", "my conf", "model=choice(mine,cnn)", "tuner=random", "tuner.max_trials=3", "seed=2",
                 "trainer.learning_rate=tag(log, interval(1e-4, 1e-2))", "dataset=folder",
                 "dataset.root=data, 1/faces"],
    )  # fmt: skip
    plan = Plan.of(asked)
    values: dict[str, Any] = {"model": "mine", "trainer.learning_rate": 0.0013579}
    own = creating.with_absolute_paths(trial.training_config(plan.compose(values), 4))
    command = trial.command_of(plan, own, values, here / "outputs" / "s" / "trials" / "0", shorter=False)
    assert command.startswith("python -m emotion.train --config-dir 'my conf' dataset=folder")
    assert "tuner" not in command
    assert config_of_command(command) == plain(checks.completed(own))
    own.trainer.warmup_epochs, own.trainer.epochs = 5, 1
    command = trial.command_of(plan, own, values, here / "outputs" / "s" / "trials" / "0", shorter=True)
    assert command == ("python -m emotion.train again=outputs/s/trials/0 model._target_=my_models.build"), (
        "no command line may ask for a warm-up that is longer than the training"
    )


def asked_again(run: runs.Run, *arguments: str) -> Any:
    asked = cli.request("train", [f"again={run.path}", *arguments])
    assert asked.cfg is not None
    return repeating.config_of(run, asked.cfg, list(asked.overrides))


@pytest.mark.slow
def test_again_takes_changes_of_single_keys(made: Callable[..., runs.Run]) -> None:
    run = made("experiment=quickstart", "seed=3", "outputs=elsewhere", "dataset.cache_dir=theirs")
    again = partial(asked_again, run)
    cfg = again()
    assert (cfg.outputs, cfg.seed) == ("outputs", 3), "where it goes is said by this command line alone"
    assert cfg.dataset.cache_dir != run.config().dataset.cache_dir
    cfg.outputs, cfg.dataset.cache_dir = "elsewhere", run.config().dataset.cache_dir
    assert plain(creating.with_absolute_paths(cfg)) == plain(run.config())
    assert again("seed=4", "trainer.epochs=1", "outputs=mine").trainer.epochs == 1
    for wrong, said in {
        "model=mobilenet_v2": "model: leave it out with again=",
        "experiment=fer2013_quick": "experiment: leave it out",
        "compare=true": "compare: leave it out",
        "trainer.warmup_epochs=20": "trainer.warmup_epochs: 20.0 is more than trainer.epochs=12",
    }.items():
        with pytest.raises(UserError) as caught:
            again(wrong)
        assert str(caught.value).startswith(said)


@pytest.mark.slow
def test_again_writes_nothing_where_a_part_of_the_runs_data_was_cached(made: Callable[..., runs.Run]) -> None:
    parts = "dataset.parts=[{name: synthetic, cache_dir: theirs}, {name: synthetic, weight: 2}]"
    run = made("dataset=mixed", parts)
    assert run.config().dataset.parts[0].cache_dir == "theirs"
    assert plain(asked_again(run).dataset)["parts"] == [{"name": "synthetic"}, {"name": "synthetic", "weight": 2}]
    typed = asked_again(run, "++" + parts.replace("theirs", "mine"))
    assert typed.dataset.parts[0].cache_dir == "mine", "said by this command line"


@pytest.mark.slow
def test_again_is_refused_where_nothing_was_trained(
    made: Callable[..., runs.Run], capsys: pytest.CaptureFixture[str]
) -> None:
    from emotion.train import main

    run = made("experiment=quickstart")
    runs.update(run, adopted={"file": "a.h5"})
    for arguments, said in (
        ([f"again={run.path}"], "was adopted, not trained"),
        (["again=latest"], "no run under 'outputs' can be the latest here: made (adopted)"),
        (["again=nosuch"], "no run 'nosuch'"),
        (["-m", f"again={run.path}", "seed=1,2"], "again: repeats one run; leave out -m"),
        ([f"again={run.path}", "resume=latest"], "leave out resume, or again"),
    ):
        assert answered(main, *arguments) == 2
        assert said in capsys.readouterr().err
