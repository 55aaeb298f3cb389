"""Somebody else's network becomes a run like any other, or is refused with nothing left behind."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion import compare, evaluate, export, runs
from emotion.adopt import model_file, plan
from emotion.base import files
from emotion.base.errors import UserError
from emotion.data import sources
from emotion.faces import images
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS
from emotion.inference.classifier import Classifier
from emotion.runs import resuming
from tests.conftest import compose
from tests.helpers.adopting import DATA, ORDER, adopted, drawn, network
from tests.helpers.tiers import rest_nightly

#: Published networks and their parameters, as their authors count them.
PUBLISHED = {"fer2013_mini_XCEPTION.102-0.66.hdf5": 58_423, "fer2013_big_XCEPTION.54-0.66.hdf5": 208_871}


def _saved(model: Any, path: Path) -> Path:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that HDF5 is old is the point
        model.save(path)
    return path


@pytest.mark.slow
def test_an_adopted_network_is_a_run_like_any_other(trained: runs.Run, tmp_path: Path) -> None:
    file = _saved(network(), tmp_path / "their net.h5")
    run = adopted(file, *DATA, "source=https://example.org/net?a=b", "licence=MIT")
    assert run.id.endswith("_their_net")
    record = run.record()
    assert (record.status, record.data["pixels"]) == ("done", trained.record().data["pixels"])
    assert record.adopted == {
        "file": file.name,
        "sha256": files.sha256(file),
        "pixels": "minus_one_to_one",
        "labels": list(ORDER),
        "source": "https://example.org/net?a=b",
        "licence": "MIT",
    }
    assert run.contract() == Contract(24, 24, "gray", labels=EMOTIONS)

    evaluate.evaluate(compose("evaluate", f"run={run.path}", "bootstrap=50"))
    import keras

    from emotion.models import cost

    theirs = keras.saving.load_model(file, compile=False)
    test = sources.load(run.config().dataset).test
    pictures = np.stack([images.prepare(image, run.contract()) for image in test.images])
    expected = np.asarray(theirs(pictures.astype(np.float32) / 127.5 - 1))[:, [ORDER.index(e) for e in EMOTIONS]]
    assert np.ptp(expected, axis=0).max() > 1e-3
    with np.load(run.path / "predictions.npz") as saved:
        np.testing.assert_allclose(saved["test_probabilities"], expected, atol=1e-5)
    live = Classifier(run.tflite(), run.contract())
    np.testing.assert_allclose(live.probabilities(pictures), expected, atol=1e-4)
    report = (run.path / "report.md").read_text()
    assert "| Seed |" not in report
    assert f"| Adopted | {file.name}, SHA-256" in report
    assert "None of them is pixel-identical" in report

    (board,) = compare.compare_runs(
        [run, trained], tmp_path / "report", named=[run], resamples=100, latency="recorded", pictures=0
    )
    (entry,) = (e for e in board.entries if e.runs[0] is run)
    assert (entry.name, entry.training_seconds, entry.seeds) == ("their_net", None, (None,))
    assert entry.multiply_adds == cost.multiply_adds(theirs)
    assert entry.leak_free_accuracy is not None
    assert any(note.startswith("Trained elsewhere: their_net.") for note in board.notes)
    page = (tmp_path / "report" / "comparison.html").read_text()
    assert "No history is kept of their_net." in page
    assert "damaged" not in page
    curves = json.loads((tmp_path / "report" / "comparison.json").read_text())["tensorboard"]
    assert str(run.path) not in curves


@pytest.mark.slow
def test_without_data_it_is_scored_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = adopted(_saved(network(), tmp_path / "net.keras"))
    assert run.config().dataset is None
    with pytest.raises(UserError, match=r"adopted without data. Say what to score it on: dataset=\.\.\."):
        evaluate.evaluate(compose("evaluate", f"run={run.path}"))
    assert "leak_free" not in evaluate.evaluate(compose("evaluate", f"run={run.path}", "bootstrap=50", *DATA))
    assert "its training data is not known" in capsys.readouterr().out
    with pytest.raises(UserError, match="adopt it again, with dataset="):
        compare.compare_runs([run], tmp_path / "report", named=[run])
    assert run.record().tflite["compared_on"] == "drawn faces"
    with pytest.raises(UserError, match="it was adopted without data"):
        export.export(compose("export", f"run={run.path}", "quantize=int8"))
    with pytest.raises(UserError, match="was adopted, not trained here"):
        resuming.config_of(run, compose("train"), [])
    runs.update(run, scores={"validation": {"macro_f1": 1.0}})
    with pytest.raises(UserError, match="none is best"):
        runs.resolve("best", run.path.parent)


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emotion.models import cost

    def full(model: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "best.keras")

    monkeypatch.setattr(cost, "multiply_adds", full)
    with pytest.raises(UserError, match=r"best\.keras: cannot write"):
        adopted(_saved(network(), tmp_path / "net.keras"))
    assert list((tmp_path / "outputs").iterdir()) == []
    (tmp_path / "outputs").rmdir()
    (tmp_path / "outputs").touch()
    with pytest.raises(UserError, match=r"set outputs=\.\.\. to another"):
        adopted(tmp_path / "net.keras")


@pytest.mark.nightly
@pytest.mark.slow
def test_every_kind_of_input_and_output_gives_their_answers(tmp_path: Path) -> None:
    import keras

    from emotion.adopt import wrap
    from emotion.inference.classifier import predict
    from emotion.inference.runtimes import Traced
    from emotion.runs import checkpoints

    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    softmax = keras.layers.Softmax()
    cases: list[tuple[Any, str, str, Any]] = [
        (network(), "gray", "zero_to_one", lambda x: x / 255),
        (network(activation=None), "gray", "raw", lambda x: x),
        (network(activation=None, last=softmax), "gray", "raw", lambda x: x),
        (network((None, None, 3)), "rgb", "imagenet", lambda x: (x / 255 - mean) / deviation),
        (network((24, 24, 3)), "gray", "zero_to_one", lambda x: x.repeat(3, axis=3) / 255),
        (keras.Sequential([network(activation=None), softmax]), "gray", "raw", lambda x: x),
        (network((24, 24, 3)), "bgr", "zero_to_one", lambda x: x[..., ::-1] / 255),
        (network((24, 24, 3)), "rgb", "caffe", lambda x: x[..., ::-1] - np.array([103.939, 116.779, 123.68])),
        (network((24, 24, 3)), "bgr", "caffe", lambda x: x[..., ::-1] - np.array([103.939, 116.779, 123.68])),
    ]
    inputs = keras.Input((24, 24, 1))
    cases.append((keras.Model([inputs], [network()(inputs)]), "gray", "raw", lambda x: [x]))
    for number, (model, colour, pixels, prepared) in enumerate(cases):
        found = model_file.read(_saved(model, tmp_path / f"{number}.keras"))
        contract = Contract(24, 24, "rgb" if colour == "bgr" else colour)
        network_read = wrap.KerasNetwork(found)
        network_read.saved(
            plan.plan(network_read.signature, contract, ORDER, pixels, None, bgr=colour == "bgr"), tmp_path
        )
        made = checkpoints.load(tmp_path / "best.keras")
        pictures = drawn(contract)
        theirs = np.asarray(keras.tree.flatten(model(prepared(pictures.astype(np.float32))))[0])
        if number == 1:
            theirs = np.exp(theirs) / np.exp(theirs).sum(axis=1, keepdims=True)
        expected = theirs[:, [ORDER.index(e) for e in EMOTIONS]]
        assert made.input_shape == (None, *contract.shape)
        assert made.inputs[0].dtype == "uint8"
        np.testing.assert_allclose(predict(Traced(made), pictures), expected, atol=1e-5, err_msg=str(number))


@pytest.mark.slow
def test_a_network_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    import keras

    a, b = keras.Input((24, 24, 1)), keras.Input((24, 24, 1))
    several = keras.Model([a, b], network()(keras.layers.Add()([a, b])))
    outputs = keras.Model(a, [network()(a), network()(a)])
    cases: list[tuple[Any, tuple[str, ...], str]] = [
        (several, (), "file: the network has 2 inputs"),
        (outputs, (), r"labels: the network gives \[N, 7\], \[N, 7\], must give \[N, labels\]"),
        (network(outputs=5), (), r"labels: the network gives \[N, 5\], must give \[N, 7\]"),
        (network((24, 24, 2)), (), r"file: the network takes \[N, 24, 24, 2\]"),
        (network((None, None, 1)), (), r"height: the network takes images of any height.*Set height=<pixels>"),
        (network(), ("height=32",), "height: the network takes 24 pixels, not 32"),
        (network(), ("colour=rgb",), "colour: the network takes one channel"),
        (network(), ("pixels=imagenet",), "pixels: imagenet is for networks of 3 channels"),
        (network(), ("output=logits",), "output: the network ends in a softmax"),
        (network(activation="sigmoid"), (), "output: the network ends in sigmoid"),
        (network(activation="sigmoid"), ("output=probabilities",), "output: these are no probabilities"),
    ]
    for number, (model, options, said) in enumerate(cases):
        file = _saved(model, tmp_path / f"{number}.keras")
        with pytest.raises(UserError, match=said):
            adopted(file, *options)
    broken = network()
    broken.set_weights([np.full_like(w, np.nan) for w in broken.get_weights()])
    with pytest.raises(UserError, match="outputs are not all numbers"):
        adopted(_saved(broken, tmp_path / "nan.h5"))
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_layers_of_their_own_are_refused_by_name(tmp_path: Path) -> None:
    import keras

    @keras.saving.register_keras_serializable("theirs")
    class Doubled(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    code = keras.layers.Lambda(lambda x: 2 * x, name="their_code")
    for ending in ("keras", "h5"):
        file = _saved(network(last=code), tmp_path / f"code.{ending}")
        with pytest.raises(UserError, match="has the layer 'their_code', a Lambda, which runs code of its own"):
            adopted(file)
        file = _saved(network(last=Doubled(name="twice")), tmp_path / f"own.{ending}")
        keras.saving.get_custom_objects().pop("theirs>Doubled", None)
        with pytest.raises(UserError, match=r"Doubled"):
            adopted(file)
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_what_keras_2_wrote_of_depthwise_convolutions_is_read(tmp_path: Path) -> None:
    import h5py

    from emotion.adopt import wrap

    file = _saved(network(), tmp_path / "old.hdf5")
    with h5py.File(file, "r+") as opened:
        architecture = json.loads(opened.attrs["model_config"])
        (layer,) = (each for each in architecture["config"]["layers"] if each["class_name"] == "DepthwiseConv2D")
        layer["config"]["groups"] = 1
        opened.attrs["model_config"] = json.dumps(architecture)
    before = file.read_bytes()
    assert wrap.load(model_file.read(file)).output_shape == (None, 7)
    assert file.read_bytes() == before


def _as_keras_2_wrote(layers: list[dict[str, Any]], shape: list[int | None]) -> list[dict[str, Any]]:
    old = [layer for layer in layers if layer["class_name"] != "InputLayer"]
    for layer in old:
        for key in ("build_config", "module", "registered_name"):
            layer.pop(key, None)
        layer["config"]["dtype"] = "float32"
        if layer["class_name"] == "BatchNormalization":
            layer["config"]["axis"] = [-1]
    old[0]["config"]["batch_input_shape"] = shape
    return old


@pytest.mark.slow
@pytest.mark.parametrize("as_list", rest_nightly([True, False]))  # before Keras 2.2.3 the layers were a bare list
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("size", rest_nightly([48, None]))
def test_a_sequential_network_of_keras_2(tmp_path: Path, as_list: bool, nested: bool, size: int | None) -> None:
    import h5py
    import keras

    from emotion.adopt import wrap

    keras.utils.set_random_seed(0)
    shape = (size, size, 1)
    inner = [
        keras.layers.Conv2D(8, 3, strides=4, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D(),
    ]
    head = keras.layers.Dense(7, activation="softmax")
    first = [keras.Sequential([keras.Input(shape), *inner], name="body")] if nested else inner
    model = keras.Sequential([keras.Input(shape), *first, head])
    file = _saved(model, tmp_path / "old.h5")
    with h5py.File(file, "r+") as opened:
        layers = json.loads(opened.attrs["model_config"])["config"]["layers"]
        if nested:
            body = next(each for each in layers if each["class_name"] == "Sequential")
            old = _as_keras_2_wrote(body["config"]["layers"], [None, *shape])
            body["config"] = old if as_list else {"name": "body", "layers": old}
        else:
            layers = _as_keras_2_wrote(layers, [None, *shape])
        config = layers if as_list else {"name": "sequential", "layers": layers}
        opened.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config})
        opened.attrs["keras_version"] = "2.1.6"
    pictures = np.random.default_rng(0).random((3, 48, 48, 1), np.float32)
    loaded = wrap.load(model_file.read(file))
    assert plan.input_shape(wrap.signature(loaded), 48, 48) == (48, 48, 1)
    np.testing.assert_allclose(loaded(pictures), model(pictures), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_are_read_as_they_are(name: str, shared: Path, tmp_path: Path) -> None:
    file = shared / "peers" / name
    if not file.is_file():
        pytest.skip(f"no {name} in ../shared/peers")
    import keras

    from emotion.adopt import wrap
    from emotion.inference.classifier import predict
    from emotion.inference.runtimes import Traced
    from emotion.runs import checkpoints

    contract = Contract(64, 64)
    theirs = wrap.load(model_file.read(file))
    model = wrap.wrap(theirs, plan.plan(wrap.signature(theirs), contract, ORDER, "minus_one_to_one", None, False))
    assert model.count_params() == theirs.count_params() == PUBLISHED[name]
    model.save(tmp_path / "best.keras")
    pictures = drawn(contract, 16)
    answers = keras.saving.load_model(file, compile=False)([pictures / np.float32(127.5) - 1])
    expected = np.asarray(answers).reshape(16, 7)[:, [ORDER.index(e) for e in EMOTIONS]]
    found = predict(Traced(checkpoints.load(tmp_path / "best.keras")), pictures)
    np.testing.assert_allclose(found, expected, atol=1e-5)
