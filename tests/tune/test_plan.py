"""From a search's command line to what is searched, and to each trial's config."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from emotion.base.errors import UserError
from emotion.config import cli
from emotion.runs import creating
from emotion.tune.plan import Plan
from emotion.tune.space import Choice
from emotion.tune.trial import training_config
from tests.conftest import REPOSITORY, compose


def plan(*arguments: str) -> Plan:
    return Plan.of(cli.request("tune", list(arguments)))


def keys(given: Plan) -> dict[str, object]:
    return {p.key: p for p in given.parameters(given.compose())}


@pytest.mark.slow
def test_keys_with_several_values_join_the_space_and_keys_with_one_leave_it() -> None:
    given = plan("trainer.batch_size=choice(32, 64)", "trainer.learning_rate=0.01", "augmentation=light")
    assert set(keys(given)) == {
        "trainer.batch_size", "trainer.weight_decay", "trainer.label_smoothing", "model.dropout",
    }  # fmt: skip
    assert given.compose().trainer.learning_rate == 0.01


@pytest.mark.slow
def test_a_space_of_ones_own() -> None:
    assert set(keys(plan("tuner.space=null", "model=choice(cnn, mobilenet_v2)"))) == {"model"}


@pytest.mark.slow
def test_keys_of_one_model_are_searched_with_that_model_only() -> None:
    found = keys(plan("tuner.space=null", "model=cnn,mobilenet_v2", "model.alpha=0.35,0.5", "model.dropout=0.1,0.2"))
    assert found["model.alpha"] == Choice("model.alpha", (0.35, 0.5), only_for=("mobilenet_v2",))
    assert found["model.dropout"] == Choice("model.dropout", (0.1, 0.2))


@pytest.mark.slow
def test_an_experiments_space_joins_the_tuners_and_the_experiment_still_trains(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\n"
        "tuner:\n"
        "  max_trials: 7\n"
        "  space:\n"
        "    trainer.weight_decay: null\n"
        "    model.squeeze_excitation: choice(true, false)\n"
        "    trainer.nesterv: choice(true, false)\n"
    )
    given = plan("--config-dir", str(tmp_path), "experiment=mine")
    with pytest.raises(UserError, match=r"trainer\.nesterv: no such key"):
        keys(given)
    text = (tmp_path / "experiment" / "mine.yaml").read_text().replace("nesterv", "nesterov")
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    assert {"model.squeeze_excitation", "trainer.nesterov", "model.dropout"} < set(keys(given))
    assert "trainer.weight_decay" not in keys(given)
    assert given.compose().tuner.max_trials == 7
    training = cli.request("train", ["--config-dir", str(tmp_path), "experiment=mine"]).cfg
    assert training is not None
    assert "tuner" not in creating.with_absolute_paths(training), "a run's config is what it was trained with"


@pytest.mark.slow
def test_a_trials_config_is_that_of_the_same_training(tmp_path: Path) -> None:
    given = plan("tuner.space=null", "model=choice(cnn, cnn_small)", "trainer.epochs=3", f"outputs={tmp_path}")
    mine = creating.with_absolute_paths(
        training_config(given.compose({"model": "cnn_small", "trainer.learning_rate": 0.003}), seed=4)
    )
    same = creating.with_absolute_paths(
        compose(
            "train",
            "model=cnn_small",
            "trainer.learning_rate=0.003",
            "trainer.epochs=3",
            "seed=4",
            f"outputs={tmp_path}",
        )
    )
    assert mine == same


@pytest.mark.slow
def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    given = plan("tuner.space=null", "model.stages=[8,16],[16,32]", "trainer.epochs=3")
    (tmp_path / "search.json").write_text(json.dumps({"plan": given.as_json()}))
    asked = cli.request("tune", ["resume=x"])
    assert Plan.load(tmp_path, asked).as_json() == given.as_json()
    (tmp_path / "search.json").write_text(json.dumps({"plan": {"space": 3}}))
    with pytest.raises(UserError, match="damaged"):
        Plan.load(tmp_path, asked)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trainer.learning_rat=choice(1, 2)"], "trainer.learning_rat: no such key. Did you mean"),
        (["trainer.learning_rate=interval(0.1, 0.01)"], "upside down: 0.1 is not below 0.01"),
        (["trainer.learning_rate=interval(1, 1000)"], "out of range, must be from 1e-10 to 100"),
        (["trainer.batch_size=choice(32, many)"], "trainer.batch_size"),
        (["trainer.optimizer=choice(adamw, adma)"], "'adma' is not one of"),
        (["model=choice(cnn, mobilenet)"], "mobilenet"),
        (["dataset=choice(synthetic, fer2013)"], "dataset.root: no value given"),
        (["seed=choice(1, 2)"], "seed: cannot be searched"),
        (["tuner.objective=val_acuracy"], "'val_acuracy' is not one of val_macro_f1, val_accuracy, val_loss"),
        (["tuner=hyperbnd"], "Did you mean 'hyperband'"),
        (["tuner.max_trials=0"], "out of range"),
        (["tuner=random", "tuner.factor=3"], "tuner.factor"),
        (["tuner.space=null"], "nothing to search"),
    ],
)
def test_mistakes(arguments: list[str], said: str) -> None:
    with pytest.raises(UserError) as refused:
        keys(plan(*arguments))
    assert said in str(refused.value)


@pytest.mark.slow
def test_a_mistake_is_answered_without_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.argv = ['emotion.tune', 'trainer.learning_rate=interval(2, 1)']\n"
        "from emotion import tune\n"
        "try:\n    tune.main()\nexcept SystemExit as stopped:\n"
        "    print(stopped.code, 'tensorflow' in sys.modules, 'keras_tuner' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True
    )
    assert done.stdout == "2 False False\n", done.stderr
    assert done.stderr.startswith("error: tuner.space: trainer.learning_rate: ")
    assert list(tmp_path.iterdir()) == [], "a mistake leaves nothing behind"
