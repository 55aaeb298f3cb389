"""LiteRT and ONNX files that others made become runs: their own answers, from our images, in our order."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion import compare, evaluate, export, publish, runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.data import sources, synthetic
from emotion.faces import images
from emotion.faces.labels import EMOTIONS
from emotion.inference import engines
from emotion.inference.classifier import Classifier
from tests.conftest import compose
from tests.helpers.adopting import DATA, ORDER, adopted, drawn, network
from tests.helpers.tiers import rest_nightly

pytestmark = pytest.mark.slow

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
Made = Callable[[Path], Path]


def _litert(model: Any, batch: int | None = None, quantised: bool = False) -> Made:
    """A ``.tflite`` file as others convert it: any number of images or so many, floats or bytes."""

    def make(path: Path) -> Path:
        import tensorflow as tf

        shape = model.input_shape[1:]
        spec = tf.TensorSpec((batch, *shape), tf.float32, name="their_input")
        function = tf.function(lambda x: model(x, training=False), input_signature=[spec], autograph=False)
        module = tf.Module()
        module.held = [variable.value for variable in model.variables]
        tf.saved_model.save(module, str(path.with_suffix("")), signatures=function.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_saved_model(str(path.with_suffix("")))
        if quantised:
            draw = np.random.default_rng(0)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: (
                [draw.random((1, *shape), np.float32) * 2 - 1] for _ in range(50)
            )
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.uint8
        path.write_bytes(converter.convert())
        return path

    return make


def _onnx(channels: int, batch: int | str = "batch", *, softmax: bool = True, last: int = 1, opset: int = 17) -> Made:
    """An ``.onnx`` file as PyTorch writes it, channels first; ``last=3`` puts them last."""

    def make(path: Path) -> Path:
        from onnx import TensorProto, checker, helper, numpy_helper, save

        draw = np.random.default_rng(1)
        weights = {
            "kernel": draw.normal(size=(4, channels, 3, 3)) / 9,
            "matrix": draw.normal(size=(4, 7)),
            "bias": draw.normal(size=7),
        }
        nodes = [
            helper.make_node("Conv", ["image" if last == 1 else "first", "kernel"], ["convolved"], strides=[2, 2]),
            helper.make_node("GlobalAveragePool", ["convolved"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"], axis=1),
            helper.make_node("Gemm", ["flat", "matrix", "bias"], ["logits"]),
        ]
        nodes += [helper.make_node("Softmax", ["logits"], ["answer"], axis=1)] if softmax else []
        shape = [batch, channels, 24, 24] if last == 1 else [batch, 24, 24, channels]
        nodes[:0] = [] if last == 1 else [helper.make_node("Transpose", ["image"], ["first"], perm=[0, 3, 1, 2])]
        graph = helper.make_graph(
            nodes, "theirs",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("answer" if softmax else "logits", TensorProto.FLOAT, [batch, 7])],
            [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        checker.check_model(model)
        save(model, path)
        return path

    return make


def _theirs(path: Path, batch: np.ndarray) -> np.ndarray:
    """The file's own answers to what it takes, one image at a time."""
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        size = given.shape[0] if isinstance(given.shape[0], int) else 1
        return np.concatenate([session.run(None, {given.name: np.repeat(x[None], size, 0)})[0][:1] for x in batch])
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers = []
    for x in batch:
        if given["dtype"] == np.uint8 and x.dtype != np.uint8:
            scale, zero = given["quantization"]
            x = np.clip(np.round(x / scale) + zero, 0, 255).astype(np.uint8)
        interpreter.set_tensor(given["index"], np.repeat(x[None], given["shape"][0], 0))
        interpreter.invoke()
        answer = interpreter.get_tensor(made["index"])[0]
        if answer.dtype == np.uint8:
            answer = (answer.astype(np.float32) - made["quantization"][1]) * np.float32(made["quantization"][0])
        answers.append(answer)
    return np.array(answers)


def _softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def _cases() -> dict[str, tuple[Made, tuple[str, ...], Any]]:
    """File, options, and what they feed their network from our RGB or grey images."""
    import keras

    flat = network((24, 24, 3))
    planar = keras.Sequential([keras.Input((3, 24, 24)), keras.layers.Permute((2, 3, 1)), flat])
    return {
        "grey.tflite": (_litert(network()), (), lambda x: x / 127.5 - 1),
        "one.tflite": (_litert(network(), 1), ("pixels=zero_to_one",), lambda x: x / 255),
        "four.tflite": (_litert(network(), 4), ("pixels=raw",), lambda x: x),
        "logits.tflite": (_litert(network(activation=None)), (), lambda x: x / 127.5 - 1),
        "rgb.tflite": (_litert(flat, 1), ("pixels=imagenet",), lambda x: (x / 255 - MEAN) / DEVIATION),
        "bgr.tflite": (_litert(flat, 1), ("colour=bgr",), lambda x: x[..., ::-1] / 127.5 - 1),
        "caffe.tflite": (_litert(flat), ("pixels=caffe",), lambda x: x[..., ::-1] - [103.939, 116.779, 123.68]),
        "repeat.tflite": (_litert(flat, 1), ("colour=gray",), lambda x: x.repeat(3, axis=3) / 127.5 - 1),
        "planar.tflite": (_litert(planar, 1), (), lambda x: x.transpose(0, 3, 1, 2) / 127.5 - 1),
        "bytes.tflite": (_litert(network(), None, True), ("pixels=minus_one_to_one",), lambda x: x / 127.5 - 1),
        "as_bytes.tflite": (
            _litert(flat, 1, True), ("pixels=raw", "colour=bgr"), lambda x: x[..., ::-1].astype(np.uint8)
        ),
        "grey_bytes.tflite": (_litert(network(), 1, True), ("pixels=raw",), lambda x: x.astype(np.uint8)),
        "grey.onnx": (_onnx(1), (), lambda x: x.transpose(0, 3, 1, 2) / 127.5 - 1),
        "one.onnx": (_onnx(1, 1), ("pixels=zero_to_one",), lambda x: x.transpose(0, 3, 1, 2) / 255),
        "four.onnx": (
            _onnx(3, 4), ("pixels=imagenet",), lambda x: ((x / 255 - MEAN) / DEVIATION).transpose(0, 3, 1, 2)
        ),
        "logits.onnx": (
            _onnx(3, softmax=False), ("colour=bgr",), lambda x: x[..., ::-1].transpose(0, 3, 1, 2) / 127.5 - 1
        ),
        "caffe.onnx": (
            _onnx(3), ("pixels=caffe",), lambda x: (x[..., ::-1] - [103.939, 116.779, 123.68]).transpose(0, 3, 1, 2)
        ),
        "repeat.onnx": (_onnx(3, 1), ("colour=gray",), lambda x: x.repeat(3, axis=3).transpose(0, 3, 1, 2) / 127.5 - 1),
        "last.onnx": (_onnx(1, last=3, opset=8), ("pixels=zero_to_one",), lambda x: x / 255),
    }  # fmt: skip


@pytest.mark.nightly
def test_every_kind_of_file_gives_its_own_answers(tmp_path: Path) -> None:
    for name, (make, options, prepared) in _cases().items():
        file = make(tmp_path / name)
        run = adopted(file, *options)
        contract = run.contract()
        pictures = drawn(contract)
        given = np.asarray(prepared(pictures.astype(np.float32)))
        theirs = _theirs(file, given if given.dtype == np.uint8 else given.astype(np.float32))
        expected = (_softmax(theirs) if "logits" in name else theirs)[:, [ORDER.index(e) for e in EMOTIONS]]
        assert np.ptp(expected, axis=0).max() > 1e-3, name
        classifier = engines.load(run)
        # Bytes: an image's value may be rounded the other way.
        tolerance = 0.02 if name == "bytes.tflite" else 1e-5
        np.testing.assert_allclose(classifier.probabilities(pictures), expected, atol=tolerance, err_msg=name)
        one = np.concatenate([classifier.probabilities(p[None]) for p in pictures])
        np.testing.assert_allclose(one, classifier.probabilities(pictures), atol=1e-5, err_msg=name)
        assert classifier.engine == ("onnx" if name.endswith("onnx") else "litert")
        assert run.record().adopted["sha256"] == files.sha256(file)


@pytest.mark.parametrize("ending", rest_nightly(["tflite", "onnx"]))
def test_it_is_scored_compared_and_run_live(trained: runs.Run, ending: str, tmp_path: Path) -> None:
    make = _onnx(1, 1) if ending == "onnx" else _litert(network(), 1)
    file = make(tmp_path / f"theirs.{ending}")
    run = adopted(file, *DATA, "licence=MIT")
    if ending == "onnx":
        assert run.record().parameters == 4 * 9 + 4 * 7 + 7
    evaluate.evaluate(compose("evaluate", f"run={run.path}", "bootstrap=50", "tta=flip"))
    evaluate.evaluate(compose("evaluate", f"run={run.path}", "bootstrap=50"))
    test = sources.load(run.config().dataset).test
    pictures = np.stack([images.prepare(image, run.contract()) for image in test.images])
    with np.load(run.path / "predictions.npz") as saved:
        found = saved["test_probabilities"]
    np.testing.assert_allclose(found, Classifier(run.tflite(), run.contract()).probabilities(pictures), atol=1e-5)
    (board,) = compare.compare_runs([run, trained], tmp_path / "report", named=[run], resamples=100, pictures=0)
    (entry,) = (e for e in board.entries if e.runs[0] is run)
    assert (entry.name, entry.multiply_adds) == ("theirs", None)
    assert entry.latency_ms > 0
    assert entry.file_bytes == run.best.stat().st_size

    from emotion import load

    faces = load(run.path).predict([synthetic.picture(0, 1, 96, 1.0)], faces="whole")
    assert sum(faces[0].faces[0].probabilities) == pytest.approx(1, abs=1e-4)
    with pytest.raises(UserError, match=f"was adopted as a .{ending} file, which can be scored, compared and run live"):
        export.export(compose("export", f"run={run.path}", "format=litert"))
    with pytest.raises(UserError, match=f"was adopted as a .{ending} file"):
        publish.publish(compose("publish", f"run={run.path}", f"folder={tmp_path / 'public'}"))
    with pytest.raises(UserError, match="engine: keras does not run best"):
        engines.load(run, "keras")
    assert not (tmp_path / "public").exists()


@pytest.mark.nightly
def test_files_that_are_no_such_networks_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras
    from onnx import TensorProto, helper, load

    good = _litert(network(), 1)(tmp_path / "good.tflite").read_bytes()
    old, outside = (load(_onnx(1, opset=9)(tmp_path / "a.onnx")) for _ in range(2))
    old.opset_import[0].version = 6
    outside.graph.initializer[0].data_location = TensorProto.EXTERNAL
    outside.graph.initializer[0].external_data.add(key="location", value="../../etc/passwd")
    foreign = load(_onnx(1)(tmp_path / "a.onnx"))
    foreign.graph.node[-1].CopyFrom(helper.make_node("Steal", ["logits"], ["answer"], domain="their.own"))
    a = keras.Input((24, 24, 1))
    made: dict[str, tuple[Any, str]] = {
        "empty.tflite": (b"", "empty.tflite' cannot be opened"),
        "text.tflite": (b"not a model", "text.tflite' cannot be opened"),
        "text.onnx": (b"not a model", "text.onnx.: damaged, no ONNX model"),
        "cut.tflite": (good[: len(good) // 2], "cut.tflite' cannot be opened"),
        "two.tflite": (
            _litert(keras.Model(a, [network()(a), network()(a)])),
            r"labels: the network gives \[1, 7\]|\[N",
        ),
        "five.tflite": (_litert(network(outputs=5)), r"labels: the network gives \[N, 5\], must give \[N, 7\]"),
        "sigmoid.tflite": (_litert(network(activation="sigmoid")), "output: the network ends in sigmoid"),
        "old.onnx": (old, "operations of 2017"),
        "outside.onnx": (outside, "weights are in another file"),
        "foreign.onnx": (foreign, "foreign.onnx' cannot be opened"),
    }
    for name, (content, said) in made.items():
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif callable(content):
            content(path)
        else:
            path.write_bytes(content.SerializeToString())
        with pytest.raises(UserError, match=said):
            adopted(path)
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        adopted(tmp_path / "folder.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"pip install 'emotion\[onnx\]'"):
        adopted(_onnx(1)(tmp_path / "fine.onnx"))
    assert not (tmp_path / "outputs").exists()


def test_damaged_bytes_end_in_a_message_and_nothing_else(tmp_path: Path) -> None:
    """Bytes changed anywhere in both kinds: adopted, if they are weights, or refused."""
    draw = np.random.default_rng(0)
    for make, name in ((_litert(network(), 1), "a.tflite"), (_onnx(1), "a.onnx")):
        good = np.frombuffer(make(tmp_path / name).read_bytes(), np.uint8)
        from emotion.adopt import litert_file, onnx_file

        reader = onnx_file if name.endswith("onnx") else litert_file
        for _ in range(60):
            data = good.copy()
            data[draw.integers(0, len(data), 3)] = draw.integers(0, 256, 3)
            try:
                model = reader.read(data.tobytes())
                reader.signature(model)
                reader.parameters(model)
            except UserError:
                pass
