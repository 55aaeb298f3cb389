"""What a person gets for what they type, before TensorFlow is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.config import cli
from tests.conftest import emotion
from tests.helpers.properties import max_examples


def refused(*arguments: str, command: str = "train") -> str:
    with pytest.raises(UserError) as caught:
        cli.request(command, list(arguments))
    return str(caught.value)


_MISTAKES: list[tuple[list[str], list[str]]] = [
    (["trainer.epohs=3"], ["trainer.epohs", "'trainer.epochs'", "Allowed under trainer:"]),
    (["datset=fer2013"], ["datset", "'dataset'"]),
    (["sed=3"], ["sed", "'seed'"]),
    (["dataset=fer2014"], ["dataset: no option 'fer2014'", "'fer2013'", "folder", "synthetic"]),
    (["experiment=quikstart"], ["experiment", "'quickstart'"]),
    (["trainer.epochs=ten"], ["trainer.epochs", "'ten'", "whole number"]),
    (["trainer.epochs=1.5"], ["trainer.epochs", "'1.5'", "whole number"]),
    (["trainer.epochs=null"], ["trainer.epochs", "null"]),
    (["trainer.learning_rate=fast"], ["trainer.learning_rate", "'fast'", "a number"]),
    (["trainer.deterministic=maybe"], ["trainer.deterministic", "'maybe'", "true or false"]),
    (["trainer.epochs=0"], ["trainer.epochs", "0", "from 1 to"]),
    (["trainer.precision=bf16"], ["trainer.precision", "'bf16'", "float32", "'bfloat16'"]),
    (["model.colour=grey"], ["model.colour", "'grey'", "gray, rgb"]),
    (["+trainer.foo=1"], ["trainer.foo: no such key", "Allowed here"]),
    (["+trainer.epohs=1"], ["trainer.epohs", "Did you mean 'epochs'"]),
    (["+extra.key=1"], ["extra"]),
    (["dataset=fer2013"], ["dataset.root", "Set dataset.root="]),
    (["seed=1,2"], ["seed", "'1,2'", "-m"]),
    (["model=cnn,mobilenet_v2"], ["model", "-m"]),
    (["seed=range(3)"], ["seed", "-m"]),
    (["dataset=folder", "dataset.root=a=b"], ["dataset.root", "a=b"]),
    (["dataset.numbering=a=b"], ["dataset.numbering", "quote it twice"]),
    (["trainer.epochs"], ["'trainer.epochs'", "key=value"]),
    (["trainer.class_weight=balaned"], ["trainer.class_weight", "'balanced'"]),
    (["trainer.class_weight={angry: 2, hapy: 1}"], ["trainer.class_weight.hapy", "'happy'", "no weight for"]),
    (["augmentation.ops=[{flipp: {probability: 1}}]"], ["augmentation.ops[0]", "'flip'", "rotate"]),
    (["augmentation.ops=[{flip: {prob: 1}}]"], ["augmentation.ops[0].flip", "'prob'", "probability"]),
    (["augmentation.ops=[{scale: {low: 2, high: 1}}]"], ["augmentation.ops[0].scale", "low"]),
    (["augmentation.ops=[{jpeg: {low: 0, high: 50}}]"], ["augmentation.ops[0].jpeg: low 0", "from 1 to 100"]),
    (["augmentation.ops=[{occlude: {high: 1.5}}]"], ["augmentation.ops[0].occlude", "high 1.5", "from 0 to 1"]),
    (["augmentation.ops=[flip]"], ["augmentation.ops[0]"]),
    (["augmentation.ops=[{rotate: 10}]"], ["augmentation.ops[0].rotate: '10'", "{rotate: {degrees: 10.0}}"]),
    (["augmentation.ops=[{rotate: ten}]"], ["augmentation.ops[0].rotate: 'ten'", "degrees, probability"]),
    (["augmentation.ops=[{flip: [0.5]}]"], ["augmentation.ops[0].flip: '[0.5]'", "{flip: {probability: 0.5}}"]),
    (["augmentation.ops=[{rotate: {degrees: nan}}]"], ["augmentation.ops[0].rotate.degrees: 'nan'"]),
    (["model=null"], ["model: null is no option", "cnn, cnn_fast, cnn_small, mobilenet_v2"]),
    (["dataset=null"], ["dataset: null is no option", "fer2013"]),
    (["trainer=null"], ["trainer: null is no option", "default"]),
    (["augmentation=null"], ["augmentation: null is no option", "none"]),
    (["model=1"], ["model: no option '1'"]),
    (["-m", "experiment=null,quickstart"], ["experiment: no option 'null'"]),
    (["dataset=folder", "dataset.root=nope"], ["dataset.root: no such file or folder 'nope'", "dataset.root=<"]),
    (["dataset=fer2013", "dataset.root=nope"], ["dataset.root: no such file or folder 'nope'"]),
    (["-m", "dataset=fer2013", "dataset.root=.,nope"], ["dataset.root: no such file or folder 'nope'"]),
    (["dataset=folder", "dataset.root=${oc.env:EMOTION_NOT_SET}"], ["EMOTION_NOT_SET"]),
    (["dataset=folder", "dataset.root=.", "dataset.metadata=no.csv"], ["dataset.metadata: no such file 'no.csv'"]),
    (
        ["dataset=folder", "dataset.root=.", "dataset.folds=5"],
        ["dataset.fold: no value", "-m 'dataset.fold=range(5)'"],
    ),
    (
        ["dataset=folder", "dataset.root=.", "dataset.fold=2"],
        ["dataset.folds: no value given, with dataset.fold=2"],
    ),
    (
        ["-m", "dataset=folder", "dataset.root=.", "dataset.folds=3", "dataset.fold=range(4)"],
        ["dataset.fold: 3", "from 0 to 2"],
    ),
    (["model=mobilenet_v2", "model.weights=nope.h5"], ["model.weights: no such file 'nope.h5'", "imagenet"]),
    (["model=mobilenet_v2", "model.alpha=0.4"], ["model.alpha", "0.35, 0.5", "not for 0.4", "weights=null"]),
    (["model=mobilenet_v2", "model.input_size=24"], ["model.input_size: 24", "at least 32"]),
    (["trainer.warmup_epochs=50"], ["trainer.warmup_epochs", "trainer.epochs=30"]),
    (["-m", "model=cnn,mobilenet_v2", "model.weights=null"], ["'model.weights@mobilenet_v2=null'"]),
    (["-m", "model=cnn,mobilenet_v2", "model.weights@mobilenet_v2=nope.h5"], ["model.weights: no such file 'nope.h5'"]),
    (
        ["-m", "model=cnn,mobilenet_v2", "model.weigts@mobilenet_v2=null"],
        ["model.weigts: no such key", "'model.weights'"],
    ),
    (["-m", "model=cnn,mobilenet_v2", "model.alpha@mobilenet_v2=1.0,0.4"], ["model.alpha", "not for 0.4"]),
    (["-m", "model=cnn,mobilenet_v2", "model.alpha@mobilenet=1.0"], ["model: no option 'mobilenet'"]),
    (["model=mobilenet_v2", "model.weights@mobilenet_v2=null"], ["sweep (-m)", "leave out '@mobilenet_v2'"]),
    (["model.stages=[8,8,8,8,8,8]"], ["model.stages", "2x2"]),
    (["trainer.precision=float16", "trainer.strategy=mirrored"], ["trainer.precision", "bfloat16"]),
    (["hydra.run.dirr=x"], ["hydra.run.dirr"]),
    (["experiment=quickstart", "model=mobilenet_v2"], ["model.stages", "experiment/quickstart", "MobileNetV2"]),
]


#: A sixth of them in the quick tier, half of them before a push: composing a config takes a tenth of a second and more.
_SLOW, _NIGHTLY = [pytest.mark.slow], [pytest.mark.slow, pytest.mark.nightly]
_MARKS: tuple[list[pytest.MarkDecorator], ...] = ([], _NIGHTLY, _SLOW, _NIGHTLY, _SLOW, _NIGHTLY)
_CASES = [pytest.param(*case, marks=_MARKS[i % 6]) for i, case in enumerate(_MISTAKES)]


@pytest.mark.parametrize(
    ("override", "says"),
    [("model.stages=[nan]", "must be a whole number"), ("trainer.deterministic=maybe", "must be true or false")],
)
def test_a_mistake_under_a_debugger_is_named_too(override: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OC_CAUSE", "1")  # what OmegaConf does where a debugger or coverage traces
    assert says in refused(override)


@pytest.mark.parametrize(("arguments", "parts"), _CASES)
def test_a_mistake_is_named_with_its_key_value_and_cure(arguments: list[str], parts: list[str]) -> None:
    message = refused(*arguments)
    for part in parts:
        assert part in message


@pytest.mark.slow
def test_every_mistake_in_a_command_is_named_at_once() -> None:
    message = refused("trainer=x", "model=cnm", "trainer.epohs=3")
    assert "trainer: no option 'x'" in message
    assert "model: no option 'cnm'" in message
    message = refused("trainer.epochs=0", "model.dropout=2")
    assert "trainer.epochs" in message
    assert "model.dropout" in message


@pytest.mark.slow
def test_a_sweep_is_checked_value_by_value() -> None:
    assert "model: no option 'cnm'" in refused("-m", "model=cnn,cnm", "seed=range(3)")
    assert "trainer.epochs: -1" in refused("-m", "trainer.epochs=5,-1")
    asked = cli.request("train", ["-m", "model=cnn,mobilenet_v2", "seed=range(3)"])
    assert asked.multirun
    assert cli.request("train", ["model=cnn,mobilenet_v2", "-m", "seed=range(3)"]) == asked, "wherever -m stands"


@pytest.mark.nightly
@pytest.mark.slow
def test_each_key_of_a_sweep_gets_its_share_of_the_check() -> None:
    assert "model: no option 'cnm'" in refused("-m", "seed=range(20)", "model=cnn,cnm")
    assert "trainer.epochs: -1" in refused("-m", "seed=range(20)", "model=cnn,mobilenet_v2", "trainer.epochs=5,-1")


@pytest.mark.nightly
@pytest.mark.slow
def test_what_the_check_of_a_sweep_does_not_reach_is_no_traceback(tmp_path: Path) -> None:
    late = ",".join(["cnn"] * 20 + ["cnm"])
    done = emotion("train", "-m", f"model={late}", cwd=tmp_path, check=False)
    assert done.returncode == 2, done.stderr
    assert "cnm" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_group_that_is_null_by_default_may_be_set_to_null() -> None:
    asked = cli.request("train", ["experiment=null", "seed=3"])
    assert asked.cfg is not None
    assert asked.cfg.seed == 3
    asked = cli.request("evaluate", ["run=latest", "dataset=null"])
    assert asked.cfg is not None
    assert asked.cfg.dataset is None
    assert "dataset.root: no such file" in refused("run=x", "dataset=folder", "dataset.root=nope", command="evaluate")


@pytest.mark.parametrize("extra", [["resume=latest"], ["--cfg", "job"], ["--info", "config"], ["-m", "resume=true"]])
def test_paths_are_not_looked_for_where_nothing_is_read(extra: list[str]) -> None:
    asked = cli.request("train", [*extra, "dataset=folder", "dataset.root=nope"])
    assert asked.cfg is not None
    assert asked.cfg.dataset.root == "nope"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "key"), [("evaluate", "run"), ("live", "run"), ("train", "resume")], ids=lambda value: str(value)
)
@pytest.mark.parametrize("name", ["1e5", "20261122", "20261122_075340", "0.50", "nan"])
def test_a_runs_name_stays_as_it_was_typed(command: str, key: str, name: str) -> None:
    asked = cli.request(command, [f"{key}={name}"])
    assert asked.cfg is not None
    assert asked.cfg[key] == name
    assert asked.overrides == (f"{key}='{name}'",)


@pytest.mark.slow
def test_a_key_of_a_group_that_is_not_chosen_says_to_choose() -> None:
    with pytest.raises(UserError, match=r"dataset.root: no dataset is chosen; say which as well: dataset=.*ferplus"):
        cli.request("evaluate", ["run=a", "dataset.root=b"])


def test_a_sentence_stays_as_it_was_typed() -> None:
    said = "2 cores of an Intel Xeon (AMX), shared: no GPU"
    asked = cli.request("publish", ["run=a", "folder=b", f"hardware={said}"])
    assert asked.cfg is not None
    assert asked.cfg.hardware == said


def test_resume_may_be_true() -> None:
    asked = cli.request("train", ["-m", "resume=true"])
    assert asked.cfg is not None
    assert asked.cfg.resume is True


@pytest.mark.nightly
@pytest.mark.slow
@max_examples(25)
@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=12))
def test_no_value_ends_in_a_traceback(text: str) -> None:
    message = None
    try:
        cli.request("train", [f"trainer.optimizer={text}"])
    except UserError as error:
        message = str(error)
    assert message is None or len(message) > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["trainer.epohs=3"],
        *(
            pytest.param(arguments, marks=pytest.mark.slow)
            for arguments in (["--cfg", "job"], ["trainer.epochs=0"], ["dataset=fer2013"], ["resume=nothing"])
        ),
    ],
    ids=" ".join,
)
def test_answers_come_without_tensorflow(arguments: list[str], tmp_path: Path) -> None:
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('heavy:', sorted({'tensorflow', 'keras', 'cv2', 'sklearn', 'matplotlib'}"
        " & set(sys.modules)), file=sys.stderr))\n"
        "from emotion.train import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    wrong = not arguments[0].startswith("--")
    assert done.returncode == (2 if wrong else 0), done.stderr
    assert "heavy: []" in done.stderr
    assert "Traceback" not in done.stderr
    if wrong:
        assert done.stderr.startswith("error: ")
        assert not list(tmp_path.iterdir()), "a refused command leaves nothing behind"


@pytest.mark.slow
@pytest.mark.parametrize("module", ["train", *(pytest.param(m, marks=pytest.mark.slow) for m in ("evaluate", "live"))])
def test_help_shows_examples_groups_and_values(module: str, tmp_path: Path) -> None:
    text = emotion(module, "--help", cwd=tmp_path, real=True).stdout
    assert f"python -m emotion.{module}" in text
    assert "outputs: outputs" in text
    assert "base_" not in text


@pytest.mark.slow
@pytest.mark.parametrize("module", ["evaluate", "live"])
def test_a_missing_run_names_what_to_do(module: str, tmp_path: Path) -> None:
    done = emotion(module, "run=latest", cwd=tmp_path, check=False, real=True)
    assert done.returncode == 2
    assert "there are no runs under 'outputs'" in done.stderr
    assert "Traceback" not in done.stderr
    if module == "evaluate":
        done = emotion(module, cwd=tmp_path, check=False, real=True)
        assert done.returncode == 2
        assert "run: no value given" in done.stderr


def test_a_users_own_config_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 7\n")
    asked = cli.request("train", ["--config-dir", str(tmp_path), "experiment=mine"])
    assert asked.cfg is not None
    assert asked.cfg.seed == 7


_MINE = "_target_: my_models.build\nname: mine\ninput_size: 48\nwidth: 8\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["my_conf", "a=b", "a,b", "with space", "it's"])
def test_mistakes_beside_a_users_own_config_folder_are_the_real_ones(name: str, tmp_path: Path) -> None:
    own = tmp_path / name
    (own / "model").mkdir(parents=True)
    (own / "model" / "mine.yaml").write_text(_MINE)
    here = ["--config-dir", str(own)]
    asked = cli.request("train", [*here, "model=mine", "model.width=4"])
    assert asked.cfg is not None
    assert asked.cfg.model.width == 4
    message = refused(*here, "model=mine", "trainer.epohs=3", "model.widht=4")
    assert message.count("\n") == 1
    assert "trainer.epohs: no such key. Did you mean 'trainer.epochs'?" in message
    assert "model.widht: no such key. Did you mean 'model.width'?" in message
    assert "Allowed: cnn, cnn_fast, cnn_small, mine, mobilenet_v2" in refused(*here, "model=mien")


def test_a_config_folder_that_is_not_there_is_named() -> None:
    assert refused("--config-dir", "nope") == "--config-dir: no such folder 'nope'"
    assert refused("--config-dir", "nope", "--help") == "--config-dir: no such folder 'nope'"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "part"),
    [
        (_MINE.replace("_target_: my_models.build\n", ""), "model._target_: no value given"),
        (_MINE.replace("input_size: 48\n", ""), "model.input_size: no value given"),
        (_MINE.replace("48", "null"), "model.input_size: no value given"),
        (_MINE.replace("48", "???"), "model.input_size: no value given"),
        (_MINE.replace("48", "48.5"), "model.input_size: 48.5 must be a whole number"),
        (_MINE.replace("48", "large"), "model.input_size: 'large' is not a number"),
        (_MINE.replace("my_models.build", "3"), "model._target_: '3' must be"),
        ("- a\n- b: [\n", "mine.yaml"),
    ],
)
def test_a_users_own_model_file_is_checked(text: str, part: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(text)
    assert part in refused("--config-dir", str(tmp_path), "model=mine")


@pytest.mark.parametrize(
    ("command", "group", "text", "part"),
    [
        (
            "train",
            "dataset",
            "name: ferplus\nroot: .\nlabel_mode: majorty\n",
            "dataset.label_mode: 'majorty' is not one of",
        ),
        ("tune", "tuner", "name: hyperband\nobjective: val_loss\nfactor: 0\n", "tuner.factor: 0 is out of range"),
    ],
)
def test_a_users_own_option_is_checked_by_its_name(
    command: str, group: str, text: str, part: str, tmp_path: Path
) -> None:
    (tmp_path / group).mkdir()
    (tmp_path / group / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=part):
        cli.request(command, ["--config-dir", str(tmp_path), f"{group}=mine"])


@pytest.mark.slow
def test_completion_offers_no_schema(tmp_path: Path) -> None:
    line = {"COMP_LINE": "emotion.train model=", "COMP_POINT": "20"}
    done = emotion("train", "-sc", "query=bash", cwd=tmp_path, real=True, env={**os.environ, **line})
    assert done.stdout.split() == [
        "model=cnn",
        "model=cnn_fast",
        "model=cnn_small",
        "model=mobilenet_v2",
        "model=mobilenet_v2_small",
    ]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a pipe that closes")
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    line = f"{sys.executable} -m emotion.train --help | head -1"
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
