"""What is asked for is checked before anything is built: files, values, and labels by all their names."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion import adopt
from emotion.base.errors import UserError
from emotion.config import cli
from emotion.faces import labels
from emotion.faces.labels import EMOTIONS
from tests.helpers.adopting import THEIRS, asked


@pytest.fixture
def not_models(tmp_path: Path) -> Path:
    """Files that are no Keras models, each in its own way."""
    import h5py

    (tmp_path / "text.h5").write_text("not a model")
    (tmp_path / "folder.keras").mkdir()
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.create_group("layer")
    with h5py.File(tmp_path / "damaged.h5", "w") as file:
        file.attrs["model_config"] = '{"class_name": '
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("readme", "nothing")
    with zipfile.ZipFile(tmp_path / "wide.keras", "w") as archive:
        archive.writestr("config.json", "[1]")
    return tmp_path


MISTAKES = [
    ("file=nope.h5", "file: no such file 'nope.h5'"),
    ("file=~nobodyhere/net.h5", "file: no such file '~nobodyhere/net.h5'"),
    ("file=folder.keras", "file: is a folder 'folder.keras'"),
    ("file=text.h5", "'text.h5' is no Keras model. Give a whole model"),
    ("file=weights.h5", "'weights.h5' holds weights at most"),
    ("file=damaged.h5", "'damaged.h5' is damaged"),
    ("file=other.keras", "'other.keras' is an archive without a Keras model"),
    ("file=wide.keras", "'wide.keras' is damaged"),
]


@pytest.mark.parametrize(("option", "said"), MISTAKES)
def test_a_file_that_is_no_model_is_refused(
    option: str, said: str, not_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(not_models)
    with pytest.raises(UserError) as caught:
        adopt.adopt(asked(option, THEIRS, "pixels=raw"))
    assert said in str(caught.value)
    assert not Path("outputs").exists()


@pytest.mark.slow
def test_mistakes_are_answered_without_heavy_imports(not_models: Path) -> None:
    line = [sys.executable, "-X", "importtime", "-m", "emotion.adopt", "model=weights.h5", THEIRS, "pixels=raw"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=not_models)
    assert done.returncode == 2
    assert "'weights.h5' holds weights at most" in done.stderr
    imported = {text.rpartition("|")[2].strip() for text in done.stderr.splitlines() if text.startswith("import time")}
    assert "h5py" in imported
    assert not imported & {"tensorflow", "keras", "matplotlib", "sklearn"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("pixels=zero_to_two",), "pixels: 'zero_to_two' is not one of minus_one_to_one"),
        (("output=votes",), "output: 'votes' is not one of probabilities, logits"),
        (("height=0",), "height: 0 is out of range"),
        (("colour=grey",), "colour: 'grey' is not one of gray, rgb"),
        (("dataset=fer2014",), "dataset: no option 'fer2014'"),
        (("dataset=fer2013", "dataset.root=nope"), "dataset.root: no such file or folder 'nope'"),
        (("labls=x",), "labls: no such key. Did you mean 'labels'?"),
    ],
)
def test_values_are_checked_before_anything_is_read(options: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError) as caught:
        cli.request("adopt", ["file=net.h5", THEIRS, "pixels=raw", *options])
    assert said in str(caught.value)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(UserError) as caught:
        cli.request("adopt", [])
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == ["file", "labels", "pixels"]


@pytest.mark.parametrize("given", ["file=a/b=c.h5", "model=a/b=c.h5", "file='a/b=c.h5'"])
def test_the_file_may_be_called_model_as_people_call_it(given: str) -> None:
    assert asked(given, "name=1e5", THEIRS, "pixels=raw", "dataset=null").file == "a/b=c.h5"


@given(st.permutations(EMOTIONS), st.data())
def test_labels_are_known_by_all_their_names(order: list[str], data: st.DataObject) -> None:
    words = [data.draw(st.sampled_from((name, name.upper(), *labels.ALIASES[name]))) for name in order]
    assert adopt.label_order(_listed(words)) == tuple(order)


def _listed(words: list[str]) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.create(words)


def test_published_orders_have_names() -> None:
    assert adopt.label_order("fer2013") == ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")
    assert adopt.label_order("rafdb")[0] == "surprised"
    words = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"]
    assert adopt.label_order(_listed(words))[-1] == "contempt"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("labels=fer2031", "labels: 'fer2031' is neither a list of emotions.*Did you mean 'fer2013'"),
        ("labels=ckplus", "nor one of fer2013, affectnet, rafdb"),
        ("labels=7", "labels: '7' must be a list"),
        ("labels=[hapy,sad]", "labels: class 'hapy' is none of the seven emotions. Did you mean 'happy'"),
        ("labels=[0,1]", "labels: class '0' is a number"),
        ("labels=[happy,joy]", "labels: happy given more than once"),
        ("labels=[happy,sad]", "labels: happy, sad must be the dataset's, each once.*: angry, disgusted, fearful"),
    ],
)
def test_labels_that_are_not_the_datasets(given: str, said: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        archive.writestr("config.json", '{"class_name": "Functional", "config": {}}')
    with pytest.raises(UserError, match=said):
        adopt.adopt(asked(f"file={tmp_path / 'net.keras'}", given, "pixels=raw", "dataset=synthetic"))
